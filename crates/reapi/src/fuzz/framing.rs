//! Messages in a call: found behind their prefixes, whatever the pieces in which they come. The first byte says in which.

use bytes::Bytes;
use tonic::Status;

use super::{at_once, incoming};
use crate::grpc::PREFIX;
use crate::limits::MAX_RECEIVED_MESSAGE;

pub(super) fn target(bytes: &[u8]) {
    let Some((cut, call)) = bytes.split_first() else { return };
    let cut = usize::from(*cut) + 1;
    let (expected, is_sound) = messages(call);
    let (all, ended) = at_once(all(call, cut));
    assert_eq!(all, expected);
    assert_eq!(ended.is_ok(), is_sound, "{ended:?}");
    let only = at_once(async { incoming(call, cut).only().await }).ok();
    assert_eq!(only.as_deref(), expected.first().copied().filter(|_| is_sound && expected.len() == 1));
}

/// What is in a call, and whether it ends with a message.
fn messages(mut call: &[u8]) -> (Vec<&[u8]>, bool) {
    let mut messages = Vec::new();
    while let Some((prefix, rest)) = call.split_first_chunk::<PREFIX>() {
        let [compressed, length @ ..] = *prefix;
        let length = u32::from_be_bytes(length) as usize;
        match rest.split_at_checked(length) {
            Some((message, rest)) if compressed == 0 && length <= MAX_RECEIVED_MESSAGE => {
                messages.push(message);
                call = rest;
            }
            _ => return (messages, false),
        }
    }
    (messages, call.is_empty())
}

async fn all(call: &[u8], cut: usize) -> (Vec<Bytes>, Result<(), Status>) {
    let mut incoming = incoming(call, cut);
    let mut messages = Vec::new();
    loop {
        let next = match incoming.next().await {
            Ok(Some(length)) => incoming.take(length).await,
            Ok(None) => return (messages, Ok(())),
            Err(status) => Err(status),
        };
        match next {
            Ok(message) => messages.push(message),
            Err(status) => return (messages, Err(status)),
        }
    }
}
