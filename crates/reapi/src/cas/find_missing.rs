//! `FindMissingBlobs`. Its requests are long and come often: digests are read where they stand, and those that are missing go back as they came.

use bytes::{BufMut, Bytes, BytesMut};
use kura_cache::wire::{Fields, Malformed, Value};
use kura_cache::{Digest, DigestFunction, Probe, Scope};
use tonic::Status;

use crate::call::Call;
use crate::grpc::{PREFIX, Reply, prefix};
use crate::{digest, scope, status};

/// The response's only field, as it stands in front of each digest: number 2, bytes.
const MISSING: u8 = 2 << 3 | 2;

/// Digests that are asked about at once.
const AT_ONCE: usize = 64;

pub(crate) async fn find_missing(mut call: Call) -> Result<Reply, Status> {
    let request = call.incoming.only().await?;
    let (scope, function) = common(&request)?;
    let mut probe = Probe::new(&call.cache, &scope);
    let mut asked = Asked::default();
    let mut reply = BytesMut::zeroed(PREFIX);
    let mut fields = Fields::of(&request);
    while let Some((number, value)) = fields.next().map_err(malformed)? {
        if let (2, Value::Bytes(message)) = (number, value) {
            let (hash, size) = read_digest(message).map_err(malformed)?;
            asked.digests.push(digest::parse(function, hash, size)?);
            asked.messages.push(message);
            if asked.digests.len() == AT_ONCE {
                asked.answer(&mut probe, &mut reply).await?;
            }
        }
    }
    asked.answer(&mut probe, &mut reply).await?;
    let prefix = prefix(reply.len() - PREFIX);
    reply[..PREFIX].copy_from_slice(&prefix);
    Ok(Reply::framed(reply.freeze()))
}

/// Some digests of a request, and how they stand in it.
#[derive(Default)]
struct Asked<'a> {
    digests: Vec<Digest>,
    messages: Vec<&'a [u8]>,
}

impl Asked<'_> {
    /// Puts those that are missing into the reply, and makes room for the next.
    async fn answer(&mut self, probe: &mut Probe<'_>, reply: &mut BytesMut) -> Result<(), Status> {
        let found = probe.find_all(&self.digests).await.map_err(|error| status::of_read(&error))?;
        for (message, _) in self.messages.iter().zip(found).filter(|(_, found)| found.is_none()) {
            reply.put_u8(MISSING);
            // Growing is all that could fail, and it cannot.
            let _ = prost::encode_length_delimiter(message.len(), reply);
            reply.put_slice(message);
        }
        self.digests.clear();
        self.messages.clear();
        Ok(())
    }
}

/// What holds for all digests, wherever it stands in the message.
fn common(request: &Bytes) -> Result<(Scope, Option<DigestFunction>), Status> {
    let (mut instance, mut function) = ("", 0);
    let mut fields = Fields::of(request);
    while let Some((number, value)) = fields.next().map_err(malformed)? {
        match (number, value) {
            (1, Value::Bytes(name)) => instance = std::str::from_utf8(name).map_err(|_| malformed(Malformed))?,
            (2, Value::Bytes(_)) => {}
            (3, Value::Varint(said)) => function = said as i32,
            (1..=3, _) => return Err(malformed(Malformed)),
            _ => {}
        }
    }
    Ok((scope::of_instance(instance)?, digest::function(function)?))
}

/// `Digest`: its hash and size.
fn read_digest(message: &[u8]) -> Result<(&[u8], i64), Malformed> {
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
