//! A body that is gathered in memory on its way in, as long as it may be.

use bytes::Bytes;

use crate::error::Error;

pub(crate) struct Gathered {
    pieces: Vec<Bytes>,
    length: u64,
    limit: u64,
}

impl Gathered {
    pub(crate) fn up_to(limit: u64) -> Gathered {
        Gathered { pieces: Vec::new(), length: 0, limit }
    }

    /// # Errors
    /// `TooLarge`.
    pub(crate) fn push(&mut self, piece: Bytes) -> Result<(), Error> {
        self.length += piece.len() as u64;
        if self.length > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        self.pieces.push(piece);
        Ok(())
    }

    pub(crate) fn into_bytes(mut self) -> Bytes {
        match self.pieces.len() {
            1 => self.pieces.swap_remove(0),
            _ => self.pieces.concat().into(),
        }
    }
}
