//! A namespace over a trusted one: it reads all of it, and nothing that it writes is seen from outside.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::time::Duration;

use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use bytes::Bytes;
use kura_cache::{
    ArtifactKey, Attributes, Digest, Error, Kind, Listing, Namespace, Overlay, OverlaySettings, PartLimits, PartNumber,
    Probe, Scope,
};
use prost::Message;
use support::{Life, SHA256, compressible, live, live_with, send};

const LIMITS: PartLimits = PartLimits { part: 1 << 20, whole: 4 << 20 };

/// The same machine, as whoever has that overlay sees it.
fn over(life: &Life, name: &'static str) -> Life {
    let overlay = Some(Overlay::parse(name).unwrap());
    Life { scope: Scope { overlay, ..life.scope.clone() }, ..life.clone() }
}

fn keyed(life: &Life) -> ArtifactKey {
    ArtifactKey::keyed(&life.scope, Kind::Gradle, b"key").unwrap()
}

async fn set(life: &Life, body: &[u8]) -> Result<(), Error> {
    send(life.cache.put(&keyed(life), Attributes::default(), Some(body.len() as u64)).await?, body).await.map(drop)
}

async fn value(life: &Life) -> Option<Bytes> {
    value_of(life, &keyed(life)).await
}

async fn value_of(life: &Life, key: &ArtifactKey) -> Option<Bytes> {
    let found = life.cache.get(key).await.unwrap();
    assert_eq!(found.is_some(), life.cache.present(key).await.unwrap().is_some());
    Some(found?.body.collect().await.unwrap())
}

#[test]
fn an_overlay_lists_what_it_reads() {
    live(async |life| {
        let (one, two) = (over(&life, "pr/1"), over(&life, "pr/2"));
        let put = async |life: &Life, key: &str, body: &[u8]| {
            let key = ArtifactKey::keyed(&life.scope, Kind::S3, key.as_bytes()).unwrap();
            let upload = life.cache.put(&key, Attributes::default(), Some(body.len() as u64)).await.unwrap();
            send(upload, body).await.unwrap();
        };
        put(&life, "trusted", b"1").await;
        put(&life, "both", b"1").await;
        put(&one, "both", b"22").await;
        put(&one, "own", b"333").await;
        let listed = async |life: &Life| {
            let of = Listing { scope: &life.scope, kind: Kind::S3, prefix: b"" };
            let (window, _) = life.cache.list(of, b"").await.unwrap();
            let listed = life.cache.listed(of, &window, b"");
            listed
                .map(|one| format!("{} {}", String::from_utf8_lossy(one.key), one.presence.length))
                .collect::<Vec<_>>()
        };
        assert_eq!(listed(&one).await, ["both 2", "own 3", "trusted 1"]);
        for other in [&life, &two] {
            assert_eq!(listed(other).await, ["both 1", "trusted 1"]);
        }
    });
}

#[test]
fn an_overlay_reads_what_is_below_and_what_it_writes_is_its_own() {
    live(async |life| {
        let (one, two) = (over(&life, "pr/1"), over(&life, "pr/2"));
        set(&life, b"trusted").await.unwrap();
        assert_eq!(value(&one).await.unwrap(), "trusted");
        set(&one, b"poisoned").await.unwrap();
        assert_eq!(value(&one).await.unwrap(), "poisoned");
        assert_eq!((value(&life).await.unwrap(), value(&two).await.unwrap()), ("trusted".into(), "trusted".into()));
        set(&life, b"trusted again").await.unwrap();
        assert_eq!(
            (value(&one).await.unwrap(), value(&two).await.unwrap()),
            ("poisoned".into(), "trusted again".into())
        );
        life.cache.clean(&one.scope).await.unwrap();
        assert_eq!(value(&one).await.unwrap(), "trusted again", "what was dropped is gone, and nothing else");
        assert_eq!(value(&life).await.unwrap(), "trusted again");
    });
}

#[test]
fn blobs_are_shared_downwards_only() {
    live(async |life| {
        let (one, two) = (over(&life, "1"), over(&life, "2"));
        let below = life.add(b"below").await;
        let written = life.store.stats().bytes_written;
        assert_eq!(one.add(b"below").await, below);
        assert_eq!(life.store.stats().bytes_written, written, "what is below is not stored again");
        let own = one.add(b"own").await;
        for (who, there) in [(&one, true), (&two, false), (&life, false)] {
            assert_eq!((who.has(&own).await, who.get(&own).await.is_some()), (there, there));
            assert!(who.has(&below).await);
            let mut probe = Probe::new(&who.cache, &who.scope);
            [own, below]
                .iter()
                .for_each(|digest| probe.ask(digest.function(), digest.hash(), digest.size().unwrap()).unwrap());
            assert_eq!(probe.answers().await, [Some(there), Some(true)]);
        }
        one.delete(&own).await;
        assert!(!one.cache.delete(&one.blob(&below)).await.unwrap() && life.has(&below).await);
    });
}

#[test]
fn a_result_in_an_overlay_may_name_what_is_below() {
    live(async |life| {
        let one = over(&life, "1");
        let files = [life.add(b"below").await, one.add(b"own").await];
        let file = |digest: &Digest| reapi::OutputFile {
            path: digest.to_string(),
            digest: Some(reapi::Digest { hash: digest.to_string(), size_bytes: digest.size().unwrap().cast_signed() }),
            ..Default::default()
        };
        let result = reapi::ActionResult { output_files: files.iter().map(file).collect(), ..Default::default() };
        let result = result.encode_to_vec();
        let action = Digest::of(SHA256, b"action");
        let key = |life: &Life| ArtifactKey::action(&life.scope, &action).unwrap();
        let upload = one.cache.put(&key(&one), Attributes::default(), Some(result.len() as u64)).await.unwrap();
        send(upload, &result).await.unwrap();
        assert!(one.cache.get(&key(&one)).await.unwrap().is_some());
        assert!(life.cache.get(&key(&life)).await.unwrap().is_none());
        life.delete(&files[0]).await;
        assert!(one.cache.get(&key(&one)).await.unwrap().is_none(), "it is complete or absent there too");
    });
}

#[test]
fn blobs_of_several_and_artifacts_in_parts_are_read_through_an_overlay() {
    live(async |life| {
        let one = over(&life, "1");
        let (below, own) = (compressible(1, 5000), compressible(2, 7000));
        let parts = [life.add(&below).await, one.add(&own).await];
        let whole = [below, own].concat();
        let digest = Digest::of(SHA256, &whole);
        one.splice(&digest, &parts).await.unwrap();
        assert_eq!(one.get(&digest).await.unwrap(), whole);
        assert!(!life.has(&digest).await && life.get(&digest).await.is_none());

        let module = |life: &Life| ArtifactKey::keyed(&life.scope, Kind::Module, b"builds/hash/name").unwrap();
        let upload = life.cache.start_multipart(&module(&life), Attributes::default()).await.unwrap();
        let mut part = upload.put_part(PartNumber::new(1).unwrap(), Some(6), LIMITS).await.unwrap();
        part.write(Bytes::from_static(b"module")).await.unwrap();
        part.commit().await.unwrap();
        assert!(one.cache.multipart(&one.scope, upload.id()).await.unwrap().is_none(), "nor gone on with from above");
        upload.complete(upload.parts().await.unwrap(), None, LIMITS).await.unwrap();
        assert_eq!(value_of(&one, &module(&one)).await.unwrap(), "module");
    });
}

#[test]
fn an_overlay_takes_no_more_than_its_quota_and_evicts_nothing() {
    let overlays = OverlaySettings { quota: 10_000, ..OverlaySettings::default() };
    live_with(kura_cache::Settings { overlays, ..Default::default() }, async |life| {
        let (one, two) = (over(&life, "1"), over(&life, "2"));
        let first = one.add(&compressible(1, 6000)).await;
        assert!(matches!(set(&one, &[1; 6000]).await, Err(Error::Quota { limit: 10_000 })));
        set(&one, &[1; 3000]).await.unwrap();
        // Of a body of unknown length each piece counts.
        let unknown = one.cache.put(&keyed(&one), Attributes::default(), None).await.unwrap();
        assert!(matches!(send(unknown, &[2; 6000]).await, Err(Error::Quota { .. })));
        assert!(one.has(&first).await && value(&one).await.unwrap() == vec![1; 3000]);
        set(&two, &[1; 6000]).await.unwrap();
        set(&life, &[1; 60_000]).await.unwrap();
    });
}

#[test]
fn what_an_overlay_wrote_is_not_there_any_more_when_it_is_too_old() {
    let overlays = OverlaySettings { age: Duration::from_secs(3600), ..OverlaySettings::default() };
    live_with(kura_cache::Settings { overlays, ..Default::default() }, async |life| {
        let one = over(&life, "1");
        set(&life, b"trusted").await.unwrap();
        set(&one, b"poisoned").await.unwrap();
        let own = one.add(b"own").await;
        let listed = async || {
            let of = Listing { scope: &one.scope, kind: Kind::Gradle, prefix: b"" };
            let (window, _) = life.cache.list(of, b"").await.unwrap();
            life.cache.listed(of, &window, b"").map(|one| one.presence.length).collect::<Vec<_>>()
        };
        life.wait(Duration::from_secs(3599)).await;
        assert!(one.has(&own).await && value(&one).await.unwrap() == "poisoned");
        assert_eq!(listed().await, [8], "its own, and not what is below it");
        life.wait(Duration::from_secs(2)).await;
        assert!(!one.has(&own).await && one.get(&own).await.is_none());
        assert_eq!(listed().await, [7], "what is below");
        assert_eq!(value(&one).await.unwrap(), "trusted");
    });
}

#[test]
fn no_name_leads_into_an_overlay() {
    assert!(Overlay::parse("a\u{1f}b").is_err() && Namespace::parse("default\u{1f}1").is_err());
    live(async |life| {
        // Two that are spelled alike when put together are two.
        let place = |namespace: &'static str, overlay: &'static str| Life {
            scope: Scope {
                namespace: Namespace::parse(namespace).unwrap(),
                overlay: Some(Overlay::parse(overlay).unwrap()),
                ..Scope::default()
            },
            ..life.clone()
        };
        set(&place("a", "b/c"), b"one").await.unwrap();
        assert_eq!(value(&place("a/b", "c")).await, None);
        assert_eq!(value(&place("a", "b")).await, None);
    });
}
