//! What is stored of a multipart upload itself: a small record under its id, in the namespace that it writes to.
//!
//! | length | what |
//! |---|---|
//! | 1 | version: 1 |
//! | 1 | 0: it is open, 1: it is complete |
//! | 1 | the kind of the artifact that it makes |
//! | 5 | zero |
//! | 8 | the version that the complete artifact was stored as, little-endian; zero while it is open |
//! | rest | the artifact's key |
//!
//! What is kept beside the artifact is kept beside this record until then. When it began is told by the record's own version.

use bytes::Bytes;
use kura_store::key::RecordKey;
use kura_store::types::Encoding;
use kura_store::{Commit, PutRequest};

use super::UploadId;
use crate::artifact::{ArtifactKey, InvalidKey, Kind, Scope, record_key};
use crate::body::{Body, Plain};
use crate::error::Error;
use crate::limits::MAX_UPLOAD_AGE;
use crate::{Attributes, Cache, Version};

const VERSION: u8 = 1;

const OPEN: u8 = 0;
const COMPLETE: u8 = 1;

/// Bytes before the key.
const HEADER: usize = 16;

/// Bytes of the longest one.
const MAX_LEN: u64 = HEADER as u64 + kura_store::key::MAX_KEY_LEN as u64;

#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// What it makes.
    pub(crate) target: ArtifactKey,
    /// What is kept beside that.
    pub(crate) attributes: Attributes,
    /// Set once it is complete.
    pub(crate) completed: Option<Version>,
}

impl Session {
    pub(crate) fn encode(&self) -> Bytes {
        let state = if self.completed.is_some() { COMPLETE } else { OPEN };
        let mut encoded = vec![VERSION, state, self.target.kind() as u8, 0, 0, 0, 0, 0];
        encoded.extend(self.completed.map_or(0, |version| version.0).to_le_bytes());
        encoded.extend(self.target.record.key());
        encoded.into()
    }

    /// `None` for what is no session.
    pub(crate) fn decode(scope: &Scope, encoded: &[u8], attributes: Attributes) -> Option<Session> {
        let ([VERSION, state, kind, 0, 0, 0, 0, 0], rest) = encoded.split_first_chunk()? else { return None };
        let (version, key) = rest.split_first_chunk()?;
        let completed = match (*state, u64::from_le_bytes(*version)) {
            (OPEN, 0) => None,
            (COMPLETE, version) if version > 0 => Some(Version(version)),
            _ => return None,
        };
        let kind = Kind::ALL.into_iter().find(|known| *known as u8 == *kind && known.is_keyed())?;
        let target = ArtifactKey::keyed(scope, kind, key).ok()?;
        Some(Session { target, attributes, completed })
    }
}

/// What the session is stored under.
pub(crate) fn session_record(scope: &Scope, id: &UploadId) -> Result<RecordKey, InvalidKey> {
    record_key(scope, Kind::Upload, id.bytes())
}

impl Cache {
    pub(crate) async fn store_session(&self, record: &RecordKey, session: &Session) -> Result<Version, Error> {
        let body = session.encode();
        let request = PutRequest {
            key: record.clone(),
            attributes: session.attributes.clone(),
            encoding: Encoding::Identity,
            length: Some(body.len() as u64),
        };
        let mut upload = self.store(request).await?;
        upload.write(body).await?;
        Ok(upload.commit(Commit::default()).await?)
    }

    /// The session of that record, unless it is too old. Vouches for it.
    pub(crate) async fn session(&self, scope: &Scope, record: &RecordKey) -> Result<Option<Session>, Error> {
        let Some(found) = self.inner.store.get(record).await? else { return Ok(None) };
        let age = self.inner.runtime.unix_millis().saturating_sub(found.version.unix_millis());
        if u128::from(age) > MAX_UPLOAD_AGE.as_millis() || found.stored_len > MAX_LEN {
            return Ok(None);
        }
        let attributes = found.attributes.clone();
        let body = Body::from(Plain::stored(found.body)).collect().await?;
        let session = Session::decode(scope, &body, attributes);
        if session.is_none() {
            tracing::error!(key = ?record, "an upload's record that is none: answered as unknown");
        }
        Ok(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_session_are_those_of_version_1() {
        let scope = Scope::default();
        let target = ArtifactKey::keyed(&scope, Kind::Module, b"k").unwrap();
        let mut session = Session { target, attributes: Attributes::default(), completed: None };
        assert_eq!(session.encode(), b"\x01\0\x06\0\0\0\0\0\0\0\0\0\0\0\0\0k"[..]);
        session.completed = Some(Version(258));
        assert_eq!(session.encode(), b"\x01\x01\x06\0\0\0\0\0\x02\x01\0\0\0\0\0\0k"[..]);
        let decoded = Session::decode(&scope, &session.encode(), Attributes::default()).unwrap();
        assert_eq!((decoded.encode(), decoded.completed), (session.encode(), Some(Version(258))));
    }

    #[test]
    fn what_is_no_session_is_refused() {
        let decode = |bytes: &[u8]| Session::decode(&Scope::default(), bytes, Attributes::default());
        for bad in [
            &b""[..],
            b"\x01\0\x06\0\0\0\0\0\0\0\0\0\0\0\0\0",
            b"\x02\0\x06\0\0\0\0\0\0\0\0\0\0\0\0\0k",
            b"\x01\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0k",
            b"\x01\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0k",
            b"\x01\x01\x06\0\0\0\0\0\0\0\0\0\0\0\0\0k",
            b"\x01\0\x06\0\0\0\0\0\x01\0\0\0\0\0\0\0k",
        ] {
            assert!(decode(bad).is_none(), "{bad:?}");
        }
    }
}
