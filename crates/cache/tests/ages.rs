//! Values that are too old are not there, by whatever they are asked for; blobs are, at any age.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use kura_cache::{
    Ages, ArtifactKey, Attributes, Digest, Kind, Listing, Namespace, Overlay, PartLimits, PartNumber, Scope, Tenant,
    TenantAges,
};
use proptest::prelude::*;
use support::{Life, SHA256, live, send};

const HOUR: Duration = Duration::from_secs(3600);

fn keyed(scope: &Scope, name: &str) -> ArtifactKey {
    ArtifactKey::keyed(scope, Kind::S3, name.as_bytes()).unwrap()
}

async fn set(life: &Life, key: &ArtifactKey, body: &[u8]) {
    send(life.cache.put(key, Attributes::default(), Some(body.len() as u64)).await.unwrap(), body).await.unwrap();
}

/// The body, as all ways of asking tell of it.
async fn value(life: &Life, key: &ArtifactKey) -> Option<Bytes> {
    let found = life.cache.get(key).await.unwrap();
    assert_eq!(life.cache.present(key).await.unwrap().is_some(), found.is_some(), "{key:?}");
    let of = Listing { scope: key.scope(), kind: key.kind(), prefix: key.name() };
    if key.kind() == Kind::S3 && key.scope().overlay.is_none() {
        let (window, _) = life.cache.list(of, b"").await.unwrap();
        assert_eq!(life.cache.listed(of, &window, b"").next().is_some(), found.is_some(), "{key:?}");
    }
    Some(found?.body.collect().await.unwrap())
}

fn all(age: Duration) -> Ages {
    Ages { all: Some(age), ..Ages::default() }
}

#[test]
fn values_and_results_grow_old_and_blobs_do_not() {
    live(async |life| {
        let (blob, action) = (life.add(b"blob").await, Digest::of(SHA256, b"action"));
        let keys = [keyed(&life.scope, "key"), ArtifactKey::action(&life.scope, &action).unwrap()];
        for key in &keys {
            // The shortest action result: one that names nothing.
            set(&life, key, b"").await;
        }
        life.cache.replace_ages(all(HOUR));
        life.wait(HOUR - Duration::from_secs(1)).await;
        for key in &keys {
            assert!(value(&life, key).await.is_some());
        }
        life.wait(Duration::from_secs(2)).await;
        for key in &keys {
            assert!(value(&life, key).await.is_none());
            assert!(!life.cache.delete(key).await.unwrap(), "it was not there");
            set(&life, key, b"").await;
            assert!(value(&life, key).await.is_some(), "it was stored again");
        }
        assert!(life.has(&blob).await && life.get(&blob).await.is_some());
    });
}

#[test]
fn what_is_said_of_a_namespace_is_said_of_no_other_and_may_be_taken_back() {
    live(async |life| {
        let ios = Scope { namespace: Namespace::parse("ios").unwrap(), ..Scope::default() };
        let keys = [keyed(&life.scope, "key"), keyed(&ios, "key")];
        for key in &keys {
            set(&life, key, b"body").await;
        }
        life.wait(2 * HOUR).await;
        let namespaces = HashMap::from([(ios.namespace.clone(), HOUR)]);
        let tenants = HashMap::from([(Tenant::default(), TenantAges { all: None, namespaces })]);
        life.cache.replace_ages(Ages { all: None, tenants });
        assert!(value(&life, &keys[0]).await.is_some() && value(&life, &keys[1]).await.is_none());
        life.cache.replace_ages(Ages::default());
        assert!(value(&life, &keys[1]).await.is_some());
    });
}

#[test]
fn what_is_below_an_overlay_grows_old_there_too() {
    live(async |life| {
        let overlay = Some(Overlay::parse("1").unwrap());
        let (below, own) = (keyed(&life.scope, "below"), Scope { overlay, ..life.scope.clone() });
        set(&life, &below, b"trusted").await;
        life.wait(2 * HOUR).await;
        set(&life, &keyed(&own, "own"), b"own").await;
        life.cache.replace_ages(all(HOUR));
        assert_eq!(value(&life, &keyed(&own, "below")).await, None);
        assert_eq!(value(&life, &keyed(&own, "own")).await.unwrap(), "own");
        // What is too old in the overlay does not hide what is below it.
        life.wait(2 * HOUR).await;
        set(&life, &keyed(&life.scope, "own"), b"trusted").await;
        assert_eq!(value(&life, &keyed(&own, "own")).await.unwrap(), "trusted");
    });
}

#[test]
fn what_came_in_parts_is_as_old_as_its_completion() {
    const LIMITS: PartLimits = PartLimits { part: 1 << 20, whole: 4 << 20 };
    live(async |life| {
        life.cache.replace_ages(all(HOUR));
        let key = keyed(&life.scope, "parts");
        let upload = life.cache.start_multipart(&key, Attributes::default()).await.unwrap();
        let mut part = upload.put_part(PartNumber::new(1).unwrap(), Some(4), LIMITS).await.unwrap();
        part.write(Bytes::from_static(b"part")).await.unwrap();
        part.commit().await.unwrap();
        life.wait(2 * HOUR).await;
        upload.complete(upload.parts().await.unwrap(), None, LIMITS).await.unwrap();
        assert_eq!(value(&life, &key).await.unwrap(), "part");
        life.wait(2 * HOUR).await;
        assert_eq!(value(&life, &key).await, None);
        assert!(upload.made_of().await.unwrap().is_none());
    });
}

/// One step of a history: of these keys, in these namespaces.
#[derive(Debug, Clone)]
enum Step {
    Set(usize),
    Delete(usize),
    Wait(u64),
    /// Minutes that values of each namespace are there from now on.
    Say([Option<u64>; 2]),
}

fn step() -> impl Strategy<Value = Step> {
    let age = || prop::option::of(0..200_u64);
    prop_oneof![
        3 => (0..4_usize).prop_map(Step::Set),
        1 => (0..4_usize).prop_map(Step::Delete),
        3 => (1..100_u64).prop_map(Step::Wait),
        1 => [age(), age()].prop_map(Step::Say),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_there_is_what_was_stored_and_is_not_too_old(steps in prop::collection::vec(step(), 1..40)) {
        live(async |life| {
            let scope = |name: &'static str| Scope { namespace: Namespace::parse(name).unwrap(), ..Scope::default() };
            let scopes = [scope("one"), scope("two")];
            let keys: Vec<_> = (0..4).map(|at| keyed(&scopes[at / 2], ["a", "b"][at % 2])).collect();
            // When each was stored, in minutes.
            let (mut now, mut stored, mut ages) = (0, [None; 4], [None; 2]);
            let is_there = |now: u64, at: usize, stored: &[Option<u64>; 4], ages: &[Option<u64>; 2]| {
                stored[at].is_some_and(|since| ages[at / 2].is_none_or(|age| now - since <= age))
            };
            for step in steps {
                match step {
                    Step::Set(at) => {
                        set(&life, &keys[at], b"body").await;
                        stored[at] = Some(now);
                    }
                    Step::Delete(at) => {
                        let expected = is_there(now, at, &stored, &ages);
                        assert_eq!(life.cache.delete(&keys[at]).await.unwrap(), expected);
                        stored[at] = None;
                    }
                    Step::Wait(minutes) => {
                        life.wait(Duration::from_secs(minutes * 60)).await;
                        now += minutes;
                    }
                    Step::Say(said) => {
                        ages = said;
                        let of = |at: usize| {
                            let age = said[at].map(|minutes| Duration::from_secs(minutes * 60 + 30));
                            age.map(|age| (scopes[at].namespace.clone(), age))
                        };
                        let namespaces = [of(0), of(1)].into_iter().flatten().collect();
                        let tenants = HashMap::from([(Tenant::default(), TenantAges { all: None, namespaces })]);
                        life.cache.replace_ages(Ages { all: None, tenants });
                    }
                }
                for (at, key) in keys.iter().enumerate() {
                    assert_eq!(value(&life, key).await.is_some(), is_there(now, at, &stored, &ages), "{key:?}");
                }
            }
        });
    }
}
