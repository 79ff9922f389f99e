//! LLVM's compilation cache: objects by the ids that the server gives them, values by the keys that the client makes.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use kura_http::ServerSettings;
use kura_reapi::ReapiSettings;
use support::llvm::{CasBlob, CasBytes, CasObject, CasPutRequest, CasSaveRequest, Contents, Llvm, Value, object};
use support::{Site, digest, noise, refused};
use tonic::Code;

async fn client(site: &Site) -> Llvm {
    Llvm::new(site.channel().await)
}

fn value(entries: &[(&str, &[u8])]) -> Value {
    Value { entries: entries.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect() }
}

#[tokio::test]
async fn an_object_comes_back_with_its_references_and_its_blob_without() {
    let (site, _store) = Site::serving().await;
    let mut llvm = client(&site).await;
    let leaf = llvm.put(b"leaf", &[]).await.unwrap();
    assert_eq!(leaf.len(), 32);
    assert_eq!(llvm.put(b"leaf", &[]).await.unwrap(), leaf);
    assert_eq!(llvm.save(b"leaf").await.unwrap(), leaf, "a blob is an object without references");
    let node = llvm.put(b"leaf", &[leaf.clone(), leaf.clone()]).await.unwrap();
    assert_ne!(node, leaf, "references are part of what an object is");
    // Whether the client would like a file or not: it gets the bytes.
    for on_disk in [false, true] {
        assert_eq!(llvm.get(&node, on_disk).await.unwrap(), Some(object(b"leaf", &[leaf.clone(), leaf.clone()])));
        assert_eq!(llvm.load(&node, on_disk).await.unwrap(), Some(object(b"leaf", &[])));
        assert_eq!(llvm.load(&leaf, on_disk).await.unwrap(), Some(object(b"leaf", &[])));
    }
    // A client learns how long ids are by storing nothing.
    let nothing = llvm.put(b"", &[]).await.unwrap();
    assert_eq!(llvm.get(&nothing, false).await.unwrap(), Some(object(b"", &[])));
}

#[tokio::test]
async fn what_is_not_there_is_an_outcome_and_no_failure() {
    let (site, _store) = Site::serving().await;
    let mut llvm = client(&site).await;
    for id in [&[7; 32][..], b"llvmcas://of-another-server", &[1], &[0; 65]] {
        assert_eq!(llvm.get(id, false).await.unwrap(), None);
        assert_eq!(llvm.load(id, false).await.unwrap(), None);
    }
    assert_eq!(llvm.get_value(b"key").await.unwrap(), None);
    // Neither is a blob that came otherwise, and is no object.
    for blob in [&b""[..], b"blob", b"\x0a\x04\x0a\x03ab"] {
        let hash = site.put(blob).await.hash;
        let id: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&hash[2 * at..2 * at + 2], 16).unwrap()).collect();
        assert_eq!(llvm.get(&id, false).await.unwrap(), None, "{blob:?}");
    }
}

#[tokio::test]
async fn an_object_of_any_length_goes_both_ways_whatever_pieces_it_is_read_in() {
    let (site, _store) = Site::serving().await;
    let mut llvm = client(&site).await;
    let other = llvm.save(b"other").await.unwrap();
    for length in [127, 128, 64 << 10, 1 << 20, (1 << 20) + 1, 5 << 20, 20 << 20] {
        let data = noise(length, length as u64);
        let id = llvm.put(&data, std::slice::from_ref(&other)).await.unwrap();
        assert!(llvm.get(&id, true).await.unwrap() == Some(object(&data, std::slice::from_ref(&other))), "{length}");
        assert!(llvm.load(&id, true).await.unwrap() == Some(object(&data, &[])), "{length}");
    }
}

#[tokio::test]
async fn an_object_is_a_blob_like_any_other() {
    use prost::Message;
    let (site, _store) = Site::serving().await;
    let mut llvm = client(&site).await;
    let stored = object(b"contents", &[vec![9; 32]]).encode_to_vec();
    let id = llvm.put(b"contents", &[vec![9; 32]]).await.unwrap();
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, digest(&stored).hash);
    assert!(site.missing(&[digest(&stored)]).await.is_empty());
}

#[tokio::test]
async fn the_last_value_of_a_key_wins() {
    let (site, _store) = Site::serving().await;
    let mut llvm = client(&site).await;
    let (one, two) = (value(&[("a", b"1"), ("b", &[0, 255])]), value(&[("a", b"2")]));
    // Keys are any bytes.
    for key in [&b"key"[..], &[0, 0xff, b'/'], &[7; 768]] {
        llvm.put_value(key, Some(one.clone())).await.unwrap();
        assert_eq!(llvm.get_value(key).await.unwrap(), Some(one.clone()));
        llvm.put_value(key, Some(two.clone())).await.unwrap();
        assert_eq!(llvm.get_value(key).await.unwrap(), Some(two.clone()));
        llvm.put_value(key, Some(value(&[]))).await.unwrap();
        assert_eq!(llvm.get_value(key).await.unwrap(), Some(value(&[])), "nothing is a value too");
    }
    assert_eq!(site.metric("kura_cache_stored_total{kind=\"llvm\"}").await, 9);
}

#[tokio::test]
async fn what_cannot_be_right_is_refused_and_leaves_nothing() {
    let (site, store) = Site::serving().await;
    let mut llvm = client(&site).await;
    let file = |path: &str| Some(CasBytes { contents: Some(Contents::FilePath(path.to_owned())) });
    let before = store.stats().artifacts;
    let bad = [
        None,
        Some(CasObject::default()),
        Some(CasObject { blob: Some(CasBytes { contents: None }), ..CasObject::default() }),
        Some(CasObject { blob: file("/etc/hostname"), ..CasObject::default() }),
        Some(object(b"x", &[vec![1; 31]])),
        Some(object(b"x", &[Vec::new()])),
    ];
    for data in bad {
        refused(llvm.put_request(CasPutRequest { data }).await, Code::InvalidArgument);
    }
    let told = llvm.save_request(CasSaveRequest { data: Some(CasBlob { blob: file("/etc/hostname") }) }).await;
    assert!(refused(told, Code::InvalidArgument).message().contains("files"));
    refused(llvm.save_request(CasSaveRequest { data: None }).await, Code::InvalidArgument);
    refused(llvm.get(b"", false).await, Code::InvalidArgument);
    refused(llvm.get_value(b"").await, Code::InvalidArgument);
    refused(llvm.get_value(&[1; 769]).await, Code::InvalidArgument);
    refused(llvm.put_value(&[1; 769], Some(value(&[]))).await, Code::InvalidArgument);
    refused(llvm.put_value(b"key", None).await, Code::InvalidArgument);
    refused(llvm.put_value(b"key", Some(value(&[("a", &[1; 1 << 20])]))).await, Code::InvalidArgument);
    assert_eq!(store.stats().artifacts, before);
}

#[tokio::test]
async fn what_would_take_too_much_memory_is_refused() {
    let http = ServerSettings { memory: 32 << 20, ..ServerSettings::default() };
    let (site, _store) = Site::with(http, ReapiSettings::default()).await;
    let mut llvm = client(&site).await;
    refused(llvm.save(&noise(40 << 20, 1)).await, Code::ResourceExhausted);
    let id = llvm.save(&noise(20 << 20, 1)).await.unwrap();
    // It is read in pieces.
    assert!(llvm.load(&id, false).await.unwrap() == Some(object(&noise(20 << 20, 1), &[])));
    refused(llvm.save(&noise(65 << 20, 1)).await, Code::InvalidArgument);
}

#[tokio::test]
async fn all_of_it_is_served_over_a_unix_socket_too() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let site = Site::listening(
        ServerSettings::default(),
        ReapiSettings::default(),
        Some(tokio::net::UnixListener::bind(&socket).unwrap()),
    )
    .await;
    let _store = site.open().await;
    let uri = format!("unix:{}", socket.display());
    let mut llvm = Llvm::new(tonic::transport::Endpoint::from_shared(uri).unwrap().connect().await.unwrap());
    let id = llvm.put(b"object", &[]).await.unwrap();
    assert_eq!(llvm.load(&id, true).await.unwrap(), Some(object(b"object", &[])));
    llvm.put_value(b"key", Some(value(&[("value", &id)]))).await.unwrap();
    assert_eq!(llvm.get_value(b"key").await.unwrap(), Some(value(&[("value", &id)])));
    let mut other = client(&site).await;
    assert_eq!(other.get(&id, false).await.unwrap(), Some(object(b"object", &[])), "it is one cache");
}
