//! Who the store is: reads `STORE`, or writes the first one. It is written once, atomically, its content twice; without one good copy nothing beside
//! it can be vouched for.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use kura_disk::{Disk, Runtime};

use crate::error::{During, Error};
use crate::format::store_file::StoreFile;
use crate::format::{FormatError, SEGMENTS_DIRECTORY, STORE, TEMPORARY_PREFIX};
use crate::key::{FingerprintSeed, Secret};
use crate::read::{index, is_lost};
use crate::recover::segments_of;
use crate::settings::Settings;

/// What `STORE` says.
pub(crate) enum Identity {
    /// Who the store is, and whether both copies are what was written.
    Known {
        identity: StoreFile,
        is_whole: bool,
    },
    Absent,
    /// Neither copy is.
    Damaged,
}

/// # Errors
/// `NewerFormat`; `StoreDamaged` where there are segments and nobody knows whose; `Io`.
pub(crate) async fn identify(
    disk: &Arc<dyn Disk>,
    runtime: &Arc<dyn Runtime>,
    settings: &Settings,
) -> Result<StoreFile, Error> {
    if let Identity::Known { identity, .. } = read_identity(disk).await? {
        return Ok(identity);
    }
    match count_segments(disk).await? {
        0 => create_store(disk, runtime, settings).await,
        segments => Err(Error::StoreDamaged { segments }),
    }
}

/// # Errors
/// `NewerFormat`, `Io`.
pub(crate) async fn read_identity(disk: &Arc<dyn Disk>) -> Result<Identity, Error> {
    let file = match disk.open(STORE).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Identity::Absent),
        other => other.during("opening STORE")?,
    };
    let length = file.len().await.during("reading STORE")?.min(StoreFile::ENCODED_LEN);
    let (mut bytes, mut lost) = (Vec::new(), None);
    for at in [0, StoreFile::ENCODED_LEN / 2].into_iter().filter(|at| *at < length) {
        let copy = index((length - at).min(StoreFile::ENCODED_LEN / 2));
        match file.read_at(at, kura_disk::Buffer::unpooled(copy)).await {
            // The other one may do.
            Err(error) if is_lost(&error) && lost.is_none() => {
                bytes.resize(bytes.len() + copy, 0);
                lost = Some(error);
            }
            read => bytes.extend_from_slice(&read.during("reading STORE")?),
        }
    }
    match StoreFile::decode(&bytes) {
        Ok(identity) => Ok(Identity::Known { is_whole: identity.encode() == bytes, identity }),
        Err(FormatError::NewerVersion { found, known }) => {
            Err(Error::NewerFormat { path: STORE.to_owned(), found, known })
        }
        Err(FormatError::Damaged(_)) => lost.map_or(Ok(Identity::Damaged), Err).during("reading STORE"),
    }
}

async fn count_segments(disk: &Arc<dyn Disk>) -> Result<usize, Error> {
    match disk.list(SEGMENTS_DIRECTORY).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        entries => Ok(segments_of(&entries.during("listing the segments")?).len()),
    }
}

async fn create_store(
    disk: &Arc<dyn Disk>,
    runtime: &Arc<dyn Runtime>,
    settings: &Settings,
) -> Result<StoreFile, Error> {
    let random = || {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&runtime.random().to_le_bytes());
        bytes[8..].copy_from_slice(&runtime.random().to_le_bytes());
        bytes
    };
    let identity = StoreFile {
        store_id: random(),
        secret: Secret(random()),
        seed: FingerprintSeed(settings.fingerprint_seed.unwrap_or_else(random)),
    };
    write_identity(disk, &identity).await?;
    Ok(identity)
}

/// Writes `STORE`. Its name survives a power cut once the directory is synced.
///
/// # Errors
/// `Io`: what was there stays.
pub(crate) async fn write_identity(disk: &Arc<dyn Disk>, identity: &StoreFile) -> Result<(), Error> {
    let temporary = format!("{TEMPORARY_PREFIX}{STORE}");
    match disk.unlink(&temporary).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).during("clearing the way for STORE");
        }
        _ => {}
    }
    let file = disk.create(&temporary).await.during("creating STORE")?;
    file.write_at(0, vec![Bytes::from(identity.encode())]).await.during("writing STORE")?;
    file.sync("identity of a new store").await.during("syncing STORE")?;
    disk.rename(&temporary, STORE).await.during("naming STORE")
}
