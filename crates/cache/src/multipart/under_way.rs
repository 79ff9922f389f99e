//! What is remembered of uploads that are under way: how large their parts are together, and when these were vouched for last. All of it can be
//! counted again, so it may be forgotten at any time and does not outlive the process.
//! Invariant: at most [`MAX_UPLOADS`] are remembered, and only uploads that are remembered take parts.

use std::collections::HashMap;
use std::time::Duration;

use kura_store::key::RecordKey;
use parking_lot::Mutex;

use crate::error::Error;
use crate::limits::{COME_BACK, MAX_UPLOADS, UPLOAD_IDLE, VOUCH_EVERY};

#[derive(Default)]
pub(crate) struct UnderWay(Mutex<HashMap<RecordKey, Progress>>);

struct Progress {
    /// Bytes of all parts, as they were counted last.
    counted: Option<u64>,
    /// Whether that is what is there: not while a part is being committed.
    exact: bool,
    /// When they were counted, which vouches for them.
    vouched: Duration,
    /// When a part came last.
    touched: Duration,
}

impl UnderWay {
    /// Remembers that a part comes, or may.
    ///
    /// # Errors
    /// `Busy` while as many as may be are under way.
    pub(crate) fn enter(&self, upload: &RecordKey, now: Duration) -> Result<(), Error> {
        let mut all = self.0.lock();
        if let Some(progress) = all.get_mut(upload) {
            progress.touched = now;
            return Ok(());
        }
        if all.len() >= MAX_UPLOADS {
            all.retain(|_, progress| now.saturating_sub(progress.touched) < UPLOAD_IDLE);
        }
        if all.len() >= MAX_UPLOADS {
            return Err(Error::Busy { retry_after: COME_BACK });
        }
        let progress = Progress { counted: None, exact: false, vouched: now, touched: now };
        all.insert(upload.clone(), progress);
        Ok(())
    }

    /// About how many bytes its parts have, where that is known.
    pub(crate) fn about(&self, upload: &RecordKey) -> Option<u64> {
        self.0.lock().get(upload)?.counted
    }

    /// How many bytes its parts have, unless they are to be counted, or vouched for, anew. Whoever asks is about to change it, and says so with
    /// [`UnderWay::settle`] afterwards.
    pub(crate) fn take(&self, upload: &RecordKey, now: Duration) -> Option<u64> {
        let mut all = self.0.lock();
        let progress = all.get_mut(upload)?;
        let fresh = now.saturating_sub(progress.vouched) < VOUCH_EVERY;
        std::mem::replace(&mut progress.exact, false).then_some(progress.counted).flatten().filter(|_| fresh)
    }

    /// Its parts have so many bytes now; `vouched` where they were counted.
    pub(crate) fn settle(&self, upload: &RecordKey, bytes: u64, vouched: Option<Duration>) {
        if let Some(progress) = self.0.lock().get_mut(upload) {
            progress.counted = Some(bytes);
            progress.exact = true;
            progress.vouched = vouched.unwrap_or(progress.vouched);
        }
    }

    pub(crate) fn leave(&self, upload: &RecordKey) {
        self.0.lock().remove(upload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scope;
    use crate::multipart::UploadId;
    use crate::multipart::session::session_record;

    fn upload(number: usize) -> RecordKey {
        session_record(&Scope::default(), &UploadId::from_bytes((number as u128).to_le_bytes())).unwrap()
    }

    #[test]
    fn an_upload_that_rests_makes_room_and_those_under_way_do_not() {
        let (all, second) = (UnderWay::default(), Duration::from_secs(1));
        for number in 0..MAX_UPLOADS {
            all.enter(&upload(number), second).unwrap();
        }
        assert!(matches!(all.enter(&upload(MAX_UPLOADS), second), Err(Error::Busy { .. })));
        all.enter(&upload(0), UPLOAD_IDLE).unwrap();
        all.enter(&upload(MAX_UPLOADS), second + UPLOAD_IDLE).unwrap();
        assert_eq!(all.0.lock().len(), 2, "the first, of which a part came, and the new one");
        all.leave(&upload(0));
        assert_eq!(all.0.lock().len(), 1);
    }

    #[test]
    fn a_count_holds_until_a_part_comes_or_it_has_grown_old() {
        let (all, upload, now) = (UnderWay::default(), upload(1), Duration::from_secs(1));
        all.enter(&upload, now).unwrap();
        assert_eq!((all.about(&upload), all.take(&upload, now)), (None, None));
        all.settle(&upload, 7, Some(now));
        assert_eq!((all.about(&upload), all.take(&upload, now)), (Some(7), Some(7)));
        assert_eq!((all.about(&upload), all.take(&upload, now)), (Some(7), None), "the commit did not end");
        all.settle(&upload, 9, None);
        assert_eq!(all.take(&upload, now + VOUCH_EVERY), None);
    }
}
