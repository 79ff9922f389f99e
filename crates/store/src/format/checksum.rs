//! CRC-32C (RFC 3720, appendix B.4), the format's guard against bytes that changed by accident.

use crc_fast::{CrcAlgorithm, Digest};

/// Of all bytes at once.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// Of bytes that come in pieces.
#[derive(Debug, Clone)]
pub(crate) struct Crc32c(Digest);

impl Crc32c {
    pub(crate) fn new() -> Crc32c {
        Crc32c(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum so far; the next piece starts a new one.
    pub(crate) fn take(&mut self) -> u32 {
        let sum = u32::try_from(self.0.finalize()).unwrap_or_default();
        self.0.reset();
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_crc_of_the_rfc() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn pieces_come_to_the_same_as_the_whole() {
        let bytes: Vec<u8> = (0..10_000_u32).map(|at| (at * 7 % 251) as u8).collect();
        let mut running = Crc32c::new();
        for piece in bytes.chunks(333) {
            running.update(piece);
        }
        assert_eq!(running.take(), crc32c(&bytes));
        running.update(b"123456789");
        assert_eq!(running.take(), 0xe306_9283);
    }
}
