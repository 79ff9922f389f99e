//! What the bytes of a data directory say, whatever the store makes of them: every place in a segment at which a head holds.

use kura_disk::sim::SimDisk;
use kura_store::format::footer::{Footer, LOCATOR_LEN, Locator};
use kura_store::format::record::{FIXED_HEAD_LEN, Head, HeadHash, Layout, Seal, TrailerView};
use kura_store::format::segment::{SEGMENT_HEADER_LEN, SegmentHeader};
use kura_store::format::store_file::StoreFile;
use kura_store::key::{RecordKey, Secret};
use kura_store::types::{ALIGNMENT, Offset, Version};

/// A head that holds at its place.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: String,
    pub(crate) at: u64,
    pub(crate) head: Head,
    /// Where its parts lie, if its length is known.
    pub(crate) layout: Option<Layout>,
    /// If it was committed.
    pub(crate) version: Option<Version>,
}

pub(crate) fn identity(disk: &SimDisk) -> StoreFile {
    StoreFile::decode(&disk.content("STORE").expect("STORE")).expect("a sound STORE")
}

pub(crate) fn header(content: &[u8]) -> SegmentHeader {
    SegmentHeader::decode(&content[..SEGMENT_HEADER_LEN as usize]).expect("a sound segment header")
}

/// The footer, if the segment is sealed.
pub(crate) fn footer(content: &[u8], secret: &Secret) -> Option<Footer> {
    let locator = Locator::decode(&content[content.len() - LOCATOR_LEN as usize..]).ok()?;
    Footer::decode(&content[content.len() - usize::try_from(locator.len).ok()?..], secret).ok()
}

/// Every head that holds in the segment at `path`, inside bodies too.
pub(crate) fn heads(disk: &SimDisk, path: &str) -> Vec<Found> {
    let (content, identity) = (disk.content(path).expect("a segment"), identity(disk));
    let (birth, block) = (header(&content).birth, header(&content).block);
    let footer = footer(&content, &identity.secret);
    let mut found = Vec::new();
    for at in (SEGMENT_HEADER_LEN..content.len() as u64).step_by(ALIGNMENT as usize) {
        let bytes = &content[at as usize..];
        let seal = Seal { secret: &identity.secret, birth, offset: Offset(at) };
        if bytes.len() < FIXED_HEAD_LEN as usize || Head::peek_len(bytes).is_none() {
            continue;
        }
        let Ok((head, hash)) = Head::decode(bytes, &seal) else { continue };
        // A head that was written while its body grew leaves the length to the footer.
        let listed = footer.iter().flat_map(|footer| &footer.entries).find(|entry| entry.offset == seal.offset);
        let length = head.stored_len.or(listed.map(|entry| entry.stored_len));
        let layout = length.map(|length| Layout::new(head.encoded_len(), length, block));
        let version = layout.and_then(|layout| committed(bytes, &layout, hash, &identity));
        found.push(Found { path: path.to_owned(), at, head, layout, version });
    }
    found
}

fn committed(bytes: &[u8], layout: &Layout, hash: HeadHash, identity: &StoreFile) -> Option<Version> {
    let trailer = bytes.get(usize::try_from(layout.trailer).ok()?..)?;
    TrailerView::decode(trailer, layout, hash, &identity.secret).ok().map(|trailer| trailer.version)
}

/// Where the newest committed record of `key` lies.
pub(crate) fn find(disk: &SimDisk, key: &RecordKey) -> Option<Found> {
    let paths = disk.paths().into_iter().filter(|path| path.starts_with("segments/") && !path.contains("tmp-"));
    let all = paths.flat_map(|path| heads(disk, &path));
    all.filter(|found| found.head.key == *key && found.version.is_some()).max_by_key(|found| found.version)
}

/// CRC-32C, a bit at a time: not by the library that the store uses.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    let shift = |sum: u32, _| if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
    !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), shift))
}
