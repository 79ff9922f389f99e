//! Protocol buffers, as far as reading digests out of messages takes: fields of a message, one after another, borrowed.
//! Total on arbitrary bytes: whatever comes in, each call ends, allocates nothing and never panics.
//! Not here: what the fields mean.

/// The most bytes of an integer.
const MAX_VARINT: usize = 10;

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The value of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// An integer, as it stands on the wire.
    Varint(u64),
    /// A string, bytes or a message.
    Bytes(&'a [u8]),
    /// Four or eight bytes: nothing that is looked at here has such fields.
    Fixed,
}

/// Walks the fields of one message.
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// From its first field on.
    #[must_use]
    pub fn of(message: &'a [u8]) -> Fields<'a> {
        Fields { rest: message }
    }

    /// What is behind the last field that was read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field's number and value; `None` at the end.
    ///
    /// # Errors
    /// `Malformed`; nothing more can be read then.
    #[inline(always)]
    #[expect(clippy::should_implement_trait, reason = "an iterator would go on behind an error")]
    pub fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = u32::try_from(self.varint()?).map_err(|_| Malformed)?;
        let number = tag >> 3;
        if number == 0 {
            return Err(Malformed);
        }
        let kind = tag & 7;
        let value = if kind == 2 {
            let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
            Value::Bytes(self.take(length)?)
        } else if kind == 0 {
            Value::Varint(self.varint()?)
        } else {
            self.fixed(kind)?
        };
        Ok(Some((number, value)))
    }

    /// Kept apart, so that the usual kinds cost a comparison and no jump by a table.
    #[cold]
    #[inline(never)]
    fn fixed(&mut self, kind: u32) -> Result<Value<'a>, Malformed> {
        match kind {
            1 => self.take(8).map(|_| Value::Fixed),
            5 => self.take(4).map(|_| Value::Fixed),
            // Groups went out of use before these messages were written.
            _ => Err(Malformed),
        }
    }

    #[inline(always)]
    fn varint(&mut self) -> Result<u64, Malformed> {
        match self.rest.split_first() {
            // Most are of one byte: tags, lengths, small numbers.
            Some((byte, rest)) if byte & 0x80 == 0 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    /// Nothing, where it is cut off.
    fn begun_varint(&mut self) -> Result<Option<u64>, Malformed> {
        let is_cut_off = self.rest.len() < MAX_VARINT && self.rest.iter().all(|byte| byte & 0x80 != 0);
        if is_cut_off { Ok(None) } else { self.varint().map(Some) }
    }

    #[cold]
    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for (at, byte) in self.rest.iter().take(MAX_VARINT).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if at == 9 && bits > 1 {
                return Err(Malformed);
            }
            value |= bits << (7 * at);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// How many bytes the first field of a message that goes on lacks at least; none, if all of it is there.
///
/// # Errors
/// `Malformed`, whatever follows.
pub fn lacking(message: &[u8]) -> Result<usize, Malformed> {
    let mut fields = Fields::of(message);
    let Some(tag) = fields.begun_varint()? else { return Ok(1) };
    let length = match tag & 7 {
        _ if u32::try_from(tag).map_err(|_| Malformed)? >> 3 == 0 => return Err(Malformed),
        0 => return Ok(usize::from(fields.begun_varint()?.is_none())),
        1 => 8,
        2 => match fields.begun_varint()? {
            Some(length) => usize::try_from(length).map_err(|_| Malformed)?,
            None => return Ok(1),
        },
        5 => 4,
        _ => return Err(Malformed),
    };
    Ok(length.saturating_sub(fields.rest.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_come_out_in_order() {
        // 1: varint 300, 2: "hi", 3: fixed32, 4: fixed64.
        let message = [0x08, 0xac, 0x02, 0x12, 2, b'h', b'i', 0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7, 8];
        let mut fields = Fields::of(&message);
        assert_eq!(fields.next(), Ok(Some((1, Value::Varint(300)))));
        assert_eq!(fields.next(), Ok(Some((2, Value::Bytes(b"hi")))));
        assert_eq!(fields.next(), Ok(Some((3, Value::Fixed))));
        assert_eq!(fields.next(), Ok(Some((4, Value::Fixed))));
        assert_eq!(fields.next(), Ok(None));
    }

    #[test]
    fn what_ends_in_the_middle_is_malformed() {
        for message in [&[0x08][..], &[0x08, 0x80], &[0x12, 3, b'h', b'i'], &[0x1d, 1], &[0x00, 0], &[0x0b]] {
            assert_eq!(Fields::of(message).next(), Err(Malformed), "{message:?}");
        }
        assert_eq!(
            Fields::of(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).next(),
            Err(Malformed)
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_end_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut fields = Fields::of(&bytes);
            let mut seen = 0;
            while let Ok(Some(_)) = fields.next() {
                seen += 1;
                prop_assert!(seen <= bytes.len());
            }
        }
    }
}
