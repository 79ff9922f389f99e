//! How an object is stored, and what its id is the digest of: a `CASObject` with its blob in front and its references behind it, each written in the
//! one shortest way. So what is stored goes out as it is, and its front alone is the `CASBlob`.

use bytes::{BufMut, Bytes, BytesMut};
use kura_cache::wire::{Fields, Value};
use prost::length_delimiter_len;
use tonic::Status;

use super::message::{Contents, Object};

/// Bytes of an id: a SHA-256.
pub(crate) const ID: usize = 32;

/// What stands in front of a reference: field 2 of an object, of 34 bytes, and in it field 1, of 32.
const REFERENCE: [u8; 4] = [2 << 3 | 2, 2 + ID as u8, 1 << 3 | 2, ID as u8];

/// Field 1, of a length that follows: an object's blob, and in it its bytes.
const FIRST: u8 = 1 << 3 | 2;

/// The longest front of an object up to its bytes.
const MAX_HEAD: usize = 2 * (1 + 10);

/// An object as it is stored, in three pieces.
#[derive(Debug)]
pub(crate) struct Encoded(pub(crate) [Bytes; 3]);

impl Encoded {
    /// # Errors
    /// `INVALID_ARGUMENT` for one without contents, one that names a file, and references that no server of this sort has given.
    pub(crate) fn new(object: Object) -> Result<Encoded, Status> {
        let data = match object.blob.and_then(|blob| blob.contents) {
            Some(Contents::Data(data)) => data,
            Some(Contents::FilePath(_)) => {
                return Err(Status::invalid_argument(
                    "files that a client names are not read: send the bytes themselves",
                ));
            }
            None => return Err(Status::invalid_argument("the object has no contents")),
        };
        let mut behind = BytesMut::with_capacity(object.references.len() * (REFERENCE.len() + ID));
        for reference in object.references {
            if reference.id.len() != ID {
                return Err(Status::invalid_argument("a reference is an id that was given here, of 32 bytes"));
            }
            behind.put_slice(&REFERENCE);
            behind.put_slice(&reference.id);
        }
        let mut head = BytesMut::with_capacity(MAX_HEAD);
        field(&mut head, 1 + length_delimiter_len(data.len()) + data.len());
        field(&mut head, data.len());
        Ok(Encoded([head.freeze(), data, behind.freeze()]))
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.iter().map(|piece| piece.len() as u64).sum()
    }
}

fn field(to: &mut BytesMut, length: usize) {
    to.put_u8(FIRST);
    // Growing is all that could fail, and it cannot.
    let _ = prost::encode_length_delimiter(length, to);
}

/// Where the blob ends of an object of `length` bytes that begins with `front`; nothing for what is no object: any blob may have that digest.
pub(crate) fn blob_end(front: &[u8], length: u64) -> Option<u64> {
    let (outer, behind) = length_at(front)?;
    let (inner, rest) = length_at(behind)?;
    let head = behind.len() - rest.len();
    let end = outer.checked_add((front.len() - behind.len()) as u64)?;
    let references = length.checked_sub(end)?;
    let whole = inner.checked_add(head as u64)? == outer && references % (REFERENCE.len() + ID) as u64 == 0;
    whole.then_some(end)
}

/// The length of field 1, which is first, and what is behind it.
fn length_at(front: &[u8]) -> Option<(u64, &[u8])> {
    let (tag, rest) = front.split_first()?;
    // A varint stands like a field's value: it is read as that of one.
    let end = rest.iter().take(10).position(|byte| byte & 0x80 == 0)? + 1;
    let mut as_field = [1 << 3; 11];
    as_field[1..=end].copy_from_slice(&rest[..end]);
    match Fields::of(&as_field[..=end]).next() {
        Ok(Some((1, Value::Varint(length)))) if *tag == FIRST => Some((length, &rest[end..])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::llvm::message::{Blob, Id};

    fn object(data: &[u8], references: usize) -> Object {
        let id = |at: usize| Id { id: vec![at as u8; ID].into() };
        let contents = Some(Contents::Data(Bytes::copy_from_slice(data)));
        Object { blob: Some(Blob { contents }), references: (0..references).map(id).collect() }
    }

    #[test]
    fn what_is_stored_is_the_object_and_its_front_the_blob() {
        for (length, references) in [(0, 0), (1, 0), (126, 3), (127, 1), (128, 0), (300, 200), (20_000, 2)] {
            let object = object(&vec![7; length], references);
            let encoded = Encoded::new(object.clone()).unwrap();
            let stored = encoded.0.concat();
            assert_eq!(stored.len() as u64, encoded.len());
            assert_eq!(stored, object.encode_to_vec());
            let end = blob_end(&stored[..stored.len().min(MAX_HEAD)], encoded.len()).unwrap();
            assert_eq!(Object::decode(&stored[..end as usize]).unwrap(), Object { references: Vec::new(), ..object });
        }
    }

    #[test]
    fn what_is_no_object_has_no_blob() {
        let stored = object(b"contents", 1).encode_to_vec();
        let length = stored.len() as u64;
        assert!(blob_end(&stored, length).is_some());
        for wrong in [length - 1, length + 1, 0, 3] {
            assert_eq!(blob_end(&stored, wrong), None);
        }
        for front in [&b""[..], b"\x0a", b"\x0a\xff", b"hello, world", b"\x0a\x02\x12\x00", b"\x0a\x03\x0a\x00"] {
            assert_eq!(blob_end(front, front.len() as u64), None, "{front:?}");
        }
    }

    #[test]
    fn objects_that_name_files_or_hold_nothing_are_refused() {
        let refused = |object| Encoded::new(object).unwrap_err().code();
        let file = Some(Blob { contents: Some(Contents::FilePath("/etc/passwd".to_owned())) });
        let strange = Object { references: vec![Id { id: Bytes::from_static(b"llvmcas://x") }], ..object(b"x", 0) };
        for bad in [
            Object::default(),
            Object { blob: Some(Blob { contents: None }), ..Object::default() },
            Object { blob: file, ..Object::default() },
            strange,
        ] {
            assert_eq!(refused(bad), tonic::Code::InvalidArgument);
        }
    }
}
