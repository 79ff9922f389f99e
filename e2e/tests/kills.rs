//! `kill -9` at random moments, in the middle of a mixed load and in the middle of starts: what was acknowledged is there, whole and no older; the
//! filesystem never holds a byte more than the capacity; between the lives `kura check` finds the directory sound; and nothing is left behind.
//!
//! The gate kills forty times; `KURA_KILLS=300 just e2e` does it more often.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use kura_e2e::{Answer, Client, Kura, Mount, agent, digest, kura_binary, request, run, until};
use rustix::process::Signal;
use tonic::Code;
use ureq::{Agent, SendBody};

const CAPACITY: u64 = 200 << 20;

/// Kills in the gate, over both settings.
const KILLS: u64 = 40;

const WRITERS: u64 = 4;

/// Keys that one writer writes over and over; it adds as many blobs.
const KEYS_OF_ONE: usize = 16;

/// A kill comes once so many operations of a life were answered, at most.
const MOST_OPERATIONS: u64 = 120;

#[test]
fn a_kill_loses_nothing_that_was_acknowledged_as_synced() {
    kill_again_and_again("always", 1);
}

#[test]
fn a_kill_loses_nothing_that_was_acknowledged_before_its_sync() {
    kill_again_and_again("interval", 2);
}

fn kill_again_and_again(durability: &str, seed: u64) {
    let kills = std::env::var("KURA_KILLS").map_or(KILLS, |kills| kills.parse().expect("KURA_KILLS is a number"));
    let mount = Mount::ext4(512);
    let bare = mount.used();
    let ((), most) = mount.watched(|| {
        let capacity = CAPACITY.to_string();
        let flags = ["--capacity", &capacity, "--min-free", "0", "--durability", durability, "--scrub-rate", "64MiB"];
        let mut kura = Kura::start_in(&mount.path().join("data"), &flags);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut writers: Vec<Writer> = (0..WRITERS).map(|number| Writer::new(number, random.fork())).collect();
        for kill in 0..kills / 2 {
            under_load(&kura, &mut writers, random.u64(1..=MOST_OPERATIONS));
            kura.wait();
            is_sound(&kura);
            if random.u8(0..4) == 0 {
                kura.start_and_kill();
                is_sound(&kura);
            }
            kura.start_again();
            for writer in &mut writers {
                writer.check(&kura, kill);
            }
            assert!(!kura.logged().contains("leases could not be kept"), "there is room for everything");
            assert_eq!(kura.metrics().of("kura_store_damaged_total"), 0);
        }
        assert!(kura.stop().success());
        is_sound(&kura);
        let files = std::fs::read_dir(kura.data().join("segments")).unwrap();
        let left = files.filter(|file| !file.as_ref().unwrap().file_name().to_string_lossy().ends_with(".seg"));
        assert_eq!(left.count(), 0, "something was left behind");
    });
    assert!(most - bare <= CAPACITY, "{} bytes in use", most - bare);
}

/// Lets the writers write until so many operations were answered, then kills the server under them.
fn under_load(kura: &Kura, writers: &mut [Writer], operations: u64) {
    let answered = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for writer in writers {
            scope.spawn(|| writer.write(kura, &answered));
        }
        until("the load", || answered.load(Ordering::Relaxed) >= operations);
        kura.signal(Signal::KILL);
    });
}

fn is_sound(kura: &Kura) {
    run(Command::new(kura_binary()).env_clear().arg("check").arg(kura.data()));
}

/// A body, made again from its number.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Body {
    number: u64,
    length: usize,
}

impl Body {
    fn bytes(self) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(self.number);
        std::iter::repeat_with(|| random.u8(..)).take(self.length).collect()
    }
}

/// One key, written by one writer only.
struct Key {
    path: String,
    /// What was acknowledged last; `None`: there is nothing, or it was deleted.
    acknowledged: Option<Body>,
    /// What was under way when the server was killed: it may have come to be, or not.
    under_way: Option<Option<Body>>,
}

impl Key {
    fn can_go(&self) -> bool {
        ["/http/", "/webdav/"].iter().any(|surface| self.path.starts_with(surface))
    }
}

struct Writer {
    agent: Agent,
    random: fastrand::Rng,
    keys: Vec<Key>,
    next: u64,
}

impl Writer {
    fn new(number: u64, random: fastrand::Rng) -> Writer {
        let key = |at: usize| {
            let path = match at % 7 {
                0 => format!("/http/kills/{number}/{at}"),
                1 => format!("/ccache/{number:02}/{at:030}"),
                2 => format!("/cache/{number:016}{at:016}"),
                3 => format!("/webdav/{number}/{at}"),
                4 => format!("/v8/artifacts/{number:08}{at:08}?teamId=kills"),
                5 => format!("/metro/{number:020}{at:020}"),
                _ => format!("/api/cache/gradle/{number:08}{at:08}?namespace=other"),
            };
            Key { path, acknowledged: None, under_way: None }
        };
        Writer { agent: agent(), random, keys: (0..KEYS_OF_ONE).map(key).collect(), next: number << 32 }
    }

    /// Writes, deletes and reads until the server is gone.
    fn write(&mut self, kura: &Kura, answered: &AtomicU64) {
        loop {
            let any = self.random.usize(0..self.keys.len());
            // Behind those are blobs, which do not change.
            let changing = self.random.usize(0..KEYS_OF_ONE);
            let has_room = self.keys.len() < 2 * KEYS_OF_ONE;
            let is_gone = match self.random.u8(0..10) {
                0 if self.keys[changing].can_go() => self.delete(kura, changing),
                1 if has_room => self.put_blob(kura),
                2 | 3 => self.get(kura, any),
                _ => self.put(kura, changing),
            };
            if is_gone {
                return;
            }
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn next_body(&mut self, at: usize) -> Body {
        self.next += 1;
        let length = match (at, self.random.u8(0..8)) {
            // Of its own segment, known or not.
            (0, _) => self.random.usize(4_200_000..6_000_000),
            (_, 0) => self.random.usize(100_000..1_500_000),
            _ => self.random.usize(1..20_000),
        };
        Body { number: self.next, length }
    }

    fn put(&mut self, kura: &Kura, at: usize) -> bool {
        let body = self.next_body(at);
        let (url, bytes) = (kura.url(&self.keys[at].path), body.bytes());
        self.keys[at].under_way = Some(Some(body));
        let answer = if self.random.bool() {
            request(&self.agent, "PUT", &url, &bytes)
        } else {
            let sent = self.agent.put(&url).send(SendBody::from_reader(&mut &bytes[..]));
            Answer { status: sent.map_or(0, |answer| answer.status().as_u16()), body: Vec::new() }
        };
        self.settle(at, &answer, Some(body))
    }

    fn delete(&mut self, kura: &Kura, at: usize) -> bool {
        self.keys[at].under_way = Some(None);
        let answer = request(&self.agent, "DELETE", &kura.url(&self.keys[at].path), &[]);
        self.settle(at, &answer, None)
    }

    /// What was answered has come to be. Returns whether nothing was.
    fn settle(&mut self, at: usize, answer: &Answer, what: Option<Body>) -> bool {
        let key = &mut self.keys[at];
        match answer.status {
            0 => return true,
            200 | 201 | 202 | 204 => key.acknowledged = what,
            404 if what.is_none() => key.acknowledged = None,
            429 => {}
            status => panic!("{}: {status}: {}", key.path, answer.text()),
        }
        key.under_way = None;
        false
    }

    /// A blob under its digest becomes one more key, over HTTP or gRPC.
    fn put_blob(&mut self, kura: &Kura) -> bool {
        let body = self.next_body(1);
        let path = format!("/bazel/cas/{}", digest(&body.bytes()).hash);
        let status = if self.random.bool() {
            request(&self.agent, "PUT", &kura.url(&path), &body.bytes()).status
        } else {
            match Client::try_connect(kura.address(), "").map(|client| client.try_put(&body.bytes())) {
                Some(Ok(_)) => 200,
                Some(Err(refused)) if refused.code() == Code::ResourceExhausted => 429,
                Some(Err(_)) | None => 0,
            }
        };
        if status == 200 {
            self.keys.push(Key { path, acknowledged: Some(body), under_way: None });
        }
        status == 0
    }

    fn get(&mut self, kura: &Kura, at: usize) -> bool {
        let answer = request(&self.agent, "GET", &kura.url(&self.keys[at].path), &[]);
        if answer.status != 0 {
            let found = self.found(at, &answer);
            assert_eq!(found, self.keys[at].acknowledged, "{}", self.keys[at].path);
        }
        answer.status == 0
    }

    /// Which body an answer is.
    fn found(&self, at: usize, answer: &Answer) -> Option<Body> {
        let key = &self.keys[at];
        let known = [key.acknowledged, key.under_way.flatten()];
        match answer.status {
            404 => None,
            200 => {
                let is_it = |body: &Body| body.length == answer.body.len() && body.bytes() == answer.body;
                let found = known.into_iter().flatten().find(is_it);
                assert!(found.is_some(), "{}: {} bytes that nobody wrote", key.path, answer.body.len());
                found
            }
            status => panic!("{}: {status}: {}", key.path, answer.text()),
        }
    }

    /// After a start: each key holds what was acknowledged, or what was under way; and holds that from then on.
    fn check(&mut self, kura: &Kura, kill: u64) {
        for at in 0..self.keys.len() {
            let answer = request(&self.agent, "GET", &kura.url(&self.keys[at].path), &[]);
            let found = self.found(at, &answer);
            let key = &mut self.keys[at];
            let is_right = found == key.acknowledged || Some(found) == key.under_way;
            assert!(is_right, "kill {kill}: {} holds {found:?} and not {:?}", key.path, key.acknowledged);
            (key.acknowledged, key.under_way) = (found, None);
        }
    }
}
