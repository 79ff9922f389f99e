//! `WriteRequest`, read while it comes: it says what the generated type says. The first byte says in which pieces it comes.

use bazel_remote_apis::google::bytestream as proto;
use prost::Message;
use tonic::Status;

use super::{at_once, incoming};
use crate::byte_stream::write_request::{Data, MAX_NAME, WriteRequest};
use crate::grpc::prefix;

pub(super) fn target(bytes: &[u8]) {
    if let Some((cut, message)) = bytes.split_first() {
        same(message, usize::from(*cut) + 1);
    }
}

/// Whether it is read as the generated type reads it. Groups, which went out of use long ago, are not read at all, nor are fields that are long for no
/// reason; a name need not be text if another takes its place.
pub(crate) fn same(message: &[u8], cut: usize) {
    match (at_once(read(message, cut)), proto::WriteRequest::decode(message)) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs),
        (Err(_), Err(_)) => {}
        (Ok(_), Err(error)) => assert!(str::from_utf8(message).is_err(), "{error}"),
        (Err(error), Ok(_)) => {
            assert!(message.len() > MAX_NAME || message.iter().any(|byte| byte & 7 == 3), "{error}");
        }
    }
}

/// One message with these bytes, in pieces of `cut`: as it is read here.
async fn read(message: &[u8], cut: usize) -> Result<proto::WriteRequest, Status> {
    let mut incoming = incoming(&[&prefix(message.len())[..], message].concat(), cut);
    let request = WriteRequest::next(&mut incoming).await?.expect("there is one");
    let data = match request.data {
        Data::Here(data) => data,
        Data::Coming(length) => incoming.take(length).await?,
    };
    assert_eq!(incoming.next().await.unwrap(), None, "all of it was read");
    let no_text = |_| Status::invalid_argument("a resource name is text");
    Ok(proto::WriteRequest {
        resource_name: String::from_utf8(request.name.to_vec()).map_err(no_text)?,
        write_offset: request.offset,
        finish_write: request.finish,
        data: data.to_vec(),
    })
}
