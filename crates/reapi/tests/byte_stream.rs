//! ByteStream: blobs of any size, up and down, and everything that is refused.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use bazel_remote_apis::google::bytestream::{QueryWriteStatusRequest, WriteRequest};
use support::{Site, blob, digest, messages, noise, ranged, read, refused, sent, upload, written};
use tonic::Code;

#[tokio::test]
async fn what_was_written_is_read_whatever_its_size_and_however_it_was_cut() {
    let (site, _store) = Site::serving().await;
    let mut client = site.byte_stream().await;
    for (length, piece) in [
        (0, 1),
        (1, 1),
        (2, 16 << 10),
        (1000, 7),
        (16 << 10, 16 << 10),
        (300_000, 4 << 10),
        (1 << 20, 1 << 20),
        ((5 << 20) + 3, 64 << 10),
        (9 << 20, 2 << 20),
        (4 << 20, 4 << 20),
    ] {
        let data = noise(length, length as u64);
        let digest = digest(&data);
        assert_eq!(written(&mut client, &upload(&digest), &data, piece).await.unwrap(), length as i64);
        assert!(read(&mut client, &blob(&digest)).await.unwrap() == data, "{length} bytes in pieces of {piece}");
        assert!(site.missing(&[digest]).await.is_empty());
    }
}

#[tokio::test]
async fn an_upload_may_end_with_an_empty_message() {
    let (site, _store) = Site::serving().await;
    let data = noise(100_000, 1);
    let name = upload(&digest(&data));
    let mut all = messages(&name, &data, 10_000);
    all.last_mut().unwrap().finish_write = false;
    let end = WriteRequest { write_offset: 100_000, finish_write: true, ..Default::default() };
    // A client may also say nothing for a while.
    let nothing = WriteRequest { write_offset: 50_000, ..Default::default() };
    all.insert(5, nothing);
    all.push(end);
    assert_eq!(sent(&mut site.byte_stream().await, all).await.unwrap(), 100_000);
}

#[tokio::test]
async fn an_upload_of_what_exists_is_answered_before_it_is_sent() {
    let (site, _store) = Site::serving().await;
    let data = noise(3 << 20, 1);
    let digest = site.put(&data).await;
    let mut client = site.byte_stream().await;
    // The first message is all that is ever sent.
    let (more, rest) = tokio::sync::mpsc::channel(1);
    let mut first = messages(&upload(&digest), &data, 1 << 20).swap_remove(0);
    first.finish_write = false;
    more.send(first).await.unwrap();
    let response = client.write(tokio_stream::wrappers::ReceiverStream::new(rest)).await.unwrap();
    assert_eq!(response.into_inner().committed_size, 3 << 20);
    drop(more);
    assert_eq!(written(&mut client, &upload(&digest), &data, 1 << 20).await.unwrap(), 3 << 20);
    assert_eq!(site.metric("kura_cache_stored_total{kind=\"cas\"}").await, 1);
}

#[tokio::test]
async fn two_uploads_of_one_blob_at_once_both_succeed() {
    let (site, _store) = Site::serving().await;
    let data = noise(2 << 20, 1);
    let name = upload(&digest(&data));
    let other_name = name.replace("0e8f", "1e8f");
    let (mut first, mut second) = (site.byte_stream().await, site.byte_stream().await);
    let uploads =
        tokio::join!(written(&mut first, &name, &data, 64 << 10), written(&mut second, &other_name, &data, 64 << 10));
    assert_eq!((uploads.0.unwrap(), uploads.1.unwrap()), (2 << 20, 2 << 20));
    assert!(read(&mut first, &blob(&digest(&data))).await.unwrap() == data);
}

#[tokio::test]
async fn a_body_of_another_digest_or_size_is_refused_and_leaves_nothing() {
    let (site, _store) = Site::serving().await;
    let mut client = site.byte_stream().await;
    for length in [10_usize, 2 << 20] {
        let data = noise(length, 1);
        let name = upload(&digest(&data));
        refused(written(&mut client, &name, &noise(length, 2), 64 << 10).await, Code::InvalidArgument);
        refused(written(&mut client, &name, &data[1..], 64 << 10).await, Code::InvalidArgument);
        let longer = [&data[..], b"x"].concat();
        refused(written(&mut client, &name, &longer, 64 << 10).await, Code::InvalidArgument);
        assert_eq!(site.missing(&[digest(&data)]).await, [length as i64]);
        refused(read(&mut client, &blob(&digest(&data))).await, Code::NotFound);
        assert_eq!(written(&mut client, &name, &data, 64 << 10).await.unwrap(), length as i64);
    }
}

#[tokio::test]
async fn messages_that_do_not_fit_together_are_refused() {
    let (site, _store) = Site::serving().await;
    let mut client = site.byte_stream().await;
    let data = noise(1000, 1);
    let name = upload(&digest(&data));
    let good = || messages(&name, &data, 100);

    let mut nameless = good();
    nameless[0].resource_name.clear();
    refused(sent(&mut client, nameless).await, Code::InvalidArgument);

    let mut renamed = good();
    renamed[3].resource_name = upload(&digest(b"other"));
    refused(sent(&mut client, renamed).await, Code::InvalidArgument);

    let mut named_again = good();
    named_again[3].resource_name.clone_from(&name);
    assert_eq!(sent(&mut client, named_again).await.unwrap(), 1000);

    for (at, offset) in [(0, 100), (0, -1), (3, 0), (3, 301), (3, i64::MIN)] {
        let data = noise(1000, 2);
        let mut elsewhere = messages(&upload(&digest(&data)), &data, 100);
        elsewhere[at].write_offset = offset;
        refused(sent(&mut client, elsewhere).await, Code::InvalidArgument);
    }

    let data = noise(1000, 3);
    let mut finished_early = messages(&upload(&digest(&data)), &data, 100);
    finished_early[8].finish_write = true;
    refused(sent(&mut client, finished_early).await, Code::InvalidArgument);
    assert_eq!(site.missing(&[digest(&data)]).await, [1000]);
}

#[tokio::test]
async fn names_that_are_none_and_blobs_that_are_too_large_are_refused_before_a_byte_is_read() {
    let (site, store) = Site::serving().await;
    let mut client = site.byte_stream().await;
    for name in ["", "blobs", "uploads/x", "uploads/x/blobs/abc/3", "uploads/x/compressed-blobs/lzma/abc/3"] {
        refused(written(&mut client, name, b"abc", 10).await, Code::InvalidArgument);
        refused(read(&mut client, name).await, Code::InvalidArgument);
        refused(
            client.query_write_status(QueryWriteStatusRequest { resource_name: name.to_owned() }).await,
            Code::InvalidArgument,
        );
    }
    let mut huge = digest(b"abc");
    huge.size_bytes = store.max_artifact_size() as i64 + 1;
    refused(written(&mut client, &upload(&huge), b"abc", 10).await, Code::InvalidArgument);
}

#[tokio::test]
async fn a_range_of_a_blob_is_read() {
    let (site, _store) = Site::serving().await;
    let mut client = site.byte_stream().await;
    for length in [1000_usize, 3 << 20] {
        let data = noise(length, 1);
        let name = blob(&site.put(&data).await);
        let whole = length as i64;
        for (offset, limit) in [
            (0, 0),
            (1, 0),
            (0, 1),
            (10, 20),
            (whole - 1, 0),
            (whole - 1, 100),
            (whole, 0),
            (0, whole + 100),
            (5, i64::MAX),
            (whole / 2, 0),
        ] {
            let end = if limit == 0 { whole } else { whole.min(offset.saturating_add(limit)) };
            let (part, _) = ranged(&mut client, &name, offset, limit).await.unwrap();
            assert!(part == data[offset as usize..end as usize], "{offset}+{limit} of {length}");
        }
        refused(ranged(&mut client, &name, whole + 1, 0).await, Code::OutOfRange);
        refused(ranged(&mut client, &name, -1, 0).await, Code::OutOfRange);
        refused(ranged(&mut client, &name, 0, -1).await, Code::InvalidArgument);
    }
}

#[tokio::test]
async fn a_blob_that_is_not_there_or_has_another_size_is_not_found() {
    let (site, _store) = Site::serving().await;
    let mut client = site.byte_stream().await;
    refused(read(&mut client, &blob(&digest(b"absent"))).await, Code::NotFound);
    let mut other = site.put(b"present").await;
    other.size_bytes += 1;
    refused(read(&mut client, &blob(&other)).await, Code::NotFound);
    assert_eq!(site.missing(&[other]).await, [8]);
    // The empty blob is always there.
    assert!(read(&mut client, &blob(&digest(b""))).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_status_of_an_upload_is_its_size_once_it_is_complete() {
    let (site, _store) = Site::serving().await;
    let mut client = site.byte_stream().await;
    let data = noise(1000, 1);
    let name = upload(&digest(&data));
    let ask = || QueryWriteStatusRequest { resource_name: name.clone() };
    let before = client.query_write_status(ask()).await.unwrap().into_inner();
    assert_eq!((before.committed_size, before.complete), (0, false));
    written(&mut client, &name, &data, 100).await.unwrap();
    let after = client.query_write_status(ask()).await.unwrap().into_inner();
    assert_eq!((after.committed_size, after.complete), (1000, true));
}

#[tokio::test]
async fn instances_do_not_see_each_others_blobs() {
    let (site, _store) = Site::serving().await;
    let mut client = site.byte_stream().await;
    let digest = digest(b"mine");
    written(&mut client, &format!("acme/ios/{}", upload(&digest)), b"mine", 10).await.unwrap();
    assert_eq!(read(&mut client, &format!("acme/ios/{}", blob(&digest))).await.unwrap(), b"mine");
    for other in ["", "ios/", "acme/android/", "other/ios/"] {
        refused(read(&mut client, &format!("{other}{}", blob(&digest))).await, Code::NotFound);
    }
}
