//! buildbox-casd as a proxy in front of Kura, as BuildStream's and BuildBox's workers run it: what is put into one is read through another that has
//! nothing of its own; in plain use, and where blobs travel as chunks. What it does by itself is seen in Kura over HTTP.
//! Under TLS a reader's proxy passes on what a writer's has stored.

use bazel_remote_apis::build::bazel::remote::execution::v2::{ActionResult, OutputFile};
use kura_e2e::{Casd, Client, Guarded, Kura, digest};

/// The proxy's instance whose blobs travel as chunks.
const CHUNKED: &str = "chunked";

/// The instance that is a proxy's own cache.
const LOCAL: &str = "local";

/// A proxy with an empty cache of its own.
fn proxy(kura: &Kura) -> Casd {
    let instances = ["--proxy-instance=".to_owned(), format!("--proxy-instance={CHUNKED}:")];
    let others = [format!("--enable-chunking-for-instance={CHUNKED}"), format!("--local-server-instance={LOCAL}")];
    Casd::start(&[&remotes(kura)[..], &instances, &others].concat())
}

fn remotes(kura: &Kura) -> [String; 3] {
    ["cas", "ac", "ra"].map(|service| format!("--{service}-remote={}", kura.url("")))
}

fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fastrand::fill(&mut bytes);
    bytes
}

#[test]
fn what_is_put_into_one_proxy_is_read_through_another() {
    let mut kura = Kura::start(&["--capacity", "1GiB"]);
    let one = proxy(&kura);
    let writer = Client::connect(one.address(), "");
    let (small, large) = (random(700), random(20 << 20));
    let blobs = [digest(&small), digest(&large)];
    assert_eq!(writer.missing(&blobs), blobs, "nothing is there yet");
    assert_eq!((writer.put(&small), writer.put(&large)), (blobs[0].clone(), blobs[1].clone()));
    assert!(writer.missing(&blobs).is_empty());
    for (blob, data) in blobs.iter().zip([&small, &large]) {
        assert!(kura.get(&format!("/cas/{}", blob.hash)).body == *data, "it has arrived");
    }
    let action = digest(b"action");
    let file = OutputFile { path: "out".to_owned(), digest: Some(blobs[1].clone()), ..OutputFile::default() };
    let result = ActionResult { output_files: vec![file], stdout_digest: Some(blobs[0].clone()), ..Default::default() };
    assert_eq!(writer.action_result(&action), None);
    writer.update_action_result(&action, &result);
    assert_eq!(kura.get(&format!("/ac/{}", action.hash)).status, 200, "it has arrived");
    let name = "urn:fdc:buildstream.build:2020:artifact:e2e";
    assert_eq!(writer.fetch_blob(name), None);
    writer.push_blob(name, &blobs[0]);

    let is_read = |kura: &Kura| {
        let other = proxy(kura);
        let reader = Client::connect(other.address(), "");
        assert!(reader.missing(&blobs).is_empty());
        // It asks for standard output with the result.
        let inlined = ActionResult { stdout_raw: small.clone(), ..result.clone() };
        assert!(reader.action_result(&action) == Some(inlined));
        assert_eq!(reader.fetch_blob(name).as_ref(), Some(&blobs[0]));
        assert!(reader.get(&blobs[0]).as_ref() == Some(&small) && reader.get(&blobs[1]).as_ref() == Some(&large));
    };
    kura.in_each_life(is_read);
    // The first proxy goes on where it was, too.
    let late = random(3 << 20);
    let blob = writer.put(&late);
    assert!(kura.get(&format!("/cas/{}", blob.hash)).body == late);
}

#[test]
fn under_tls_a_reader_reads_what_a_writer_wrote() {
    let guarded = Guarded::under_tls();
    let directory = tempfile::tempdir().unwrap();
    let proxy = |role: &str, token: &str| {
        let file = directory.path().join(role);
        std::fs::write(&file, token).unwrap();
        let known = [format!("--server-cert={}", guarded.ca()), format!("--access-token={}", file.display())];
        Casd::start(&[&remotes(&guarded.kura)[..], &known, &["--proxy-instance=".to_owned()]].concat())
    };
    let (written, own) = (random(3 << 20), random(700));
    let (writer, reader) = (proxy("writer", &guarded.writer), proxy("reader", &guarded.reader));
    let blob = Client::connect(writer.address(), "").put(&written);
    assert!(guarded.kura.get(&format!("/cas/{}", blob.hash)).body == written, "it has arrived");
    let reader = Client::connect(reader.address(), "");
    assert!(reader.get(&blob).as_ref() == Some(&written));
    let stored = guarded.kura.metrics().all_stored();
    let kept = reader.put(&own);
    assert!(reader.get(&kept).as_ref() == Some(&own), "the proxy keeps what it may not pass on");
    assert_eq!(guarded.kura.metrics().all_stored(), stored);
}

#[test]
fn what_is_put_straight_into_kura_is_read_through_a_proxy() {
    let kura = Kura::start(&["--capacity", "1GiB"]);
    let casd = proxy(&kura);
    let client = Client::connect(casd.address(), "");
    for length in [1, 100_000, 20 << 20] {
        let data = random(length);
        let blob = digest(&data);
        assert_eq!(client.get(&blob), None);
        assert_eq!(kura.put(&format!("/cas/{}", blob.hash), &data).status, 200);
        assert!(client.missing(std::slice::from_ref(&blob)).is_empty());
        assert!(client.get(&blob).as_ref() == Some(&data));
    }
}

#[test]
fn blobs_that_travel_as_chunks_arrive_whole_and_only_what_differs_travels() {
    let kura = Kura::start(&["--capacity", "1GiB"]);
    let (one, other) = (proxy(&kura), proxy(&kura));
    let mut data = random(20 << 20);
    let first = travels(&kura, &one, &other, &data);
    assert!(first.0 > 20 << 20 && first.1 > 20 << 20, "all of it is new: {first:?}");
    data[10 << 20] ^= 1;
    let second = travels(&kura, &one, &other, &data);
    assert!(second.0 < 5 << 20 && second.1 < 5 << 20, "one byte is new: {second:?}");
}

/// Moves a blob from one proxy's cache through Kura into another's. Returns how many bytes Kura received and sent for it.
fn travels(kura: &Kura, from: &Casd, to: &Casd, data: &[u8]) -> (u64, u64) {
    let moved = |what: &str| kura.metrics().of(&format!("kura_grpc_{what}_bytes_total"));
    let before = (moved("received"), moved("sent"));
    let blob = Client::connect(from.address(), LOCAL).put(data);
    Client::connect(from.address(), CHUNKED).move_blobs("UploadMissingBlobs", std::slice::from_ref(&blob));
    let received = moved("received") - before.0;
    let uploaded = moved("sent");
    Client::connect(to.address(), CHUNKED).move_blobs("FetchMissingBlobs", std::slice::from_ref(&blob));
    let sent = moved("sent") - uploaded;
    assert!(kura.get(&format!("/cas/{}", blob.hash)).body == data, "it has arrived");
    assert!(Client::connect(to.address(), LOCAL).get(&blob).as_deref() == Some(data));
    (received, sent)
}
