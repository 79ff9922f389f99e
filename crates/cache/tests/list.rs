//! Which keys a namespace holds: in order, whole, and within memory.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use bytes::Bytes;
use futures_util::future::join;
use kura_cache::{ArtifactKey, Attributes, Kind, Listing, Namespace, Scope, Settings, Workspace};
use support::{Life, Machine, live, live_with};

fn key(scope: &Scope, kind: Kind, key: &str) -> ArtifactKey {
    ArtifactKey::keyed(scope, kind, key.as_bytes()).unwrap()
}

async fn put(life: &Life, key: &ArtifactKey, body: &[u8]) {
    let mut upload = life.cache.put(key, Attributes::default(), Some(body.len() as u64)).await.unwrap();
    upload.write(Bytes::copy_from_slice(body)).await.unwrap();
    upload.commit().await.unwrap();
}

/// All keys and lengths, and in how many windows they came.
async fn all(life: &Life, of: Listing<'_>) -> (Vec<(String, u64)>, usize) {
    let (mut found, mut after, mut windows) = (Vec::new(), Vec::new(), 0);
    loop {
        let (window, _) = life.cache.list(of, &after).await.unwrap();
        windows += 1;
        let listed = life.cache.listed(of, &window, &after);
        found.extend(listed.map(|one| (String::from_utf8(one.key.to_vec()).unwrap(), one.presence.length)));
        if window.ends() {
            return (found, windows);
        }
        after = window.last().unwrap().to_vec();
    }
}

#[test]
fn a_list_is_in_order_and_holds_what_is_there_and_nothing_else() {
    live(async |life| {
        let other = Scope { namespace: Namespace::parse("other").unwrap(), ..Scope::default() };
        for (scope, kind, name) in [(&life.scope, Kind::Http, "http"), (&other, Kind::S3, "other")] {
            put(&life, &key(scope, kind, name), b"body").await;
        }
        for name in ["b/2", "a", "b/1", "c", "gone", "ä"] {
            put(&life, &key(&life.scope, Kind::S3, name), name.as_bytes()).await;
        }
        put(&life, &key(&life.scope, Kind::S3, "a"), b"longer").await;
        put(&life, &key(&life.scope, Kind::S3, "large"), &vec![7; 3 << 20]).await;
        assert!(life.cache.delete(&key(&life.scope, Kind::S3, "gone")).await.unwrap());
        let of = |prefix| Listing { scope: &life.scope, kind: Kind::S3, prefix };
        let (found, windows) = all(&life, of(b"")).await;
        let expected = [("a", 6), ("b/1", 3), ("b/2", 3), ("c", 1), ("large", 3 << 20), ("ä", 2)];
        assert_eq!((found, windows), (expected.map(|(key, length)| (key.to_owned(), length)).to_vec(), 1));
        let (found, _) = all(&life, of(b"b/")).await;
        assert_eq!(found.len(), 2);
        life.cache.clean(&life.scope).await.unwrap();
        assert!(all(&life, of(b"")).await.0.is_empty());
    });
}

#[test]
fn a_list_that_is_too_long_for_its_memory_comes_in_windows() {
    let settings = Settings { workspace: Workspace::within(0), ..Settings::default() };
    live_with(settings, async |life| {
        let name = |number: usize| format!("{number:05}{}", "x".repeat(1000));
        for number in 0..6000 {
            put(&life, &key(&life.scope, Kind::S3, &name(number)), b"").await;
        }
        let of = Listing { scope: &life.scope, kind: Kind::S3, prefix: b"" };
        let (found, windows) = all(&life, of).await;
        assert!(windows > 1 && found.len() == 6000, "{windows} windows of {}", found.len());
        assert!(found.iter().enumerate().all(|(at, (key, _))| *key == name(at)));
        let (window, id) = life.cache.list(of, b"").await.unwrap();
        let again = |id, after: &[u8]| life.cache.list_again(of, id, after).is_some();
        assert!(again(id, b"") && again(id, name(3).as_bytes()));
        assert!(!again(id, window.last().unwrap()), "what comes behind is in another");
        assert!(!again(id + 1, b""));
        let other = Listing { prefix: b"0", ..of };
        assert!(life.cache.list_again(other, id, b"").is_none());
    });
}

#[test]
fn what_reclaim_moves_meanwhile_is_seen() {
    live(async |life| {
        let keep: Vec<_> = (0..100).map(|number| key(&life.scope, Kind::S3, &format!("{number:03}"))).collect();
        for key in &keep {
            put(&life, key, &[1; 20_000]).await;
        }
        for key in &keep {
            life.cache.present(key).await.unwrap().unwrap();
        }
        let of = Listing { scope: &life.scope, kind: Kind::S3, prefix: b"" };
        let flood = async {
            for number in 0..400 {
                put(&life, &key(&life.scope, Kind::Http, &number.to_string()), &[2; 400_000]).await;
            }
        };
        let look = async {
            let mut seen = Vec::new();
            for _ in 0..20 {
                seen.push(all(&life, of).await.0.len());
            }
            seen
        };
        let (seen, ()) = join(look, flood).await;
        let left = all(&life, of).await.0.len();
        assert!(life.store.stats().evictions > 0, "reclaim has to move some");
        assert!(left == 100 && seen.iter().all(|seen| *seen == 100), "{seen:?}, {left}");
    });
}

#[test]
fn a_list_is_the_same_after_a_restart() {
    let mut machine = Machine::new();
    machine.live(async |life| {
        for number in 0..300 {
            put(&life, &key(&life.scope, Kind::S3, &number.to_string()), &[1; 50_000]).await;
        }
    });
    machine.live(async |life| {
        let of = Listing { scope: &life.scope, kind: Kind::S3, prefix: b"" };
        assert_eq!(all(&life, of).await.0.len(), 300);
    });
}
