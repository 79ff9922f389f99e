//! Bodies in chunks of their own, `aws-chunked`: length, perhaps a signature, bytes. The library gathers each chunk whole, and one may be as long as
//! its body. So chunks that are not signed are cut here as they come; signed ones cannot be, and have at most [`MAX_SIGNED`] bytes.
//! Pure: bytes to bytes. Whether chunks and signatures are right is the library's to say.

use bytes::Bytes;
use http::StatusCode;
use http::header::HeaderMap;

use crate::error::Refusal;

/// The longest signed chunk, in bytes. Clients make them of 64 or 128 KiB.
const MAX_SIGNED: u64 = 1 << 20;

/// The longest line in front of a chunk, in bytes.
const MAX_LINE: usize = 256;

pub(crate) struct Chunks {
    signed: bool,
    state: State,
}

enum State {
    /// In the line in front of a chunk, of which this was read.
    Line(Vec<u8>),
    /// In a chunk, of which so many bytes are to come.
    Data(u64),
    /// In the end of one, of which so many bytes are to come.
    End(u8),
    /// Behind the last one.
    Trailer,
}

/// What a piece of a body holds.
enum Met {
    /// Some of a chunk.
    Data(Bytes),
    /// The line behind the last chunk.
    End,
    /// Some of what follows that.
    Trailer(Bytes),
}

impl Chunks {
    /// Of a body that comes in chunks.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Chunks> {
        let said = headers.get("x-amz-content-sha256")?.as_bytes();
        let signed = !said.starts_with(b"STREAMING-UNSIGNED");
        said.starts_with(b"STREAMING-").then(|| Chunks { signed, state: State::Line(Vec::new()) })
    }

    /// What is in memory of them at most, beside what any body takes.
    pub(crate) fn memory(&self) -> u64 {
        if self.signed { MAX_SIGNED } else { 0 }
    }

    /// What the library gets of a piece.
    ///
    /// # Errors
    /// 400 for chunks that are none, 413 for signed ones that are too long.
    pub(crate) fn take(&mut self, piece: Bytes) -> Result<Vec<Bytes>, Refusal> {
        if self.signed {
            self.walk(piece.clone(), |_| {})?;
            return Ok(vec![piece]);
        }
        let mut cut = Vec::new();
        self.walk(piece, |met| match met {
            Met::Data(bytes) => {
                cut.extend([format!("{:x}\r\n", bytes.len()).into(), bytes, Bytes::from_static(b"\r\n")]);
            }
            Met::End => cut.push(Bytes::from_static(b"0\r\n")),
            Met::Trailer(bytes) => cut.push(bytes),
        })?;
        Ok(cut)
    }

    /// Tells what is met in a piece.
    fn walk(&mut self, mut piece: Bytes, mut tell: impl FnMut(Met)) -> Result<(), Refusal> {
        while !piece.is_empty() {
            match &mut self.state {
                State::Line(line) => {
                    let end = piece.iter().position(|byte| *byte == b'\n').map_or(piece.len(), |at| at + 1);
                    line.extend_from_slice(&piece.split_to(end));
                    if line.len() > MAX_LINE {
                        return Err(malformed());
                    }
                    if line.ends_with(b"\n") {
                        self.state = match length(line).ok_or_else(malformed)? {
                            0 => {
                                tell(Met::End);
                                State::Trailer
                            }
                            length if self.signed && length > MAX_SIGNED => return Err(too_long()),
                            length => State::Data(length),
                        };
                    }
                }
                State::Data(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len());
                    *left -= taken as u64;
                    if *left == 0 {
                        self.state = State::End(2);
                    }
                    tell(Met::Data(piece.split_to(taken)));
                }
                State::End(left) => {
                    let expected = if *left == 2 { b'\r' } else { b'\n' };
                    if piece.split_to(1)[0] != expected {
                        return Err(malformed());
                    }
                    *left -= 1;
                    if *left == 0 {
                        self.state = State::Line(Vec::new());
                    }
                }
                State::Trailer => tell(Met::Trailer(std::mem::take(&mut piece))),
            }
        }
        Ok(())
    }
}

/// What the line in front of a chunk says of its length.
fn length(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| matches!(byte, b';' | b'\r' | b'\n')).next()?;
    let digits = str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok().map(u64::from)
}

fn malformed() -> Refusal {
    Refusal::bad_request("the body is not in chunks as aws-chunked has them")
}

fn too_long() -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "signed chunks have at most 1 MiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(signed: bool) -> Chunks {
        Chunks { signed, state: State::Line(Vec::new()) }
    }

    /// What comes out for a body that comes in in pieces of `step` bytes.
    fn taken(signed: bool, body: &[u8], step: usize) -> Result<Vec<u8>, Refusal> {
        let mut chunks = chunks(signed);
        let mut whole = Vec::new();
        for piece in body.chunks(step) {
            whole.extend(chunks.take(Bytes::copy_from_slice(piece))?.concat());
        }
        Ok(whole)
    }

    #[test]
    fn chunks_that_are_not_signed_are_cut_as_they_come() {
        let body = b"b\r\nhello world\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        assert_eq!(taken(false, body, 1000).unwrap(), body);
        let cut = taken(false, body, 7).unwrap();
        assert_eq!(cut, b"4\r\nhell\r\n7\r\no world\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n");
    }

    #[test]
    fn signed_chunks_stay_as_they_are_and_are_bounded() {
        let body = b"5;chunk-signature=abc\r\nhello\r\n0;chunk-signature=def\r\n\r\n";
        for step in [1, 3, 1000] {
            assert_eq!(taken(true, body, step).unwrap(), body);
        }
        let long = taken(true, b"100001;chunk-signature=abc\r\n", 9).unwrap_err();
        assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(taken(false, b"ffffffff\r\n", 9).is_ok());
    }

    #[test]
    fn what_is_in_no_chunks_is_refused() {
        let endless = [b'1'; 300];
        for bad in [&b"hello\r\n"[..], b"\r\n", b"-1\r\n", b"100000000\r\n", b"1\r\nab\r\n", &endless] {
            assert!(taken(false, bad, 2).is_err(), "{}", bad.escape_ascii());
        }
    }
}
