//! The SHA-256 that a client says of a body beside it: what comes must have it.

use http::StatusCode;
use http::header::HeaderMap;
use kura_cache::{Digest, DigestFunction, Error, Verifier};

use crate::error::Refusal;

/// A checksum as clients spell it.
///
/// # Errors
/// 400 for what is none.
pub(crate) fn parse(hex: &[u8]) -> Result<Digest, Refusal> {
    Digest::from_hex(DigestFunction::Sha256, hex)
        .map_err(|_| Refusal::bad_request("a checksum is a SHA-256 as 64 lowercase hexadecimal digits"))
}

/// A failed completion or upload, where a wrong checksum answers 422 and not what a blob's wrong digest does.
pub(crate) fn refused(error: Error) -> Refusal {
    match error {
        Error::DigestMismatch { .. } => Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
        other => other.into(),
    }
}

/// The check of a body while it comes.
pub(crate) struct Check {
    expected: Digest,
    verifier: Verifier,
}

impl Check {
    /// Of what `header` says; nothing, where it says nothing.
    ///
    /// # Errors
    /// As for [`parse`].
    pub(crate) fn of(headers: &HeaderMap, header: &str) -> Result<Option<Check>, Refusal> {
        let said = headers.get(header).map(|value| parse(value.as_bytes())).transpose()?;
        Ok(said.map(|expected| Check { expected, verifier: Verifier::new(DigestFunction::Sha256) }))
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.verifier.update(piece);
    }

    /// # Errors
    /// 422 for another body.
    pub(crate) fn finish(self) -> Result<(), Refusal> {
        let found = self.verifier.finish();
        if found.hash() == self.expected.hash() {
            return Ok(());
        }
        Err(refused(Error::DigestMismatch { expected: Box::new(self.expected), found: Box::new(found) }))
    }
}
