//! What was encoded is decoded, whatever it was; what was changed on the way is refused, or says what it said; and counts that no bytes stand behind cost nothing.
//! The bytes themselves are held still by `format.rs`.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use kura_store::format::FormatError;
use kura_store::format::footer::{Footer, FooterEntry, LOCATOR_LEN, Locator, NamespaceTable};
use kura_store::format::heat::{HeatEntry, HeatFile, HeatSegment};
use kura_store::format::record::{BlockSums, Head, Layout, Seal, Trailer, TrailerView};
use kura_store::format::segment::{SegmentHeader, SegmentKind, file_name, parse_file_name};
use kura_store::format::store_file::StoreFile;
use kura_store::key::{AttributeName, Attributes, FingerprintSeed, NamespaceId, RecordKey, Secret};
use kura_store::types::{
    ALIGNMENT, Encoding, Fingerprint, Kind, Minutes, Offset, Ordinal, RecordType, SegmentNumber, Version,
};
use proptest::prelude::*;
use support::PAGE;
use support::bytes_on_disk::crc32c;

const SECRET: Secret = Secret([5; 16]);

fn name() -> impl Strategy<Value = String> {
    "[a-zäß -]{1,60}".prop_filter("names have 255 bytes at most", |name| name.len() <= 255)
}

fn record_key() -> impl Strategy<Value = RecordKey> {
    let key = prop::collection::vec(any::<u8>(), 1..1024);
    (any::<u8>(), name(), name(), key)
        .prop_map(|(kind, tenant, namespace, key)| RecordKey::new(Kind(kind), &tenant, &namespace, &key).unwrap())
}

/// Names and values, in order; none twice.
fn named_values() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    prop::collection::btree_map(any::<u8>(), prop::collection::vec(any::<u8>(), 0..200), 0..5)
        .prop_map(|values| values.into_iter().collect())
}

fn attributes(values: &[(u8, Vec<u8>)]) -> Attributes {
    let add =
        |attributes: Attributes, (name, value): &(u8, Vec<u8>)| attributes.with(AttributeName(*name), value).unwrap();
    values.iter().fold(Attributes::default(), add)
}

fn record_type() -> impl Strategy<Value = RecordType> {
    prop::sample::select(vec![RecordType::Artifact, RecordType::KeyTombstone, RecordType::NamespaceTombstone])
}

fn encoding() -> impl Strategy<Value = Encoding> {
    prop::sample::select(vec![Encoding::Identity, Encoding::Zstd, Encoding::Recipe])
}

fn block() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![4096, 65536])
}

prop_compose! {
    fn head()(
        record_type in record_type(),
        encoding in encoding(),
        key in record_key(),
        values in named_values(),
        stored_len in prop::option::of(0..u64::MAX),
        fingerprint in any::<u128>(),
    ) -> Head {
        let (attributes, fingerprint) = (attributes(&values), Fingerprint(fingerprint));
        Head { record_type, encoding, key, attributes, stored_len, fingerprint }
    }
}

/// One in front of that body.
fn some_head(body: &[u8]) -> Head {
    Head {
        record_type: RecordType::Artifact,
        encoding: Encoding::Identity,
        key: RecordKey::new(Kind(1), "tenant", "namespace", b"key").unwrap(),
        attributes: Attributes::default(),
        stored_len: Some(body.len() as u64),
        fingerprint: Fingerprint(1),
    }
}

/// A body, and the trailer that ends it.
fn trailer() -> impl Strategy<Value = (Vec<u8>, u32, Trailer)> {
    let body = prop::collection::vec(any::<u8>(), 0..20_000);
    let numbers = (any::<u64>(), any::<u64>(), any::<u32>());
    (body, block(), numbers, prop::option::of(any::<[u8; 32]>()), any::<bool>()).prop_map(
        |(body, block, (logical_len, version, ordinal), sha256, copy)| {
            let mut sums = BlockSums::new(block);
            body.chunks(777).for_each(|piece| sums.update(piece));
            let (version, ordinal, stored_len) = (Version(version), Ordinal(ordinal), body.len() as u64);
            let trailer = Trailer { crcs: sums.finish(), stored_len, logical_len, sha256, version, ordinal, copy };
            (body, block, trailer)
        },
    )
}

prop_compose! {
    fn footer_entry(namespaces: u32)(
        fingerprint in any::<u128>(),
        offset in any::<u32>(),
        head in any::<u8>(),
        lengths in any::<(u64, u64)>(),
        version in any::<u64>(),
        namespace in 0..namespaces,
        record_type in record_type(),
        copy in any::<bool>(),
        encoding in encoding(),
    ) -> FooterEntry {
        FooterEntry {
            fingerprint: Fingerprint(fingerprint),
            offset: Offset(u64::from(offset) * ALIGNMENT),
            head_len: u64::from(head) * ALIGNMENT,
            stored_len: lengths.0,
            logical_len: lengths.1,
            version: Version(version),
            namespace,
            record_type,
            copy,
            encoding,
        }
    }
}

fn footer() -> impl Strategy<Value = Footer> {
    let namespaces = prop::collection::vec((name(), name()), 1..5);
    let entries = prop::collection::vec(footer_entry(5), 0..40);
    (any::<[u8; 16]>(), any::<u64>(), entries, namespaces).prop_map(|(store_id, birth, entries, namespaces)| {
        let namespaces = namespaces.iter().map(|(tenant, name)| NamespaceId::new(tenant, name).unwrap()).collect();
        Footer { store_id, birth: SegmentNumber(birth), entries, namespaces }
    })
}

prop_compose! {
    fn header()(
        store_id in any::<[u8; 16]>(),
        (birth, capacity, created_unix_millis) in any::<(u64, u64, u64)>(),
        solo in any::<bool>(),
        lane in any::<u8>(),
        block in 0..32u32,
    ) -> SegmentHeader {
        let (birth, kind) = (SegmentNumber(birth), if solo { SegmentKind::Solo } else { SegmentKind::Shared });
        SegmentHeader { store_id, birth, kind, lane, capacity, block: 1 << block, created_unix_millis }
    }
}

fn store_file() -> impl Strategy<Value = StoreFile> {
    any::<[[u8; 16]; 3]>().prop_map(|[store_id, secret, seed]| StoreFile {
        store_id,
        secret: Secret(secret),
        seed: FingerprintSeed(seed),
    })
}

fn heat() -> impl Strategy<Value = HeatFile> {
    let entry = (any::<u8>(), prop::option::of(0..20_000u16));
    let segment = (any::<u64>(), prop::collection::vec(entry, 0..20));
    let now = (1..=u16::MAX).prop_map(|bits| Minutes::from_bits(bits).unwrap());
    (any::<[u8; 16]>(), any::<bool>(), now, prop::collection::vec(segment, 0..5)).prop_map(
        |(store_id, clean, now, segments)| {
            let entry = |(uses, age): (u8, Option<u16>)| HeatEntry { uses, vouched: age.map(|age| now.before(age)) };
            let segment = |(birth, entries): (u64, Vec<_>)| HeatSegment {
                birth: SegmentNumber(birth),
                entries: entries.into_iter().map(entry).collect(),
            };
            HeatFile { store_id, clean, now, segments: segments.into_iter().map(segment).collect() }
        },
    )
}

/// Where bytes are changed, and how; and to what length they are cut or lengthened, if they are.
type Change = (Vec<(prop::sample::Index, u8)>, Option<prop::sample::Index>);

fn change() -> impl Strategy<Value = Change> {
    let flips = prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 1..4);
    (flips, prop::option::weighted(0.3, any::<prop::sample::Index>()))
}

fn changed(bytes: &[u8], (flips, cut): &Change) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for (at, mask) in flips.iter().filter(|_| !bytes.is_empty()) {
        changed[at.index(bytes.len())] ^= mask;
    }
    if let Some(cut) = cut {
        changed.resize(cut.index(bytes.len() + 100), 0);
    }
    changed
}

proptest! {
    #[test]
    fn a_key_comes_back(key in record_key()) {
        prop_assert_eq!(RecordKey::decode(key.encoded()), Ok(key));
    }

    #[test]
    fn a_changed_key_is_another_or_none(key in record_key(), change in change()) {
        let bytes = changed(key.encoded(), &change);
        if let Ok(other) = RecordKey::decode(&bytes) {
            prop_assert_eq!(other.encoded(), &bytes[..], "one encoding for each key");
            let again = RecordKey::new(other.kind(), other.tenant(), other.namespace(), other.key());
            prop_assert_eq!(again, Ok(other));
        }
    }

    #[test]
    fn attributes_come_back_by_name(values in named_values()) {
        let attributes = attributes(&values);
        for (name, value) in &values {
            prop_assert_eq!(attributes.get(AttributeName(*name)), Some(&value[..]));
        }
        let absent = (0..=255).filter(|name| values.iter().all(|(known, _)| known != name));
        for name in absent {
            prop_assert_eq!(attributes.get(AttributeName(name)), None);
        }
    }

    #[test]
    fn a_head_comes_back_from_its_place_and_from_no_other(
        head in head(),
        secret in any::<[u8; 16]>(),
        birth in any::<u64>(),
        offset in any::<u32>(),
        other in 1..u32::MAX,
    ) {
        let (secret, birth, offset) = (Secret(secret), SegmentNumber(birth), Offset(u64::from(offset) * ALIGNMENT));
        let seal = Seal { secret: &secret, birth, offset };
        let (bytes, hash) = head.encode(&seal);
        prop_assert_eq!(bytes.len() as u64, head.encoded_len());
        prop_assert_eq!(Head::peek_len(&bytes[..64]), Some(head.encoded_len()));
        prop_assert_eq!(Head::decode(&bytes, &seal), Ok((head, hash)));
        let elsewhere = Seal { offset: Offset(offset.0 ^ (u64::from(other) * ALIGNMENT)), ..seal };
        let in_another = Seal { birth: SegmentNumber(birth.0 ^ u64::from(other)), ..seal };
        let unknown = Secret([!secret.0[0]; 16]);
        for seal in [elsewhere, in_another, Seal { secret: &unknown, ..seal }] {
            prop_assert!(Head::decode(&bytes, &seal).is_err());
        }
    }

    #[test]
    fn a_changed_head_says_what_it_said_or_nothing(head in head(), change in change()) {
        let secret = Secret([5; 16]);
        let seal = Seal { secret: &secret, birth: SegmentNumber(1), offset: Offset(4096) };
        let bytes = changed(&head.encode(&seal).0, &change);
        if let Ok((decoded, _)) = Head::decode(&bytes, &seal) {
            // Only its padding changed.
            prop_assert_eq!(decoded, head);
        }
    }

    #[test]
    fn a_record_comes_back_whole(head in head(), (body, block, trailer) in trailer()) {
        let secret = Secret([5; 16]);
        let head = Head { stored_len: Some(body.len() as u64), ..head };
        let (_, hash) = head.encode(&Seal { secret: &secret, birth: SegmentNumber(1), offset: Offset(4096) });
        let layout = Layout::new(head.encoded_len(), body.len() as u64, block);
        prop_assert!(layout.trailer >= layout.body + body.len() as u64 && layout.total.is_multiple_of(ALIGNMENT));
        let bytes = trailer.encode(hash, &secret);
        prop_assert_eq!(bytes.len() as u64, layout.trailer_len);
        let view = TrailerView::decode(&bytes, &layout, hash, &secret).unwrap();
        prop_assert_eq!((view.version, view.ordinal, view.copy), (trailer.version, trailer.ordinal, trailer.copy));
        prop_assert_eq!((view.sha256, view.logical_len), (trailer.sha256, trailer.logical_len));
        prop_assert_eq!(view.check_blocks(&body, 0, block), Ok(()));
    }

    #[test]
    fn a_changed_trailer_commits_nothing((body, block, trailer) in trailer(), change in change()) {
        let secret = Secret([5; 16]);
        let head = some_head(&body);
        let (_, hash) = head.encode(&Seal { secret: &secret, birth: SegmentNumber(1), offset: Offset(4096) });
        let layout = Layout::new(head.encoded_len(), body.len() as u64, block);
        let valid = trailer.encode(hash, &secret);
        let bytes = changed(&valid, &change);
        let decoded = TrailerView::decode(&bytes, &layout, hash, &secret);
        prop_assert_eq!(decoded.is_ok(), bytes.starts_with(&valid));
        // A trailer commits a body of its own length only.
        let longer = Layout { stored_len: layout.stored_len + 1, ..layout };
        prop_assert!(TrailerView::decode(&valid, &longer, hash, &secret).is_err());
    }

    #[test]
    fn a_changed_body_does_not_hold((body, block, trailer) in trailer(), change in change()) {
        let flips = (change.0, None);
        let other = changed(&body, &flips);
        let secret = Secret([5; 16]);
        let seal = Seal { secret: &secret, birth: SegmentNumber(1), offset: Offset(4096) };
        let head = some_head(&body);
        let (_, hash) = head.encode(&seal);
        let layout = Layout::new(head.encoded_len(), body.len() as u64, block);
        let bytes = trailer.encode(hash, &secret);
        let view = TrailerView::decode(&bytes, &layout, hash, &secret).unwrap();
        prop_assert_eq!(view.check_blocks(&other, 0, block).is_ok(), other == body);
    }

    #[test]
    fn the_sums_of_a_body_do_not_depend_on_the_pieces_it_came_in(
        (body, block, trailer) in trailer(),
        piece in 1..9000usize,
    ) {
        let mut sums = BlockSums::new(block);
        body.chunks(piece).for_each(|piece| sums.update(piece));
        let sums = sums.finish();
        prop_assert_eq!(&sums, &trailer.crcs);
        prop_assert_eq!(sums, body.chunks(block as usize).map(crc32c).collect::<Vec<_>>());
    }

    #[test]
    fn a_footer_comes_back_and_is_as_long_as_was_kept_for_it(footer in footer()) {
        let bytes = footer.encode(&SECRET);
        let mut table = NamespaceTable::default();
        footer.namespaces.iter().for_each(|namespace| { table.intern(namespace); });
        if table.names() == footer.namespaces {
            let names = table.encoded_len_with(&footer.namespaces[0]);
            prop_assert_eq!(bytes.len() as u64, Footer::encoded_len(footer.entries.len(), names));
        }
        let locator = Locator::decode(&bytes[bytes.len() - LOCATOR_LEN as usize..]);
        prop_assert_eq!(locator.map(|locator| locator.len), Ok(bytes.len() as u64));
        prop_assert_eq!(Footer::decode(&bytes, &SECRET), Ok(footer));
        prop_assert!(Footer::decode(&bytes, &Secret([!SECRET.0[0]; 16])).is_err(), "made by another store");
    }

    #[test]
    fn a_changed_footer_is_none(footer in footer(), change in change()) {
        let bytes = changed(&footer.encode(&SECRET), &change);
        if bytes != footer.encode(&SECRET) {
            prop_assert!(Footer::decode(&bytes, &SECRET).is_err());
        }
    }

    #[test]
    fn a_segment_header_comes_back(header in header()) {
        prop_assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn a_changed_segment_header_says_what_it_said_or_nothing(header in header(), change in change()) {
        match SegmentHeader::decode(&changed(&header.encode(), &change)) {
            Ok(decoded) => prop_assert_eq!(decoded, header),
            Err(error) => prop_assert!(matches!(error, FormatError::Damaged(_)), "damage is not a newer version"),
        }
    }

    #[test]
    fn a_changed_store_file_says_what_it_said_or_nothing(store in store_file(), change in change()) {
        prop_assert_eq!(StoreFile::decode(&store.encode()), Ok(store.clone()));
        match StoreFile::decode(&changed(&store.encode(), &change)) {
            Ok(decoded) => prop_assert!(decoded == store),
            Err(error) => prop_assert!(matches!(error, FormatError::Damaged(_)), "damage is not a newer version"),
        }
    }

    #[test]
    fn a_page_of_store_may_be_lost(store in store_file(), first in any::<bool>(), byte in any::<u8>()) {
        let mut bytes = store.encode();
        let page = PAGE as usize;
        bytes[if first { 0..page } else { page..2 * page }].fill(byte);
        prop_assert_eq!(StoreFile::decode(&bytes), Ok(store));
    }

    #[test]
    fn heat_comes_back_and_no_lease_ends_earlier(heat in heat()) {
        let decoded = HeatFile::decode(&heat.encode()).unwrap();
        prop_assert_eq!((decoded.store_id, decoded.clean, decoded.now), (heat.store_id, heat.clean, heat.now));
        prop_assert_eq!(decoded.segments.len(), heat.segments.len());
        for (now, then) in decoded.segments.iter().zip(&heat.segments) {
            prop_assert_eq!((now.birth, now.entries.len()), (then.birth, then.entries.len()));
            for (now, then) in now.entries.iter().zip(&then.entries) {
                prop_assert_eq!(now.uses, then.uses);
                let ages = [now.vouched, then.vouched].map(|at| at.map(|at| at.age(heat.now)));
                match ages {
                    [Some(now), Some(then)] => prop_assert!(now <= then && then - now <= 60, "{now} {then}"),
                    // So long ago that a byte of hours does not hold it.
                    [None, Some(then)] => prop_assert!(then >= 255 * 60, "{then}"),
                    [now, None] => prop_assert_eq!(now, None),
                }
            }
        }
    }

    #[test]
    fn changed_heat_is_none(heat in heat(), change in change()) {
        let valid = heat.encode();
        let bytes = changed(&valid, &change);
        prop_assert_eq!(HeatFile::decode(&bytes).is_ok(), bytes == valid);
    }

    #[test]
    fn file_names_come_back_and_sort_as_numbers(first in any::<u64>(), second in any::<u64>()) {
        let names = [first, second].map(|number| file_name(SegmentNumber(number)));
        prop_assert_eq!(parse_file_name(&names[0]), Some(SegmentNumber(first)));
        prop_assert_eq!(names[0].cmp(&names[1]), first.cmp(&second));
    }

    #[test]
    fn a_name_that_is_not_exactly_ours_is_no_segment(number in any::<u64>(), change in change()) {
        let name = file_name(SegmentNumber(number));
        let other = String::from_utf8_lossy(&changed(name.as_bytes(), &change)).into_owned();
        if let Some(parsed) = parse_file_name(&other) {
            prop_assert_eq!(file_name(parsed), other, "one name for each number");
        }
    }

    #[test]
    fn a_layout_holds_its_parts_or_saturates(head in any::<u64>(), stored in any::<u64>(), block in block()) {
        let layout = Layout::new(head, stored, block);
        let trailer_len = Trailer::encoded_len(stored, block);
        let needed = u128::from(head) + u128::from(stored) + u128::from(trailer_len);
        prop_assert!(layout.total.is_multiple_of(ALIGNMENT));
        if needed + 2 * u128::from(ALIGNMENT) < u128::from(u64::MAX) {
            prop_assert!(layout.trailer >= head + stored && layout.total >= layout.trailer + trailer_len);
        } else {
            prop_assert!(layout.total >= u64::MAX - 4 * ALIGNMENT);
        }
    }
}

/// Bytes with a right checksum behind them.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = crc32c(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

#[test]
fn counts_that_no_bytes_stand_behind_are_refused_before_anything_is_allocated() {
    let empty = Footer { store_id: [1; 16], birth: SegmentNumber(1), entries: Vec::new(), namespaces: Vec::new() };
    let locator = empty.encode(&SECRET);
    assert_eq!(locator.len() as u64, LOCATOR_LEN);
    for (entries, namespaces) in [(u32::MAX, 0), (0, u32::MAX), (u32::MAX, u32::MAX), (1, 0), (0, 1)] {
        let mut bytes = locator[..56].to_vec();
        bytes[12..16].copy_from_slice(&entries.to_le_bytes());
        bytes[16..20].copy_from_slice(&namespaces.to_le_bytes());
        let mark = SECRET.hash(&[&bytes]);
        bytes.extend(mark.to_le_bytes());
        assert!(Locator::decode(&bytes).is_ok(), "it is well-formed so far");
        assert!(Footer::decode(&bytes, &SECRET).is_err(), "{entries} entries, {namespaces} namespaces");
    }
    let now = Minutes::from_bits(1).unwrap();
    let none = HeatFile { store_id: [1; 16], clean: true, now, segments: Vec::new() }.encode();
    let content = &none[..none.len() - 4];
    for (segments, entries) in [(u32::MAX, None), (1, None), (1, Some(u32::MAX)), (u32::MAX, Some(0))] {
        let mut bytes = content[..content.len() - 4].to_vec();
        bytes.extend(segments.to_le_bytes());
        if let Some(entries) = entries {
            bytes.extend(7u64.to_le_bytes());
            bytes.extend(entries.to_le_bytes());
        }
        assert!(HeatFile::decode(&sealed(bytes)).is_err(), "{segments} segments, {entries:?} entries");
    }
}
