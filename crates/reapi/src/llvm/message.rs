//! The messages of both services, as far as they are read or made here.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::{Message, Oneof};

/// `CASDataID`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Id {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) id: Bytes,
}

/// `CASObject`; without references, `CASBlob`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Object {
    #[prost(message, optional, tag = "1")]
    pub(crate) blob: Option<Blob>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) references: Vec<Id>,
}

/// `CASBytes`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Blob {
    #[prost(oneof = "Contents", tags = "1, 2")]
    pub(crate) contents: Option<Contents>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Contents {
    #[prost(bytes = "bytes", tag = "1")]
    Data(Bytes),
    #[prost(string, tag = "2")]
    FilePath(String),
}

/// `CASPutRequest` and `CASSaveRequest`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PutRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) data: Option<Object>,
}

/// `CASPutResponse` and `CASSaveResponse`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PutResponse {
    #[prost(message, optional, tag = "2")]
    pub(crate) cas_id: Option<Id>,
}

/// `CASGetRequest` and `CASLoadRequest`. Whether the client would like a file is left out: it takes bytes too.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct GetRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) cas_id: Option<Id>,
}

/// `CASGetResponse` and `CASLoadResponse` without an object.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct GetResponse {
    #[prost(int32, tag = "1")]
    pub(crate) outcome: i32,
}

/// `Value`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Value {
    #[prost(btree_map = "string, bytes", tag = "1")]
    pub(crate) entries: BTreeMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GetValueRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
}

/// The value as it is stored.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct GetValueResponse {
    #[prost(int32, tag = "1")]
    pub(crate) outcome: i32,
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub(crate) value: Option<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PutValueRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(message, optional, tag = "2")]
    pub(crate) value: Option<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PutValueResponse {}

/// What became of a read, in all responses.
pub(crate) const NOT_FOUND: i32 = 1;
/// The same.
pub(crate) const SUCCESS: i32 = 2;
