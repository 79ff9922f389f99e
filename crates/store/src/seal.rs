//! Sealing: the footer that lets a start trust a segment without scanning it.
//! Invariant: it is written only after a sync of all that it lists, whatever the durability setting; never after a failed sync.

use std::sync::Arc;

use bytes::Bytes;

use crate::error::{During, Error};
use crate::format::footer::Footer;
use crate::format::record::FIXED_HEAD_LEN;
use crate::segment::{Mode, Segment};
use crate::store::Inner;

impl Inner {
    pub(crate) fn seal_in_background(self: &Arc<Self>, segment: &Arc<Segment>) {
        let (inner, segment) = (Arc::clone(self), Arc::clone(segment));
        self.spawn("seal", async move {
            if let Err(error) = inner.seal(&segment).await {
                tracing::warn!(segment = %segment.number(), %error, "not sealed: the next start scans it");
            }
        });
    }

    /// Seals a drained segment. One that is condemned, failed or sealed is left as it is.
    pub(crate) async fn seal(&self, segment: &Arc<Segment>) -> Result<(), Error> {
        let mode = segment.with_writing(|writing| writing.mode);
        if mode != Some(Mode::Draining) || segment.is_condemned() {
            return Ok(());
        }
        self.wipe_doubtful(segment).await?;
        self.sync_segment(segment, "records before their footer").await?;
        self.doubtful.forget(segment.slot);
        self.write_footer(segment).await?;
        if let Some(handle) = segment.open_handle() {
            self.files.keep(&handle);
        }
        segment.set_sealed();
        if !segment.is_solo() {
            self.log.succeeded(segment);
        }
        self.wake_keeper();
        Ok(())
    }

    /// Records whose commit failed are no records any more: no start that has lost the footer finds them. No reader ever had them.
    async fn wipe_doubtful(&self, segment: &Segment) -> Result<(), Error> {
        let Some(handle) = segment.with_writing(|writing| Arc::clone(&writing.handle)) else { return Ok(()) };
        for offset in self.doubtful.of(segment.slot) {
            let nothing = Bytes::from_static(&[0; FIXED_HEAD_LEN as usize]);
            handle.file()?.write_at(offset.0, vec![nothing]).await.during("wiping a record whose commit failed")?;
        }
        Ok(())
    }

    /// Writes the footer so that it ends at the segment's length.
    ///
    /// # Errors
    /// `NoPlace` rather than over a record; `Io`.
    pub(crate) async fn write_footer(&self, segment: &Segment) -> Result<(), Error> {
        let Some((handle, footer)) = segment.with_writing(|writing| {
            let footer = Footer {
                store_id: self.identity.store_id,
                birth: segment.birth,
                entries: writing.entries.clone(),
                namespaces: writing.namespaces.names(),
            };
            (Arc::clone(&writing.handle), footer)
        }) else {
            return Ok(());
        };
        let bytes = footer.encode(&self.identity.secret);
        let ends = footer.entries.iter().map(|entry| entry.end(segment.block));
        let at = segment.length().saturating_sub(bytes.len() as u64);
        if ends.max().is_some_and(|end| at < end) {
            return Err(Error::NoPlace);
        }
        handle.file()?.write_at(at, vec![Bytes::from(bytes)]).await.during("writing a footer")
    }
}
