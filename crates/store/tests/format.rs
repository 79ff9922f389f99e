//! The on-disk format, held still by golden files, and its decoders against whatever bytes.
//! A byte that changes is a version that changes: then new golden files stand beside the old ones, which must still be read.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::PathBuf;

use kura_store::format::FormatError;
use kura_store::format::footer::{Footer, FooterEntry, Locator};
use kura_store::format::heat::{HeatEntry, HeatFile, HeatSegment};
use kura_store::format::record::{Head, Layout, Seal, Trailer, TrailerView};
use kura_store::format::scrub::ScrubFile;
use kura_store::format::segment::{SegmentHeader, SegmentKind, parse_file_name};
use kura_store::format::store_file::StoreFile;
use kura_store::key::{AttributeName, Attributes, FingerprintSeed, NamespaceId, RecordKey, Secret};
use kura_store::types::{
    Encoding, Fingerprint, Kind, Minutes, Offset, Ordinal, Place, RecordType, SegmentNumber, Version,
};
use proptest::prelude::*;

const BLOCK: u32 = 4096;
const SECRET: Secret = Secret([7; 16]);

/// Compares with the golden file; `KURA_WRITE_GOLDEN=1` writes one that is missing, and never changes one that is there.
fn golden(name: &str, bytes: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(name);
    if std::env::var_os("KURA_WRITE_GOLDEN").is_some() && !path.exists() {
        std::fs::write(&path, bytes).unwrap();
    }
    let written = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(written == bytes, "{name} differs: version 1 of the format is not what it was");
}

fn store_file() -> StoreFile {
    StoreFile { store_id: [1; 16], secret: Secret([2; 16]), seed: FingerprintSeed([3; 16]) }
}

fn header() -> SegmentHeader {
    SegmentHeader {
        store_id: [1; 16],
        birth: SegmentNumber(0x0102_0304_0506_0708),
        kind: SegmentKind::Solo,
        lane: 0,
        capacity: 65536,
        block: BLOCK,
        created_unix_millis: 1_700_000_000_000,
    }
}

fn head() -> Head {
    Head {
        record_type: RecordType::Artifact,
        encoding: Encoding::Identity,
        key: RecordKey::new(Kind(3), "tenant", "namespace", b"a key").unwrap(),
        attributes: Attributes::default().with(AttributeName(1), b"text/plain").unwrap(),
        stored_len: Some(5000),
        fingerprint: Fingerprint(0x1122_3344_5566_7788_99aa_bbcc_ddee_ff00),
    }
}

fn seal() -> Seal<'static> {
    Seal { secret: &SECRET, birth: SegmentNumber(99), offset: Offset(4096) }
}

fn trailer() -> Trailer {
    Trailer {
        crcs: vec![0xdead_beef, 0x0bad_cafe],
        stored_len: 5000,
        logical_len: 5000,
        sha256: Some([9; 32]),
        version: Version(0x0011_2233_4455_6677),
        ordinal: Ordinal(4),
        copy: true,
    }
}

fn footer() -> Footer {
    let entry = |at: u64, record_type| FooterEntry {
        fingerprint: Fingerprint(u128::from(at) + 1),
        offset: Offset(4096 * (at + 1)),
        head_len: 128,
        stored_len: 100 * at,
        logical_len: 100 * at,
        version: Version(1000 + at),
        namespace: u32::try_from(at % 2).unwrap(),
        record_type,
        copy: at == 1,
        encoding: Encoding::Identity,
    };
    Footer {
        store_id: [1; 16],
        birth: SegmentNumber(99),
        entries: vec![
            entry(0, RecordType::KeyTombstone),
            entry(1, RecordType::Artifact),
            entry(2, RecordType::NamespaceTombstone),
        ],
        namespaces: vec![NamespaceId::new("tenant", "one").unwrap(), NamespaceId::new("tenant", "two").unwrap()],
    }
}

fn scrub() -> ScrubFile {
    ScrubFile {
        store_id: [1; 16],
        began_unix_millis: 1_700_000_000_000,
        next: Place { segment: SegmentNumber(0x0102_0304_0506_0708), offset: Offset(8192) },
        last: SegmentNumber(0x0102_0304_0506_0709),
    }
}

fn heat() -> HeatFile {
    let now = Minutes::from_unix_millis(1_700_000_000_000);
    let entries = vec![HeatEntry { uses: 3, vouched: Some(now) }, HeatEntry { uses: 0, vouched: None }];
    HeatFile { store_id: [1; 16], clean: true, now, segments: vec![HeatSegment { birth: SegmentNumber(99), entries }] }
}

#[test]
fn the_bytes_of_every_part_are_those_of_version_1() {
    golden("STORE", &store_file().encode());
    golden("segment-header", &header().encode());
    golden("record-head", &head().encode(&seal()).0);
    golden("record-trailer", &trailer().encode(head().encode(&seal()).1, &SECRET));
    golden("footer", &footer().encode(&SECRET));
    golden("heat", &heat().encode());
    golden("scrub", &scrub().encode());
    let recipe = Head { encoding: Encoding::Recipe, ..head() };
    golden("record-head-of-a-recipe", &recipe.encode(&seal()).0);
    let mut footer = footer();
    footer.entries[1].encoding = Encoding::Recipe;
    golden("footer-with-a-recipe", &footer.encode(&SECRET));
}

#[test]
fn what_was_encoded_is_decoded() {
    assert_eq!(StoreFile::decode(&store_file().encode()), Ok(store_file()));
    assert_eq!(SegmentHeader::decode(&header().encode()), Ok(header()));
    let (bytes, hash) = head().encode(&seal());
    assert_eq!(Head::decode(&bytes, &seal()), Ok((head(), hash)));
    let layout = Layout::new(bytes.len() as u64, 5000, BLOCK);
    let bytes = trailer().encode(hash, &SECRET);
    let view = TrailerView::decode(&bytes, &layout, hash, &SECRET).unwrap();
    assert_eq!(
        (view.version, view.ordinal, view.copy, view.sha256),
        (trailer().version, Ordinal(4), true, Some([9; 32]))
    );
    assert_eq!(view.crcs(2), trailer().crcs);
    assert_eq!(Footer::decode(&footer().encode(&SECRET), &SECRET), Ok(footer()));
    assert_eq!(HeatFile::decode(&heat().encode()), Ok(heat()));
    assert_eq!(ScrubFile::decode(&scrub().encode()), Ok(scrub()));
}

#[test]
fn a_segment_of_a_newer_version_is_told_from_damage() {
    let mut bytes = header().encode();
    bytes[8] = 9;
    let newer = SegmentHeader::decode(&bytes);
    assert!(matches!(newer, Err(FormatError::Damaged(_) | FormatError::NewerVersion { .. })), "{newer:?}");
}

#[test]
fn a_record_holds_only_at_its_place() {
    let (bytes, _) = head().encode(&seal());
    for (birth, offset) in [(99, 4160), (100, 4096)] {
        let elsewhere = Seal { secret: &SECRET, birth: SegmentNumber(birth), offset: Offset(offset) };
        assert!(Head::decode(&bytes, &elsewhere).is_err());
    }
    let other = Secret([8; 16]);
    assert!(Head::decode(&bytes, &Seal { secret: &other, ..seal() }).is_err());
}

/// Some bytes of `valid`, changed at a few places, or cut short, or lengthened.
fn mutated(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let length = valid.len();
    let flips = prop::collection::vec((0..length, 1..=255u8), 1..4);
    (flips, 0..=length + 8).prop_map(move |(flips, cut)| {
        let mut bytes = valid.clone();
        flips.into_iter().for_each(|(at, mask)| bytes[at] ^= mask);
        bytes.resize(if cut % 2 == 0 { length } else { cut }, 0);
        bytes
    })
}

proptest! {
    #[test]
    fn whatever_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
        let _ = StoreFile::decode(&bytes);
        let _ = SegmentHeader::decode(&bytes);
        let _ = Head::decode(&bytes, &seal());
        let _ = Head::peek_len(&bytes);
        let _ = Footer::decode(&bytes, &SECRET);
        let _ = Locator::decode(&bytes);
        let _ = HeatFile::decode(&bytes);
        let _ = RecordKey::decode(&bytes);
        let _ = parse_file_name(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_changed_head_is_no_head(bytes in mutated(head().encode(&seal()).0)) {
        if bytes != head().encode(&seal()).0 {
            let decoded = Head::decode(&bytes, &seal()).map(|(head, _)| head);
            // Its padding may be missing: then it says what it said.
            prop_assert!(decoded.is_err() || decoded == Ok(head()), "{decoded:?}");
        }
    }

    #[test]
    fn a_changed_footer_is_no_footer(bytes in mutated(footer().encode(&SECRET))) {
        if bytes != footer().encode(&SECRET) {
            prop_assert!(Footer::decode(&bytes, &SECRET).is_err());
        }
    }

    #[test]
    fn a_changed_trailer_commits_nothing(bytes in mutated(trailer().encode(head().encode(&seal()).1, &SECRET))) {
        let (encoded, hash) = head().encode(&seal());
        let layout = Layout::new(encoded.len() as u64, 5000, BLOCK);
        let valid = trailer().encode(hash, &SECRET);
        if !bytes.starts_with(&valid) {
            prop_assert!(TrailerView::decode(&bytes, &layout, hash, &SECRET).is_err());
        }
    }

    #[test]
    fn changed_progress_of_a_scrub_is_none(bytes in mutated(scrub().encode())) {
        if bytes != scrub().encode() {
            prop_assert!(ScrubFile::decode(&bytes).is_err());
        }
    }

    #[test]
    fn changed_heat_is_no_heat(bytes in mutated(heat().encode())) {
        if bytes != heat().encode() {
            prop_assert!(HeatFile::decode(&bytes).is_err());
        }
    }
}
