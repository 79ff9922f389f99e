//! A client may store bytes that look like another tenant's records, at the very offsets at which records could start; it may know everything but
//! the store's secret. When its own header is lost, a start looks for records in its body: it finds none. Each attack is also made with the secret,
//! where it succeeds: so the secret is what it fails for.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use bytes::Bytes;
use kura_disk::sim::Crash;
use kura_store::Durability;
use kura_store::format::record::{BlockSums, Head, Layout, Seal, Trailer};
use kura_store::format::store_file::StoreFile;
use kura_store::key::{Attributes, RecordKey, Secret};
use kura_store::types::{Encoding, Kind, Offset, Ordinal, RecordType, SegmentNumber, Version};
use support::bytes_on_disk::{self, Found};
use support::{BUDGET, Life, Machine, body, get, key_of, put};

const BLOCK: u32 = 4096;

/// Above all that the store gives in these tests.
const LATE: Version = Version(u64::MAX >> 2);

/// What the victim really stored.
const TRUE_LENGTH: usize = 900;

fn victim(name: &str) -> RecordKey {
    key_of("victim", "namespace", name)
}

fn attacker(name: &str) -> RecordKey {
    key_of("attacker", "namespace", name)
}

/// A store in which the victim has an artifact, safe on the device.
fn with_victim(seed: u64, durability: Durability) -> Machine {
    let mut machine = Machine::without_leases(seed);
    machine.settings.durability = durability;
    machine.live(async |life: Life| {
        put(&life.store, &victim("true"), &body("true", TRUE_LENGTH), true).await.unwrap();
        life.store.shutdown().await.unwrap();
    });
    machine.crash(Crash::PowerKeeping(0));
    machine
}

/// Where the attacker's body will lie: it guesses right.
#[derive(Debug, Clone, Copy)]
struct Place {
    birth: SegmentNumber,
    /// Where the record starts.
    record: u64,
    /// Where its body starts.
    body: u64,
}

fn place(machine: &Machine, found: &Found) -> Place {
    let birth = bytes_on_disk::header(&machine.disk().content(&found.path).unwrap()).birth;
    Place { birth, record: found.at, body: found.at + found.head.encoded_len() }
}

/// Stores `body` for the attacker, kills the process before the segment is sealed, and says where it lies.
fn attack(machine: &mut Machine, body: &Bytes) -> Found {
    machine.live(async |life: Life| {
        put(&life.store, &attacker("innocent"), body, true).await.unwrap();
    });
    machine.crash(Crash::Process);
    bytes_on_disk::find(&machine.disk(), &attacker("innocent")).expect("it is in the segment")
}

/// What the attacker makes of a place.
type Forgery = fn(&Machine, Place, usize, &Secret) -> Vec<u8>;

/// Whole records of the victim, one behind the other, each bound to its place with `secret`.
fn records(machine: &Machine, place: Place, length: usize, secret: &Secret) -> Vec<u8> {
    let identity = bytes_on_disk::identity(&machine.disk());
    let mut bytes = Vec::new();
    for at in 0.. {
        let seal = Seal { secret, birth: place.birth, offset: Offset(place.body + bytes.len() as u64) };
        let record = match at % 3 {
            0 => artifact(&identity, &seal, at),
            1 => tombstone(&identity, &seal, at, RecordType::NamespaceTombstone),
            _ => tombstone(&identity, &seal, at, RecordType::KeyTombstone),
        };
        if bytes.len() + record.len() > length {
            break;
        }
        bytes.extend(record);
    }
    filled_up(bytes, length)
}

fn artifact(identity: &StoreFile, seal: &Seal<'_>, at: u32) -> Vec<u8> {
    let key = victim("forged");
    let head = Head {
        record_type: RecordType::Artifact,
        encoding: Encoding::Identity,
        fingerprint: identity.seed.of(&key),
        key,
        attributes: Attributes::default(),
        stored_len: Some(6),
    };
    record(&head, b"forged", seal, at)
}

fn tombstone(identity: &StoreFile, seal: &Seal<'_>, at: u32, record_type: RecordType) -> Vec<u8> {
    let (key, fingerprint) = match record_type {
        RecordType::KeyTombstone => (victim("true"), identity.seed.of(&victim("true"))),
        _ => (
            RecordKey::new(Kind(0), "victim", "namespace", b"*").unwrap(),
            identity.seed.of_namespace("victim", "namespace"),
        ),
    };
    let (encoding, attributes) = (Encoding::Identity, Attributes::default());
    record(&Head { record_type, encoding, fingerprint, key, attributes, stored_len: Some(0) }, b"", seal, at)
}

fn record(head: &Head, body: &[u8], seal: &Seal<'_>, ordinal: u32) -> Vec<u8> {
    let layout = Layout::new(head.encoded_len(), body.len() as u64, BLOCK);
    let (mut bytes, hash) = head.encode(seal);
    let mut sums = BlockSums::new(BLOCK);
    sums.update(body);
    bytes.extend(body);
    bytes.resize(usize::try_from(layout.trailer).unwrap(), 0);
    let trailer = Trailer {
        crcs: sums.finish(),
        stored_len: body.len() as u64,
        logical_len: body.len() as u64,
        sha256: None,
        version: Version(LATE.0 + u64::from(ordinal)),
        ordinal: Ordinal(1000 + ordinal),
        copy: false,
    };
    bytes.extend(trailer.encode(hash, seal.secret));
    bytes.resize(usize::try_from(layout.total).unwrap(), 0);
    bytes
}

fn filled_up(mut bytes: Vec<u8>, length: usize) -> Vec<u8> {
    bytes.resize(length, 0xff);
    bytes
}

/// A store with the same secret, in which the victim has stored what is to be forged, at a place where the attacker's body will be.
fn stranger(seed: u64, clock: i64) -> (Machine, Found) {
    let mut machine = Machine::without_leases(seed);
    machine.world.shift_wall_clock(clock);
    machine.live(async |life: Life| {
        for (name, length) in [("true", TRUE_LENGTH), ("before", 500), ("forged", 700)] {
            put(&life.store, &victim(name), &body(name, length), true).await.unwrap();
        }
    });
    let found = bytes_on_disk::find(&machine.disk(), &victim("forged")).unwrap();
    (machine, found)
}

/// A record of the victim's as the store itself has written it, hash and all, in the same segment but at another offset, again and again.
fn replayed_elsewhere(machine: &Machine, to: Place, length: usize, _: &Secret) -> Vec<u8> {
    let (stranger, found) = stranger(1, 0);
    assert_eq!(place(&stranger, &found).birth, to.birth);
    assert!(bytes_on_disk::identity(&stranger.disk()) == bytes_on_disk::identity(&machine.disk()));
    let at = usize::try_from(found.at).unwrap();
    let total = usize::try_from(found.layout.unwrap().total).unwrap();
    let record = stranger.disk().content(&found.path).unwrap()[at..at + total].to_vec();
    filled_up(record.repeat(length / total), length)
}

/// The same, at the very offset, but in another segment.
fn replayed_at_its_offset(machine: &Machine, to: Place, length: usize, _: &Secret) -> Vec<u8> {
    let (stranger, found) = stranger(1, 60_000);
    assert_ne!(place(&stranger, &found).birth, to.birth);
    assert!(bytes_on_disk::identity(&stranger.disk()) == bytes_on_disk::identity(&machine.disk()));
    let from = usize::try_from(to.body).unwrap();
    assert!(to.body < found.at, "it lies in the body");
    stranger.disk().content(&found.path).unwrap()[from..from + length].to_vec()
}

/// What the store then shows: the victim's artifact as it was, nothing of what was forged, also after reclaim has moved what there is.
async fn nothing_was_forged(life: Life, entries: u64) {
    for round in 0..2 {
        assert_eq!(get(&life.store, &victim("forged")).await, None);
        let own = get(&life.store, &victim("true")).await;
        assert!(own == Some(body("true", TRUE_LENGTH)), "what the victim stored is gone or changed");
        if round == 0 {
            assert_eq!(life.store.stats().index_entries, entries);
            life.fill(3).await;
            life.wait(2).await;
            life.check(BUDGET);
        }
    }
    assert_eq!(life.store.stats().damaged, 0);
}

fn flip(machine: &Machine, path: &str, at: u64) {
    machine.disk().flip(path, at * 8 + 3);
}

/// Stores the forgery on a machine like `machine`, at a place that was learnt from a twin of it.
fn forge(new: impl Fn() -> Machine, forgery: Forgery, length: usize, secret: Option<&Secret>) -> (Machine, Found) {
    let mut twin = new();
    let found = attack(&mut twin, &Bytes::from(vec![1; length]));
    let place = place(&twin, &found);
    let mut machine = new();
    let own = bytes_on_disk::identity(&machine.disk()).secret;
    let forged = forgery(&machine, place, length, secret.unwrap_or(&own));
    let again = attack(&mut machine, &forged.into());
    assert_eq!((again.at, &again.path), (found.at, &found.path), "it lies where it was guessed to");
    (machine, again)
}

/// Places in a head whose loss loses the record: magic, type, length of the body, length of the key, fingerprint, hash, key.
const HEAD_BYTES: [u64; 7] = [0, 4, 9, 16, 30, 41, 70];

const GUESS: Secret = Secret([0; 16]);

#[test]
fn a_body_made_of_well_formed_records_yields_none_when_its_own_header_is_lost() {
    for forgery in [records as Forgery, replayed_elsewhere, replayed_at_its_offset] {
        for length in [1900, 10_000, 16_000] {
            for lost in HEAD_BYTES {
                let new = || with_victim(1, Durability::Always);
                let (mut machine, found) = forge(new, forgery, length, Some(&GUESS));
                flip(&machine, &found.path, found.at + lost);
                machine.live(async |life: Life| nothing_was_forged(life, 1).await);
            }
        }
    }
}

#[test]
fn with_the_secret_the_same_body_would_yield_them() {
    let (mut machine, found) = forge(|| with_victim(1, Durability::Always), records, 10_000, None);
    flip(&machine, &found.path, found.at);
    machine.live(async |life: Life| {
        assert_eq!(
            get(&life.store, &victim("forged")).await,
            None,
            "a later forged tombstone of the namespace ends it"
        );
        assert_eq!(get(&life.store, &victim("true")).await, None);
        assert!(life.store.stats().index_entries > 1);
    });
}

#[test]
fn a_solo_whose_header_and_footer_are_lost_is_swept_with_all_that_it_pretends() {
    let (mut machine, found) = forge(|| with_victim(1, Durability::Always), records, 40_000, Some(&GUESS));
    let length = machine.disk().content(&found.path).unwrap().len() as u64;
    flip(&machine, &found.path, found.at);
    flip(&machine, &found.path, length - 64);
    machine.live(async |life: Life| {
        life.wait(1).await;
        assert_eq!((life.store.stats().swept, life.store.stats().solo_segments), (1, 0));
        nothing_was_forged(life, 1).await;
    });
}

/// Whether the attacker's header has gone and one of its forged records lies there, whole.
fn header_was_lost(machine: &Machine, path: &str, place: Place, forged: &[u8]) -> bool {
    let content = machine.disk().content(path).unwrap();
    let at = |offset: u64| usize::try_from(offset).unwrap();
    let own = content[at(place.record)..at(place.record) + 4] == *b"KREC";
    let survived = content[at(place.body)..].iter().zip(forged).map(|(now, was)| now == was);
    let survived: Vec<bool> = survived.collect();
    !own && survived.windows(512).any(|bytes| bytes.iter().all(|same| *same))
}

/// Cuts the power while nothing of the attacker's record is synced, under many seeds; counts those that lost its header only, and those in which the
/// victim lost its artifact or got another.
fn power_cuts(secret: Option<&Secret>) -> (usize, usize) {
    let (mut lost, mut fooled) = (0, 0);
    for seed in 0..300 {
        let new = || with_victim(seed, Durability::None);
        let mut twin = new();
        let found = attack(&mut twin, &Bytes::from(vec![1; 9000]));
        let place = place(&twin, &found);
        let mut machine = new();
        let own = bytes_on_disk::identity(&machine.disk()).secret;
        let forged = records(&machine, place, 9000, secret.unwrap_or(&own));
        machine.live(async |life: Life| {
            put(&life.store, &attacker("innocent"), &forged.clone().into(), true).await.unwrap();
        });
        machine.crash(Crash::Power);
        lost += usize::from(header_was_lost(&machine, &found.path, place, &forged));
        fooled += usize::from(machine.live(async |life: Life| {
            let forged = get(&life.store, &victim("forged")).await;
            let own = get(&life.store, &victim("true")).await;
            forged.is_some() || own != Some(body("true", TRUE_LENGTH))
        }));
    }
    (lost, fooled)
}

#[test]
fn a_power_cut_that_loses_the_header_yields_nothing_of_the_body() {
    let (lost, fooled) = power_cuts(Some(&GUESS));
    assert!(lost > 20, "only {lost} power cuts lost the header and kept records");
    assert_eq!(fooled, 0);
    let (_, fooled) = power_cuts(None);
    assert!(fooled > 20, "only {fooled} power cuts would have been an attack, had the secret been known");
}

/// A footer of the attacker's, for the segment at `birth`, that names a record of the victim.
fn footer(identity: &StoreFile, birth: SegmentNumber, secret: &Secret) -> Vec<u8> {
    use kura_store::format::footer::{Footer, FooterEntry};
    use kura_store::format::segment::SEGMENT_HEADER_LEN;
    use kura_store::key::NamespaceId;

    let entry = FooterEntry {
        fingerprint: identity.seed.of(&victim("true")),
        offset: Offset(SEGMENT_HEADER_LEN),
        head_len: 128,
        stored_len: 1000,
        logical_len: 1000,
        version: LATE,
        namespace: 0,
        record_type: RecordType::Artifact,
        copy: false,
        encoding: Encoding::Identity,
    };
    let namespaces = vec![NamespaceId::new("victim", "namespace").unwrap()];
    Footer { store_id: identity.store_id, birth, entries: vec![entry], namespaces }.encode(secret)
}

/// An upload of unknown length grew its segment from here; after a power cut the file may end here again.
const FIRST_STEP: u64 = 8192;

fn grow(machine: &mut Machine, body: Vec<u8>) -> Found {
    machine.live(async |life: Life| {
        let mut upload = life.store.put(support::request(&attacker("growing"), None)).await.unwrap();
        upload.write(body.into()).await.unwrap();
        std::mem::forget(upload);
    });
    let mut heads = machine.segments().into_iter().flat_map(|path| bytes_on_disk::heads(&machine.disk(), &path));
    heads.find(|found| found.head.key == attacker("growing")).expect("it has begun")
}

/// A machine after a power cut that left a growing segment ending in the attacker's footer, if that is what was left.
fn ended_in_a_footer(seed: u64, secret: Option<&Secret>) -> Option<Machine> {
    let mut twin = with_victim(seed, Durability::Always);
    let found = grow(&mut twin, vec![1; 9000]);
    let place = place(&twin, &found);
    let mut machine = with_victim(seed, Durability::Always);
    let identity = bytes_on_disk::identity(&machine.disk());
    let footer = footer(&identity, place.birth, secret.unwrap_or(&identity.secret));
    let mut body = vec![1; usize::try_from(FIRST_STEP - place.body).unwrap() - footer.len()];
    body.extend(&footer);
    let path = grow(&mut machine, filled_up(body, 9000)).path;
    machine.crash(Crash::Power);
    let content = machine.disk().content(&path).unwrap_or_default();
    content.ends_with(&footer).then_some(machine)
}

#[test]
fn a_growing_body_that_a_power_cut_ends_in_a_footer_of_its_own_is_swept() {
    let mut ended_so = 0;
    for mut machine in (0..300).filter_map(|seed| ended_in_a_footer(seed, Some(&GUESS))) {
        ended_so += 1;
        machine.live(async |life: Life| nothing_was_forged(life, 1).await);
    }
    assert!(ended_so > 20, "only {ended_so} power cuts left the file so");
}

#[test]
fn with_the_secret_the_same_footer_would_be_trusted() {
    let mut machine = (0..300).find_map(|seed| ended_in_a_footer(seed, None)).expect("a power cut leaves the file so");
    machine.live(async |life: Life| assert_eq!(get(&life.store, &victim("true")).await, None, "the footer hides it"));
}
