//! A long message in the pieces that it came in, cut anew between its fields: what lies across two pieces is copied, and nothing else.

use bytes::{Bytes, BytesMut};
use kura_cache::wire::{Fields, Malformed, Value, lacking};

/// The message in parts of whole fields, each of which `see` is shown.
///
/// # Errors
/// `Malformed`: of the message, or as `see` says.
pub(crate) fn between_fields(
    pieces: Vec<Bytes>,
    mut see: impl FnMut(u32, Value<'_>) -> Result<(), Malformed>,
) -> Result<Vec<Bytes>, Malformed> {
    let mut parts = Vec::with_capacity(2 * pieces.len());
    // A field that began in a piece before.
    let mut begun = BytesMut::new();
    for mut piece in pieces {
        if !begun.is_empty() {
            complete(&mut begun, &mut piece)?;
            if lacking(&begun)? > 0 {
                continue;
            }
            if let Some((number, value)) = Fields::of(&begun).next()? {
                see(number, value)?;
            }
            parts.push(begun.split().freeze());
        }
        let mut fields = Fields::of(&piece);
        let mut rest = fields.rest();
        while let Ok(Some((number, value))) = fields.next() {
            see(number, value)?;
            rest = fields.rest();
        }
        begun.extend_from_slice(rest);
        piece.truncate(piece.len() - rest.len());
        parts.push(piece);
    }
    if begun.is_empty() { Ok(parts) } else { Err(Malformed) }
}

/// Moves what the field lacks from the piece to it, as far as the piece goes.
fn complete(begun: &mut BytesMut, piece: &mut Bytes) -> Result<(), Malformed> {
    loop {
        let lacks = lacking(begun)?.min(piece.len());
        if lacks == 0 {
            return Ok(());
        }
        begun.extend_from_slice(&piece.split_to(lacks));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Seen = Result<Vec<(u32, Vec<u8>)>, Malformed>;

    fn told(number: u32, value: Value<'_>) -> (u32, Vec<u8>) {
        match value {
            Value::Bytes(bytes) => (number, bytes.to_vec()),
            Value::Varint(varint) => (number, varint.to_le_bytes().to_vec()),
            Value::Fixed => (number, Vec::new()),
        }
    }

    fn fields(message: &[u8]) -> Seen {
        let (mut fields, mut seen) = (Fields::of(message), Vec::new());
        while let Some((number, value)) = fields.next()? {
            seen.push(told(number, value));
        }
        Ok(seen)
    }

    fn field() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            20 => prop::collection::vec(any::<u8>(), 0..100).prop_map(|bytes| [&[0x12, bytes.len() as u8], &bytes[..]].concat()),
            4 => prop::collection::vec(any::<u8>(), 200).prop_map(|bytes| [&[0x92, 0x01, 0xc8, 0x01], &bytes[..]].concat()),
            4 => (0..128_u8).prop_map(|last| vec![0x18, 0xff, 0x80, last]),
            1 => prop_oneof![Just(0x1d_u8), Just(0x21)].prop_map(|tag| vec![tag, 1, 2, 3, 4, 0x18, 5, 0x18, 6]),
            1 => prop::collection::vec(any::<u8>(), 0..20),
        ]
    }

    proptest! {
        #[test]
        fn the_parts_are_the_message_and_each_field_is_in_one_of_them(
            message in prop::collection::vec(field(), 0..20).prop_map(|fields| fields.concat()),
            lengths in prop::collection::vec(0..60_usize, 0..40),
        ) {
            let mut rest = Bytes::from(message.clone());
            let mut pieces: Vec<Bytes> = lengths.iter().map(|length| rest.split_to(rest.len().min(*length))).collect();
            pieces.push(rest);
            let mut seen = Vec::new();
            let parts = between_fields(pieces, |number, value| {
                seen.push(told(number, value));
                Ok(())
            });
            let whole = fields(&message);
            prop_assert_eq!(parts.is_ok(), whole.is_ok());
            if let (Ok(parts), Ok(whole)) = (parts, whole) {
                prop_assert_eq!(parts.concat(), message);
                prop_assert_eq!(&seen, &whole);
                let of_parts: Seen = parts.iter().map(|part| fields(part)).collect::<Result<Vec<_>, _>>().map(|all| all.concat());
                prop_assert_eq!(of_parts, Ok(whole));
            }
        }
    }
}
