//! Digest functions and zstd: every blob under each of its digests, and in each form, whatever form it came in.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use bazel_remote_apis::google::bytestream::QueryWriteStatusRequest;
use kura_cache::{Digest, DigestFunction};
use proto::batch_update_blobs_request::Request;
use proto::compressor::Value as Compressor;
use support::raw::{Connection, WRITE, framed, stepwise};
use support::{Site, blob, digest, noise, ranged, read, refused, sent, upload, written};
use tonic::Code;

const FUNCTIONS: [(DigestFunction, &str); 6] = [
    (DigestFunction::Sha256, "sha256"),
    (DigestFunction::Blake3, "blake3"),
    (DigestFunction::Sha1, "sha1"),
    (DigestFunction::Sha384, "sha384"),
    (DigestFunction::Sha512, "sha512"),
    (DigestFunction::Md5, "md5"),
];

/// Words: as compressible as source code.
fn text(length: usize) -> Vec<u8> {
    (0_u64..).flat_map(|number| format!("word{} ", number * number % 97).into_bytes()).take(length).collect()
}

fn compress(data: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(zstd_safe::compress_bound(data.len()));
    zstd_safe::compress(&mut frame, data, 1).unwrap();
    frame
}

fn decompress(frames: &[u8], length: usize) -> Vec<u8> {
    let mut data = Vec::with_capacity(length);
    zstd_safe::decompress(&mut data, frames).unwrap();
    data
}

fn compressed(name: &str) -> String {
    name.replace("blobs/", "compressed-blobs/zstd/")
}

#[tokio::test]
async fn a_blob_is_found_under_the_digest_of_any_function() {
    let (site, _store) = Site::serving().await;
    let (mut stream, mut cas) = (site.byte_stream().await, site.cas().await);
    for (function, name) in FUNCTIONS {
        let data = noise(200_000, function as u64);
        let hash = Digest::of(function, &data).to_string();
        let digest = proto::Digest { hash: hash.clone(), size_bytes: 200_000 };
        let resource = format!("blobs/{name}/{hash}/200000");
        let write = format!("uploads/id/{resource}");
        refused(written(&mut stream, &write, &noise(200_000, 99), 1 << 20).await, Code::InvalidArgument);
        assert_eq!(written(&mut stream, &write, &data, 1 << 20).await.unwrap(), 200_000);
        assert!(read(&mut stream, &resource).await.unwrap() == data);
        let inferred = read(&mut stream, &blob(&digest)).await;
        match function {
            // Of its length there is SHA-256 too.
            DigestFunction::Blake3 => drop(refused(inferred, Code::NotFound)),
            _ => assert!(inferred.unwrap() == data),
        }
        let other = proto::Digest { hash: Digest::of(function, b"other").to_string(), size_bytes: 5 };
        let one = Request { digest: Some(other.clone()), data: b"other".to_vec(), compressor: 0 };
        let request = proto::BatchUpdateBlobsRequest {
            requests: vec![one],
            digest_function: function as i32,
            ..Default::default()
        };
        let response = cas.batch_update_blobs(request).await.unwrap().into_inner();
        assert_eq!(response.responses[0].status.as_ref().unwrap().code, 0);
        let request = proto::FindMissingBlobsRequest {
            blob_digests: vec![digest, other],
            digest_function: function as i32,
            ..Default::default()
        };
        assert!(cas.find_missing_blobs(request).await.unwrap().into_inner().missing_blob_digests.is_empty());
    }
}

#[tokio::test]
async fn action_results_name_blobs_by_the_actions_function() {
    let (site, _store) = Site::serving().await;
    let mut client = site.action_cache().await;
    for (function, name) in FUNCTIONS {
        let named = |data: &[u8]| {
            Some(proto::Digest { hash: Digest::of(function, data).to_string(), size_bytes: data.len() as i64 })
        };
        let result = proto::ActionResult { stdout_digest: named(b"out"), ..Default::default() };
        let digest_function = function as i32;
        let update = proto::UpdateActionResultRequest {
            action_digest: named(b"action"),
            action_result: Some(result.clone()),
            digest_function,
            ..Default::default()
        };
        client.update_action_result(update).await.unwrap();
        let get =
            proto::GetActionResultRequest { action_digest: named(b"action"), digest_function, ..Default::default() };
        refused(client.get_action_result(get.clone()).await, Code::NotFound);
        let resource = format!("uploads/id/blobs/{name}/{}/3", named(b"out").unwrap().hash);
        written(&mut site.byte_stream().await, &resource, b"out", 3).await.unwrap();
        assert_eq!(client.get_action_result(get).await.unwrap().into_inner(), result);
    }
}

#[tokio::test]
async fn what_came_in_either_form_is_read_in_both() {
    let (site, _store) = Site::serving().await;
    let mut client = site.byte_stream().await;
    for length in [1, 3000, 300_000, 5 << 20] {
        let plain = noise(length, length as u64);
        let squeezed = text(length);
        site.put(&plain).await;
        let frames = compress(&squeezed);
        let name = compressed(&upload(&digest(&squeezed)));
        assert_eq!(written(&mut client, &name, &frames, 10_000).await.unwrap(), frames.len() as i64);
        assert!(read(&mut client, &compressed(&blob(&digest(&squeezed)))).await.unwrap() == frames, "untouched");
        for data in [plain, squeezed] {
            let name = blob(&digest(&data));
            assert!(read(&mut client, &name).await.unwrap() == data);
            let middle = length as i64 / 2;
            let (part, _) = ranged(&mut client, &name, middle, 10).await.unwrap();
            assert_eq!(part, data[length / 2..(length / 2 + 10).min(length)]);
            let frames = read(&mut client, &compressed(&name)).await.unwrap();
            assert!(decompress(&frames, length) == data);
            // An offset counts bytes of the content.
            let (frames, _) = ranged(&mut client, &compressed(&name), middle, 0).await.unwrap();
            assert!(decompress(&frames, length) == data[length / 2..]);
            refused(ranged(&mut client, &compressed(&name), 0, 1).await, Code::InvalidArgument);
            refused(ranged(&mut client, &compressed(&name), length as i64 + 1, 0).await, Code::OutOfRange);
        }
    }
}

#[tokio::test]
async fn a_compressed_upload_of_what_exists_is_answered_early_with_minus_one() {
    let (site, _store) = Site::serving().await;
    let mut client = site.byte_stream().await;
    let data = text(3 << 20);
    let name = upload(&digest(&data));
    let ask = || QueryWriteStatusRequest { resource_name: compressed(&name) };
    assert!(!client.query_write_status(ask()).await.unwrap().into_inner().complete);
    site.put(&data).await;
    assert_eq!(written(&mut client, &compressed(&name), &compress(&data), 1000).await.unwrap(), -1);
    let status = client.query_write_status(ask()).await.unwrap().into_inner();
    assert_eq!((status.committed_size, status.complete), (-1, true));
}

#[tokio::test]
async fn a_compressed_upload_whose_connection_broke_begins_anew() {
    let (site, _store) = Site::serving().await;
    let data = text(3 << 20);
    let (name, frames) = (compressed(&upload(&digest(&data))), compress(&data));
    let half = frames.len() / 2;
    let connection = Connection::new(&site).await;
    let (sender, body) = stepwise();
    let mut begun = support::messages(&name, &frames[..half], 64 << 10);
    begun.last_mut().unwrap().finish_write = false;
    begun.iter().for_each(|message| sender.send(framed(message)).unwrap());
    tokio::select! {
        _ = connection.call(WRITE, body) => panic!("it cannot have ended"),
        () = async { while site.metric("kura_grpc_received_bytes_total").await < half as u64 {} } => {}
    }
    connection.cut().await;
    while site.metric("kura_grpc_calls_total{method=\"Write\",code=\"CANCELLED\"}").await < 1 {}
    // What Bazel does: it asks where to go on, and goes on there.
    let mut client = site.byte_stream().await;
    let ask = QueryWriteStatusRequest { resource_name: name.clone() };
    let status = client.query_write_status(ask).await.unwrap().into_inner();
    assert_eq!((status.committed_size, status.complete), (0, false));
    let mut rest = support::messages(&name, &frames[half..], 64 << 10);
    rest.iter_mut().for_each(|message| message.write_offset += half as i64);
    refused(sent(&mut client, rest).await, Code::InvalidArgument);
    assert_eq!(written(&mut client, &name, &frames, 64 << 10).await.unwrap(), frames.len() as i64);
    assert!(read(&mut client, &blob(&digest(&data))).await.unwrap() == data);
}

#[tokio::test]
async fn what_does_not_decode_to_its_digest_is_refused_and_leaves_nothing() {
    let (site, _store) = Site::serving().await;
    let mut client = site.byte_stream().await;
    let data = text(300_000);
    let name = compressed(&upload(&digest(&data)));
    let frames = compress(&data);
    let bomb = compress(&vec![0; 100 << 20]);
    let bodies: [&[u8]; 6] =
        [&data, &frames[..frames.len() - 1], &frames[1..], &compress(&data[1..]), &[&frames[..], b"x"].concat(), &bomb];
    for body in bodies {
        refused(written(&mut client, &name, body, 10_000).await, Code::InvalidArgument);
        assert_eq!(site.missing(&[digest(&data)]).await, [300_000]);
    }
    let mut messages = support::messages(&name, &frames, 10);
    messages[1].write_offset += 1;
    refused(sent(&mut client, messages).await, Code::InvalidArgument);
    for other in ["deflate", "brotli", "lzma"] {
        refused(written(&mut client, &name.replace("zstd", other), &frames, 1000).await, Code::InvalidArgument);
    }
    assert_eq!(written(&mut client, &name, &frames, 1000).await.unwrap(), frames.len() as i64);
}

#[tokio::test]
async fn batches_take_and_give_zstd() {
    let (site, _store) = Site::serving().await;
    let mut client = site.cas().await;
    let bodies: Vec<Vec<u8>> = [10_usize, 5000, 500_000].map(text).to_vec();
    let zstd = Compressor::Zstd as i32;
    let as_zstd = |body: &Vec<u8>| Request { digest: Some(digest(body)), data: compress(body), compressor: zstd };
    let mut requests: Vec<Request> = bodies.iter().map(as_zstd).collect();
    requests.push(Request { compressor: zstd, digest: Some(digest(b"plain")), data: b"plain".to_vec() });
    requests.push(Request { compressor: 9, digest: Some(digest(b"plain")), data: b"plain".to_vec() });
    let request = proto::BatchUpdateBlobsRequest { requests, ..Default::default() };
    let response = client.batch_update_blobs(request).await.unwrap().into_inner();
    let codes: Vec<i32> = response.responses.iter().map(|response| response.status.as_ref().unwrap().code).collect();
    let bad = Code::InvalidArgument as i32;
    assert_eq!(codes, [0, 0, 0, bad, bad]);

    let plain = noise(1000, 1);
    site.put(&plain).await;
    let digests: Vec<_> = bodies.iter().chain([&plain]).map(|body| digest(body)).collect();
    for acceptable_compressors in [vec![], vec![0], vec![zstd], vec![zstd, 0, 2]] {
        let takes_zstd = acceptable_compressors.contains(&zstd);
        let request =
            proto::BatchReadBlobsRequest { digests: digests.clone(), acceptable_compressors, ..Default::default() };
        let response = client.batch_read_blobs(request).await.unwrap().into_inner();
        for (body, found) in bodies.iter().zip(&response.responses) {
            assert_eq!(found.compressor, if takes_zstd { zstd } else { 0 });
            assert!(found.data == if takes_zstd { compress(body) } else { body.clone() });
        }
        let last = response.responses.last().unwrap();
        assert!(last.compressor == 0 && last.data == plain, "as it is stored");
    }
}
