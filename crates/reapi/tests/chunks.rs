//! Chunk mappings, in both forms.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use proto::chunking_function::Value as Chunking;
use proto::{
    GetChunkMappingRequest, RegisterChunkMappingRequest, RegisterChunkMappingResponse, SpliceBlobRequest,
    SplitBlobRequest,
};
use support::{Site, blob, digest, noise, ranged, read, refused};
use tonic::{Code, Status};

const SHA256: i32 = proto::digest_function::Value::Sha256 as i32;

/// The chunks of a blob, as both methods tell them.
async fn chunks(site: &Site, blob: &proto::Digest) -> Result<(Vec<proto::Digest>, Chunking), Status> {
    let mut client = site.cas().await;
    let split = SplitBlobRequest { blob_digest: Some(blob.clone()), ..Default::default() };
    let split = client.split_blob(split).await;
    let map = GetChunkMappingRequest { blob_digest: Some(blob.clone()), digest_function: SHA256, ..Default::default() };
    let mut stream = client.get_chunk_mapping(map).await?.into_inner();
    let (mut chunks, mut function) = (Vec::new(), None);
    while let Some(part) = stream.message().await? {
        function.get_or_insert(part.chunking_function());
        chunks.extend(part.chunk_digests);
    }
    let split = split.unwrap().into_inner();
    assert_eq!(split.chunk_digests, chunks, "both say the same");
    Ok((chunks, split.chunking_function()))
}

/// Registers a mapping in messages of `piece` chunks each.
async fn register(
    site: &Site,
    blob: &proto::Digest,
    chunks: &[proto::Digest],
    piece: usize,
) -> Result<RegisterChunkMappingResponse, Status> {
    let mut messages = vec![RegisterChunkMappingRequest {
        blob_digest: Some(blob.clone()),
        digest_function: SHA256,
        ..Default::default()
    }];
    let rest = chunks.chunks(piece).map(|chunks| RegisterChunkMappingRequest {
        chunk_digests: chunks.to_vec(),
        // Nobody looks at these any more.
        instance_name: "elsewhere".to_owned(),
        blob_digest: Some(digest(b"other")),
        ..Default::default()
    });
    messages.extend(rest);
    Ok(site.cas().await.register_chunk_mapping(tokio_stream::iter(messages)).await?.into_inner())
}

async fn splice(site: &Site, blob: &proto::Digest, chunks: &[proto::Digest]) -> Result<proto::Digest, Status> {
    let request =
        SpliceBlobRequest { blob_digest: Some(blob.clone()), chunk_digests: chunks.to_vec(), ..Default::default() };
    Ok(site.cas().await.splice_blob(request).await?.into_inner().blob_digest.unwrap())
}

#[tokio::test]
async fn a_large_blob_is_cut_into_chunks_that_are_there_and_are_the_whole() {
    let (site, _store) = Site::serving().await;
    let data = noise(20 << 20, 1);
    let whole = site.put(&data).await;
    let (parts, function) = chunks(&site, &whole).await.unwrap();
    assert!(parts.len() > 10 && function == Chunking::FastCdc2020, "{}", parts.len());
    assert!(site.missing(&parts).await.is_empty());
    let mut client = site.byte_stream().await;
    let mut joined = Vec::new();
    for part in &parts {
        joined.extend(read(&mut client, &blob(part)).await.unwrap());
    }
    assert!(joined == data);
    assert!(read(&mut client, &blob(&whole)).await.unwrap() == data);
    let (again, _) = chunks(&site, &whole).await.unwrap();
    assert_eq!(again, parts);
}

#[tokio::test]
async fn a_small_blob_is_its_own_chunk_and_the_empty_one_has_none() {
    let (site, _store) = Site::serving().await;
    let small = site.put(b"small").await;
    assert_eq!(chunks(&site, &small).await.unwrap().0, [small]);
    assert_eq!(chunks(&site, &digest(b"")).await.unwrap().0, []);
    let absent = SplitBlobRequest { blob_digest: Some(digest(b"absent")), ..Default::default() };
    refused(site.cas().await.split_blob(absent).await, Code::NotFound);
    let absent =
        GetChunkMappingRequest { blob_digest: Some(digest(b"absent")), digest_function: SHA256, ..Default::default() };
    refused(site.cas().await.get_chunk_mapping(absent).await, Code::NotFound);
    let functionless = GetChunkMappingRequest { blob_digest: Some(digest(b"")), ..Default::default() };
    refused(site.cas().await.get_chunk_mapping(functionless).await, Code::InvalidArgument);
}

#[tokio::test]
async fn a_blob_is_made_of_chunks_and_read_whole() {
    let (site, _store) = Site::serving().await;
    for streamed in [true, false] {
        let bodies: Vec<Vec<u8>> = (0..5).map(|seed| noise(100_000, seed + u64::from(streamed) * 10)).collect();
        let data = bodies.concat();
        let whole = digest(&data);
        let mut parts = Vec::new();
        for body in &bodies {
            parts.push(site.put(body).await);
        }
        let made = match streamed {
            true => register(&site, &whole, &parts, 2).await.unwrap().blob_digest.unwrap(),
            false => splice(&site, &whole, &parts).await.unwrap(),
        };
        assert_eq!(made, whole);
        let mut client = site.byte_stream().await;
        assert!(read(&mut client, &blob(&whole)).await.unwrap() == data);
        let (part, _) = ranged(&mut client, &blob(&whole), 99_990, 20).await.unwrap();
        assert_eq!(part, data[99_990..100_010]);
        assert!(site.missing(std::slice::from_ref(&whole)).await.is_empty());
        let (said, function) = chunks(&site, &whole).await.unwrap();
        assert_eq!((said, function), (parts.clone(), Chunking::Unknown), "not as it would be cut here");
        // Once more: it stays what it is.
        register(&site, &whole, &parts, 5).await.unwrap();
    }
}

#[tokio::test]
async fn how_a_client_cut_a_blob_is_told_as_it_was_said() {
    let (site, _store) = Site::serving().await;
    // Of sizes that say nothing about it.
    for (said, told) in [(0, 0), (1, 1), (2, 2), (99, 0)] {
        let bodies = [noise(200_000, 10 + said as u64), noise(200_000, 20)];
        let parts = [site.put(&bodies[0]).await, site.put(&bodies[1]).await];
        let whole = digest(&bodies.concat());
        let first = RegisterChunkMappingRequest {
            blob_digest: Some(whole.clone()),
            digest_function: SHA256,
            chunking_function: said,
            chunk_digests: parts.to_vec(),
            ..Default::default()
        };
        // Nobody looks at this any more.
        let second = RegisterChunkMappingRequest { chunking_function: 1, ..Default::default() };
        site.cas().await.register_chunk_mapping(tokio_stream::iter([first, second])).await.unwrap();
        assert_eq!(chunks(&site, &whole).await.unwrap().1 as i32, told, "{said}");
    }
    let bodies = [noise(1000, 1), noise(1000, 2)];
    let parts = [site.put(&bodies[0]).await, site.put(&bodies[1]).await];
    let request = SpliceBlobRequest {
        blob_digest: Some(digest(&bodies.concat())),
        chunk_digests: parts.to_vec(),
        chunking_function: 1,
        ..Default::default()
    };
    site.cas().await.splice_blob(request).await.unwrap();
    assert_eq!(chunks(&site, &digest(&bodies.concat())).await.unwrap().1, Chunking::FastCdc2020);
}

#[tokio::test]
async fn what_is_not_the_blob_is_refused_and_leaves_nothing() {
    let (site, _store) = Site::serving().await;
    let (one, two) = (noise(1000, 1), noise(1000, 2));
    let parts = [site.put(&one).await, site.put(&two).await];
    let whole = digest(&[one, two].concat());
    let swapped = [parts[1].clone(), parts[0].clone()];
    refused(register(&site, &whole, &swapped, 1).await, Code::InvalidArgument);
    refused(splice(&site, &whole, &swapped).await, Code::InvalidArgument);
    refused(register(&site, &whole, &parts[..1], 1).await, Code::InvalidArgument);
    refused(register(&site, &whole, &[], 1).await, Code::InvalidArgument);
    let absent = [parts[0].clone(), digest(&noise(1000, 3))];
    refused(register(&site, &whole, &absent, 1).await, Code::NotFound);
    refused(splice(&site, &whole, &absent).await, Code::NotFound);
    let no_digest = [parts[0].clone(), proto::Digest::default()];
    refused(register(&site, &whole, &no_digest, 1).await, Code::InvalidArgument);
    let functionless = RegisterChunkMappingRequest {
        blob_digest: Some(whole.clone()),
        chunk_digests: parts.to_vec(),
        ..Default::default()
    };
    let call = site.cas().await.register_chunk_mapping(tokio_stream::iter([functionless])).await;
    refused(call, Code::InvalidArgument);
    let nothing = site.cas().await.register_chunk_mapping(tokio_stream::iter([])).await;
    refused(nothing, Code::InvalidArgument);
    let endless = vec![digest(b"x"); 70_000];
    refused(register(&site, &whole, &endless, 10_000).await, Code::InvalidArgument);
    assert_eq!(site.missing(&[whole]).await, [2000]);
}

#[tokio::test]
async fn a_spliced_blob_counts_as_missing_without_one_of_its_chunks() {
    let (site, store) = Site::serving().await;
    let (one, two) = (noise(100_000, 1), noise(100_000, 2));
    let parts = [site.put(&one).await, site.put(&two).await];
    let whole = digest(&[one, two].concat());
    splice(&site, &whole, &parts).await.unwrap();
    let cache = kura_cache::Cache::new(store, site.runtime.clone());
    let lost = kura_cache::Digest::from_hex(kura_cache::DigestFunction::Sha256, parts[1].hash.as_bytes()).unwrap();
    let key = kura_cache::ArtifactKey::blob(&kura_cache::Scope::default(), &lost).unwrap();
    assert!(cache.delete(&key).await.unwrap());
    assert_eq!(site.missing(&[whole.clone(), parts[0].clone()]).await, [200_000]);
    refused(read(&mut site.byte_stream().await, &blob(&whole)).await, Code::NotFound);
}
