//! A whole segment, found by a start: the store opens whatever it holds, and serves of it nothing but what a store with its secret wrote.
//! The first 64 bytes are the header, whose page they start; the others lie behind that page.

use std::sync::Arc;

use kura_disk::sim::{Crash, World};
use kura_disk::{Disk, Runtime};

use super::segment_header::sealed;
use crate::format::FormatError;
use crate::format::segment::{SEGMENT_HEADER_LEN, SegmentHeader, file_name};
use crate::geometry::Geometry;
use crate::key::RecordKey;
use crate::types::{Kind, SegmentNumber};
use crate::{Error, Progress, Settings, Store};

/// Whose segments the seeds are.
const STORE: &[u8] = include_bytes!("../../tests/golden/v1/directory/STORE");

/// What the seeds hold: name of the key, byte, length.
const WRITTEN: [(&[u8], u8, usize); 4] = [(b"short", 1, 40), (b"long", 2, 5000), (b"again", 3, 60), (b"again", 4, 60)];

const BUDGET: u64 = 10 * (64 << 10);

/// Bytes of the header that say something.
const HEADER: usize = 64;

pub(super) fn target(bytes: &[u8]) {
    let Some((header, rest)) = bytes.split_at_checked(HEADER) else { return };
    check(header, rest);
    if sealed(header) != header {
        check(&sealed(header), rest);
    }
}

fn check(header: &[u8], rest: &[u8]) {
    let mut segment = header.to_vec();
    let decoded = SegmentHeader::decode(&segment);
    let number = decoded.as_ref().map_or(SegmentNumber(1 << 32), |header| header.birth);
    segment.resize(SEGMENT_HEADER_LEN as usize, 0);
    segment.extend_from_slice(rest);
    let mut world = World::new(1);
    let (disk, runtime) = (world.disk(), world.runtime());
    disk.set_capacity(64 << 20);
    disk.plant("STORE", STORE);
    disk.plant(&format!("segments/{}", file_name(number)), &segment);
    let opened = world.block_on(open_and_read(disk, runtime));
    match decoded {
        Err(FormatError::NewerVersion { .. }) => assert!(matches!(opened, Err(Error::NewerFormat { .. }))),
        _ => opened.unwrap(),
    }
    // What still runs holds the machine in memory.
    world.crash(Crash::Process);
}

async fn open_and_read(disk: Arc<dyn Disk>, runtime: Arc<dyn Runtime>) -> Result<(), Error> {
    let settings = Settings::new(Geometry::simulation(BUDGET));
    let store = Store::open(disk, runtime, settings, Arc::new(Progress::default())).await?;
    for (name, _, _) in WRITTEN {
        let key = RecordKey::new(Kind(1), "tenant", "namespace", name).unwrap();
        let Some(mut artifact) = store.get(&key).await? else { continue };
        let mut body = Vec::new();
        loop {
            match artifact.body.next().await {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => break,
                Err(_) => return Ok(()),
            }
        }
        let is_as_written = |(known, byte, length): &(&[u8], u8, usize)| *known == name && body == vec![*byte; *length];
        assert!(WRITTEN.iter().any(is_as_written), "{}: {} bytes that nobody wrote", name.escape_ascii(), body.len());
    }
    Ok(())
}
