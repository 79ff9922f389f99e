//! No lost inputs: a client that was told what is there, and comes back for it within the lease, finds it, while others fill the cache ten times over.
//! Where more is promised than the budget can keep, that is counted, and an action result of which something is gone is a miss.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::time::Duration;

use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use kura_cache::{ArtifactKey, Attributes, Digest, Probe};
use kura_disk::sim::{Operation, Rule};
use prost::Message;
use support::{Life, Machine, SHA256, compressible, send};

const BUDGET: u64 = 4 << 20;

/// Lengths of blobs: of those that lie beside others, and of those with a segment of their own.
const LENGTHS: [usize; 4] = [40, 3000, 12_000, 90_000];

/// Within the lease of three hours, by a minute that it is rounded to.
const LATE: Duration = Duration::from_secs(3 * 3600 - 60);

fn spelled(digest: &Digest) -> reapi::Digest {
    reapi::Digest { hash: digest.to_string(), size_bytes: digest.size().unwrap().try_into().unwrap() }
}

fn body(number: usize) -> Vec<u8> {
    compressible(1_000_000 + number as u64, LENGTHS[number % LENGTHS.len()])
}

/// An action whose result names two files, a tree with a file, and what was printed.
struct Action {
    key: ArtifactKey,
    named: Vec<Vec<u8>>,
}

impl Action {
    /// Stores what its result names, and the result.
    async fn run(life: &Life, number: usize) -> Action {
        let [one, two, within, printed] = [0, 1, 2, 3].map(|at| body(4 * number + at));
        let digest = |body: &[u8]| Some(spelled(&Digest::of(SHA256, body)));
        let file = reapi::FileNode { name: "f".into(), digest: digest(&within), ..Default::default() };
        let root = reapi::Directory { files: vec![file], ..Default::default() };
        let tree = reapi::Tree { root: Some(root), children: vec![] }.encode_to_vec();
        let file = |body: &[u8]| reapi::OutputFile { digest: digest(body), ..Default::default() };
        let directory = reapi::OutputDirectory { tree_digest: digest(&tree), ..Default::default() };
        let result = reapi::ActionResult {
            output_files: vec![file(&one), file(&two)],
            output_directories: vec![directory],
            stdout_digest: digest(&printed),
            ..Default::default()
        };
        let named = vec![one, two, within, printed, tree];
        for body in &named {
            life.add(body).await;
        }
        let action = Digest::of(SHA256, &number.to_le_bytes());
        let key = ArtifactKey::action(&life.scope, &action).unwrap();
        let (result, attributes) = (result.encode_to_vec(), Attributes::default());
        send(life.cache.put(&key, attributes, Some(result.len() as u64)).await.unwrap(), &result).await.unwrap();
        Action { key, named }
    }

    /// Whether its result is served.
    async fn is_told(&self, life: &Life) -> bool {
        life.cache.get(&self.key).await.unwrap().is_some()
    }

    /// Whether all that its result names is there, as it was.
    async fn is_whole(&self, life: &Life) -> bool {
        for body in &self.named {
            match life.get(&Digest::of(SHA256, body)).await {
                Some(found) => assert!(found == body, "it has other bytes"),
                None => return false,
            }
        }
        true
    }
}

/// Others fill the cache so many times over, while `duration` passes.
async fn others_fill(life: &Life, times: u64, duration: Duration) {
    const STEPS: u32 = 50;
    for _ in 0..STEPS {
        life.fill(times * BUDGET / u64::from(STEPS)).await;
        life.wait(duration / STEPS).await;
    }
}

#[test]
fn blobs_that_were_not_missing_are_there_within_the_lease() {
    Machine::with_budget(BUDGET).live(async |life: Life| {
        let mut digests = Vec::new();
        let mut bytes = 0;
        for number in 0.. {
            let body = body(number);
            bytes += body.len() as u64;
            if bytes > BUDGET / 2 {
                break;
            }
            digests.push(life.add(&body).await);
        }
        let unasked = life.add(&body(digests.len())).await;
        let mut probe = Probe::new(&life.cache, &life.scope);
        for digest in &digests {
            assert!(probe.find(digest).await.unwrap().is_some(), "{digest} is not missing");
        }
        others_fill(&life, 10, LATE).await;
        for (number, digest) in digests.iter().enumerate() {
            assert!(life.get(digest).await.is_some_and(|found| found == body(number)), "{number}: it was promised");
        }
        assert!(!life.has(&unasked).await, "what nobody asked for is gone");
        assert_eq!(life.store.stats().lost_leases, 0);
    });
}

#[test]
fn what_a_served_action_result_names_is_there_within_the_lease() {
    Machine::with_budget(BUDGET).live(async |life: Life| {
        let mut actions = Vec::new();
        // Of some 105 KB each.
        for number in 0..18 {
            let action = Action::run(&life, number).await;
            assert!(action.is_told(&life).await);
            actions.push(action);
        }
        others_fill(&life, 10, LATE).await;
        for (number, action) in actions.iter().enumerate() {
            assert!(action.is_whole(&life).await, "{number}: it was promised");
            assert!(action.is_told(&life).await);
        }
        assert_eq!(life.store.stats().lost_leases, 0);
    });
}

#[test]
fn where_more_is_promised_than_fits_it_is_counted_and_what_is_not_whole_is_a_miss() {
    Machine::with_budget(BUDGET).live(async |life: Life| {
        let mut actions = Vec::new();
        for number in 0..60 {
            let action = Action::run(&life, number).await;
            // What is new gives way before what was promised: not even this one need be whole.
            action.is_told(&life).await;
            actions.push(action);
            life.wait(Duration::from_secs(1)).await;
        }
        assert!(life.store.stats().lost_leases > 0, "more was promised than fits");
        let mut withheld = 0;
        for (number, action) in actions.iter().enumerate() {
            if action.is_told(&life).await {
                assert!(action.is_whole(&life).await, "{number}: what was told now is there");
            } else if life.cache.present(&action.key).await.unwrap().is_some() {
                withheld += 1;
                assert!(!action.is_whole(&life).await, "{number}: it is withheld only because something is gone");
            }
        }
        assert!(withheld > 0, "some results are there, and not what they name");
    });
}

#[test]
fn what_a_clean_that_failed_may_have_ended_is_asked_for_again_and_then_kept() {
    for seed in 0..20 {
        let mut machine = Machine::with_seed(seed, BUDGET);
        machine.live(async |life: Life| {
            let digest = life.add(&body(1)).await;
            life.wait(Duration::from_secs(2)).await;
            let fails = Rule { operation: Some(Operation::Write), path: "segments/", after: 0, times: 1, errno: 5 };
            life.disk.faults(|faults| faults.fail(fails));
            life.cache.clean(&life.scope).await.expect_err("the device refuses it");
            assert!(!life.has(&digest).await, "the next start may find the clean");
            life.add(&body(1)).await;
            assert!(life.has(&digest).await);
        });
        machine
            .live(async |life: Life| assert!(life.get(&Digest::of(SHA256, &body(1))).await.is_some(), "seed {seed}"));
    }
}
