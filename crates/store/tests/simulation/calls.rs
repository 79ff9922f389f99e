//! A client's whole calls: what histories and scenarios do with a store.

use std::sync::Arc;

use bytes::Bytes;
use kura_disk::sim::SimDisk;
use kura_disk::{Disk, Runtime};
use kura_store::key::{Attributes, RecordKey};
use kura_store::types::Encoding;
use kura_store::{Commit, Error, Progress, PutRequest, Settings, Store, Upload};

pub(crate) async fn open(disk: &Arc<SimDisk>, runtime: &Arc<dyn Runtime>, settings: Settings) -> Result<Store, Error> {
    let disk = Arc::clone(disk) as Arc<dyn Disk>;
    Store::open(disk, Arc::clone(runtime), settings, Arc::new(Progress::default())).await
}

/// Starts an upload of `length` bytes, or of a length that is not told.
pub(crate) async fn begin(store: &Store, key: &RecordKey, length: Option<usize>) -> Result<Upload, Error> {
    let request = PutRequest {
        key: key.clone(),
        attributes: Attributes::default(),
        encoding: Encoding::Identity,
        length: length.map(|length| length as u64),
    };
    store.put(request).await
}

pub(crate) async fn put(store: &Store, key: &RecordKey, body: &Bytes, known: bool, piece: usize) -> Result<(), Error> {
    let mut upload = begin(store, key, known.then_some(body.len())).await?;
    for piece in body.chunks(piece) {
        upload.write(body.slice_ref(piece)).await?;
    }
    upload.commit(Commit::default()).await.map(drop)
}

pub(crate) async fn get(store: &Store, key: &RecordKey) -> Result<Option<Bytes>, Error> {
    let Some(mut artifact) = store.get(key).await? else {
        return Ok(None);
    };
    let mut all = Vec::new();
    while let Some(piece) = artifact.body.next().await? {
        all.extend_from_slice(&piece);
    }
    Ok(Some(all.into()))
}
