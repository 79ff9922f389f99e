//! Objects of LLVM's: one is stored as it is sent, and any blob may be taken for one.

use prost::Message;

use crate::llvm::message::{Contents, GetRequest, Object, PutRequest, PutValueRequest, Value};
use crate::llvm::object::{Encoded, blob_end};

pub(super) fn target(bytes: &[u8]) {
    if let Ok(PutRequest { data: Some(object) }) = PutRequest::decode(bytes)
        && let Ok(encoded) = Encoded::new(object.clone())
    {
        let stored = encoded.0.concat();
        assert_eq!(Object::decode(&*stored).unwrap(), object);
        check_front(&stored).unwrap();
    }
    let _ = check_front(bytes);
    let _ = GetRequest::decode(bytes);
    if let Ok(PutValueRequest { value: Some(value), .. }) = PutValueRequest::decode(bytes) {
        assert_eq!(Value::decode(&*value.encode_to_vec()).unwrap(), value);
    }
}

/// What is taken for an object has a blob in front.
fn check_front(stored: &[u8]) -> Option<()> {
    let end = blob_end(stored, stored.len() as u64)?;
    let front = Object::decode(&stored[..usize::try_from(end).unwrap()]).unwrap();
    assert!(matches!(front.blob.unwrap().contents, Some(Contents::Data(_))));
    assert!(front.references.is_empty());
    Some(())
}
