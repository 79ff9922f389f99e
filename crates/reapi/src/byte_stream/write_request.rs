//! `WriteRequest`, read while it comes: what stands in front of the data is gathered, the data is not.
//! Every client sends the data last. Where something follows it, it is gathered all the same, since that may change what it means.

use bytes::Bytes;
use http_body::Body;
use tonic::Status;

use crate::grpc::Incoming;

/// The longest resource name, in bytes.
pub(crate) const MAX_NAME: usize = 4096;

/// One message of an upload.
pub(crate) struct WriteRequest {
    /// Empty where it was left out.
    pub(crate) name: Bytes,
    pub(crate) offset: i64,
    pub(crate) finish: bool,
    pub(crate) data: Data,
}

/// A message's data.
pub(crate) enum Data {
    /// Came in already.
    Here(Bytes),
    /// So many bytes come next: take them before the next message.
    Coming(usize),
}

impl WriteRequest {
    /// The next message; `None` once the client has said all.
    ///
    /// # Errors
    /// As for [`Incoming::next`]; `INVALID_ARGUMENT` for bytes that are no such message.
    pub(crate) async fn next<B>(incoming: &mut Incoming<B>) -> Result<Option<WriteRequest>, Status>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let Some(length) = incoming.next().await? else { return Ok(None) };
        let mut message = Message { incoming, left: length };
        let mut request = WriteRequest { name: Bytes::new(), offset: 0, finish: false, data: Data::Here(Bytes::new()) };
        while message.left > 0 {
            let tag = u32::try_from(message.varint().await?).map_err(|_| malformed())?;
            match (tag >> 3, tag & 7) {
                (1, 2) => request.name = message.bytes(MAX_NAME).await?,
                (2, 0) => request.offset = message.varint().await?.cast_signed(),
                (3, 0) => request.finish = message.varint().await? != 0,
                (10, 2) => {
                    let length = message.length().await?;
                    if length == message.left {
                        request.data = Data::Coming(length);
                        return Ok(Some(request));
                    }
                    message.incoming.hold(length as u64)?;
                    request.data = Data::Here(message.take(length).await?);
                }
                (0..=3 | 10, _) => return Err(malformed()),
                (_, 0) => drop(message.varint().await?),
                (_, 1) => drop(message.take(8).await?),
                (_, 2) => drop(message.bytes(MAX_NAME).await?),
                (_, 5) => drop(message.take(4).await?),
                _ => return Err(malformed()),
            }
        }
        Ok(Some(request))
    }
}

/// What is left of one message.
struct Message<'a, B> {
    incoming: &'a mut Incoming<B>,
    left: usize,
}

impl<B: Body<Data = Bytes> + Unpin> Message<'_, B> {
    async fn take(&mut self, length: usize) -> Result<Bytes, Status> {
        self.left = self.left.checked_sub(length).ok_or_else(malformed)?;
        self.incoming.take(length).await
    }

    async fn varint(&mut self) -> Result<u64, Status> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            self.left = self.left.checked_sub(1).ok_or_else(malformed)?;
            let byte = self.incoming.byte().await?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(malformed());
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(malformed())
    }

    /// The length of a field that has to lie within the message.
    async fn length(&mut self) -> Result<usize, Status> {
        let length = self.varint().await?;
        usize::try_from(length).ok().filter(|length| *length <= self.left).ok_or_else(malformed)
    }

    /// A field of at most `most` bytes.
    async fn bytes(&mut self, most: usize) -> Result<Bytes, Status> {
        let length = self.length().await?;
        if length > most {
            return Err(Status::invalid_argument("a field of the message is too long"));
        }
        self.take(length).await
    }
}

fn malformed() -> Status {
    Status::invalid_argument("the message is malformed")
}

#[cfg(test)]
mod tests {
    use bazel_remote_apis::google::bytestream as proto;
    use proptest::prelude::*;
    use prost::Message;

    use crate::fuzz::write_request::same;

    #[test]
    fn fields_in_any_order_and_more_than_once_mean_what_they_mean() {
        let data = [&[0x52, 3][..], b"abc"].concat();
        let name = [&[0x0a, 1][..], b"n"].concat();
        let messages: [Vec<u8>; 5] = [
            [&data[..], &name].concat(),
            [&data[..], &name, &[0x52, 1, b'x']].concat(),
            [&[0x10, 5][..], &[0x18, 1], &data, &[0x10, 6]].concat(),
            // Fields that nobody here knows.
            [&[0x20, 1][..], &[0x2a, 2, 0, 0], &[0x35, 0, 0, 0, 0], &[0x39, 0, 0, 0, 0, 0, 0, 0, 0], &data].concat(),
            Vec::new(),
        ];
        for message in messages {
            for cut in [1, 2, 100] {
                same(&message, cut);
            }
        }
    }

    proptest! {
        #[test]
        fn a_message_means_what_the_generated_type_means(
            resource_name in "[a-z/]{0,50}", write_offset: i64, finish_write: bool, data: Vec<u8>, cut in 1..200_usize,
        ) {
            same(&proto::WriteRequest { resource_name, write_offset, finish_write, data }.encode_to_vec(), cut);
        }

        #[test]
        fn any_bytes_are_read_alike_or_refused_alike(bytes: Vec<u8>, cut in 1..20_usize) {
            same(&bytes, cut);
        }
    }
}
