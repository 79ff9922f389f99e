//! `FindMissingBlobs`. Its requests are long and come often: digests are read where they stand, and those that are missing go back as they came.

use bytes::{BufMut, Bytes, BytesMut};
use kura_auth::Access;
use kura_cache::wire::{Fields, Malformed, Value};
use kura_cache::{DigestFunction, MAX_HASH_LEN, Probe, Scope};
use tonic::Status;

use crate::call::Call;
use crate::cas::parts::between_fields;
use crate::grpc::{PREFIX, Reply, prefix};
use crate::{digest, scope, status};

/// The response's only field, as it stands in front of each digest: number 2, bytes.
const MISSING: u8 = 2 << 3 | 2;

/// The fields of a digest: number 1, bytes, and number 2, an integer.
const HASH: u8 = 1 << 3 | 2;
const SIZE: u8 = 2 << 3;

/// Digests that are asked about at once: enough that several are of one shard of the index.
const AT_ONCE: usize = 1024;

/// What a SHA-256 digest takes of a request at least, in bytes.
const USUAL: usize = 70;

pub(crate) async fn find_missing(mut call: Call) -> Result<Reply, Status> {
    let pieces = call.incoming.only_in_pieces().await?;
    let expected = AT_ONCE.min(pieces.iter().map(Bytes::len).sum::<usize>() / USUAL);
    let (parts, common) = read(pieces)?;
    let (scope, function) = common.of(&call.head.access)?;
    let mut asked = Asked { probe: Probe::new(&call.cache, &scope), function, messages: Vec::with_capacity(expected) };
    asked.probe.reserve(expected);
    let mut reply = BytesMut::zeroed(PREFIX);
    for part in &parts {
        let mut fields = Fields::of(part);
        while let Some((number, value)) = fields.next().map_err(malformed)? {
            if let (2, Value::Bytes(message)) = (number, value) {
                asked.ask(message)?;
                if asked.messages.len() == AT_ONCE {
                    asked.answer(&mut reply).await?;
                }
            }
        }
    }
    asked.answer(&mut reply).await?;
    let prefix = prefix(reply.len() - PREFIX);
    reply[..PREFIX].copy_from_slice(&prefix);
    Ok(Reply::framed(reply.freeze()))
}

/// Digests of a request, as they stand in it, which the probe is asked about.
struct Asked<'a> {
    probe: Probe<'a>,
    function: Option<DigestFunction>,
    messages: Vec<&'a [u8]>,
}

impl<'a> Asked<'a> {
    #[inline]
    fn ask(&mut self, message: &'a [u8]) -> Result<(), Status> {
        let (hex, size) = read_digest(message).map_err(malformed)?;
        let (function, size) = digest::terms(self.function, hex.len(), size)?;
        let mut room = [0; MAX_HASH_LEN];
        let hash = function.decode(hex, &mut room).map_err(digest::bad)?;
        self.probe.ask(function, hash, size).map_err(|error| status::of_read(&error))?;
        self.messages.push(message);
        Ok(())
    }

    /// Puts those that are missing into the reply, and makes room for the next.
    async fn answer(&mut self, reply: &mut BytesMut) -> Result<(), Status> {
        for (at, there) in self.probe.answers().await.into_iter().enumerate() {
            let message = self.messages[at];
            let there = match there {
                Some(there) => there,
                None => Box::pin(self.find(message)).await?,
            };
            if !there {
                reply.put_u8(MISSING);
                // Growing is all that could fail, and it cannot.
                let _ = prost::encode_length_delimiter(message.len(), reply);
                reply.put_slice(message);
            }
        }
        self.messages.clear();
        Ok(())
    }

    /// Few blobs are recipes, or empty: they do not make all others' futures larger.
    async fn find(&mut self, message: &[u8]) -> Result<bool, Status> {
        let (hash, size) = read_digest(message).map_err(malformed)?;
        let digest = digest::parse(self.function, hash, size)?;
        let found = self.probe.find(&digest).await.map_err(|error| status::of_read(&error))?;
        Ok(found.is_some())
    }
}

/// What holds for all digests, wherever it stands in the message.
#[derive(Default)]
pub(crate) struct Common {
    instance: String,
    function: i32,
}

impl Common {
    fn see(&mut self, number: u32, value: Value<'_>) -> Result<(), Malformed> {
        match (number, value) {
            (1, Value::Bytes(name)) => str::from_utf8(name).map_err(|_| Malformed)?.clone_into(&mut self.instance),
            (2, Value::Bytes(_)) => {}
            (3, Value::Varint(said)) => self.function = said as i32,
            (1..=3, _) => return Err(Malformed),
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn of(&self, access: &Access) -> Result<(Scope, Option<DigestFunction>), Status> {
        Ok((scope::of_instance(access, &self.instance)?, digest::function(self.function)?))
    }
}

/// The request in parts of whole fields.
pub(crate) fn read(pieces: Vec<Bytes>) -> Result<(Vec<Bytes>, Common), Status> {
    let mut common = Common::default();
    let parts = between_fields(pieces, |number, value| common.see(number, value)).map_err(malformed)?;
    Ok((parts, common))
}

/// `Digest`: its hash and size.
#[inline]
pub(crate) fn read_digest(message: &[u8]) -> Result<(&[u8], i64), Malformed> {
    match usual_digest(message) {
        Some(read) => Ok(read),
        None => any_digest(message),
    }
}

/// What clients write: the hash, then the size, and nothing else. Nothing for others, which may be as good.
#[inline]
fn usual_digest(message: &[u8]) -> Option<(&[u8], i64)> {
    let [HASH, length @ ..0x80, rest @ ..] = message else { return None };
    let (hash, rest) = rest.split_at_checked(usize::from(*length))?;
    let [SIZE, low @ .., high @ ..0x80] = rest else { return None };
    // Of nine bytes, seven bits each, no number is negative.
    if low.len() > 8 || low.iter().any(|byte| byte & 0x80 == 0) {
        return None;
    }
    Some((hash, low.iter().rev().fold(i64::from(*high), |size, byte| size << 7 | i64::from(byte & 0x7f))))
}

fn any_digest(message: &[u8]) -> Result<(&[u8], i64), Malformed> {
    let (mut hash, mut size) = (&[][..], 0);
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Bytes(hex)) => hash = hex,
            (2, Value::Varint(bytes)) => size = bytes.cast_signed(),
            (1 | 2, _) => return Err(Malformed),
            _ => {}
        }
    }
    Ok((hash, size))
}

fn malformed(_: Malformed) -> Status {
    Status::invalid_argument("the message is malformed")
}

#[cfg(test)]
mod tests {
    use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
    use prost::Message;

    use super::*;

    #[test]
    fn a_digest_as_clients_write_it_is_read_at_once_and_as_any_other() {
        for size in [1, 127, 128, 300, 16_383, 16_384, i64::MAX] {
            for hash in ["", "x", &"0".repeat(127)] {
                let message = proto::Digest { hash: hash.to_owned(), size_bytes: size }.encode_to_vec();
                let usual = usual_digest(&message);
                assert_eq!(usual, (!hash.is_empty()).then_some((hash.as_bytes(), size)));
                assert_eq!(any_digest(&message), Ok((hash.as_bytes(), size)));
                // Cut short, or with more behind it.
                for cut in 0..message.len() {
                    assert!(usual_digest(&message[..cut]).is_none_or(|read| any_digest(&message[..cut]) == Ok(read)));
                }
                assert_eq!(usual_digest(&[&message[..], &[0x18, 1]].concat()), None);
            }
        }
        let negative = proto::Digest { hash: "x".to_owned(), size_bytes: -1 }.encode_to_vec();
        assert_eq!((usual_digest(&negative), any_digest(&negative)), (None, Ok((&b"x"[..], -1))));
    }
}
