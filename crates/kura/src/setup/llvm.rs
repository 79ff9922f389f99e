//! What the remote cache plug-ins of Xcode and swift-build call: a value that is not there, an object that is stored, and both found again. Of the published
//! messages (`compilation_cache_service` v1) no more than that takes.

use std::collections::HashMap;

use prost::{Message, Oneof};
use tonic::Status;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic_prost::ProstCodec;

use super::grpc::{Connection, Wrong, of};

const PUT: &str = "/compilation_cache_service.cas.v1.CASDBService/Put";
const GET: &str = "/compilation_cache_service.cas.v1.CASDBService/Get";
const PUT_VALUE: &str = "/compilation_cache_service.keyvalue.v1.KeyValueDB/PutValue";
const GET_VALUE: &str = "/compilation_cache_service.keyvalue.v1.KeyValueDB/GetValue";

#[derive(Clone, PartialEq, Message)]
struct Id {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct CasBytes {
    #[prost(oneof = "Contents", tags = "1")]
    contents: Option<Contents>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Contents {
    #[prost(bytes, tag = "1")]
    Data(Vec<u8>),
}

#[derive(Clone, PartialEq, Message)]
struct Object {
    #[prost(message, optional, tag = "1")]
    blob: Option<CasBytes>,
}

#[derive(Clone, PartialEq, Message)]
struct PutRequest {
    #[prost(message, optional, tag = "1")]
    data: Option<Object>,
}

#[derive(Clone, PartialEq, Message)]
struct PutResponse {
    #[prost(message, optional, tag = "2")]
    cas_id: Option<Id>,
}

#[derive(Clone, PartialEq, Message)]
struct GetRequest {
    #[prost(message, optional, tag = "1")]
    cas_id: Option<Id>,
}

#[derive(Clone, PartialEq, Message)]
struct GetResponse {
    #[prost(message, optional, tag = "3")]
    data: Option<Object>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(map = "string, bytes", tag = "1")]
    entries: HashMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct PutValueRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct PutValueResponse {}

#[derive(Clone, PartialEq, Message)]
struct GetValueRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct GetValueResponse {
    #[prost(message, optional, tag = "3")]
    value: Option<Value>,
}

/// Does what such a plug-in does about an artifact that nobody else has.
pub(super) async fn check(connection: Connection, artifact: &[u8]) -> Result<(), Wrong> {
    let mut grpc = Grpc::new(connection);
    let key = artifact.to_vec();
    let nothing: GetValueResponse =
        call(&mut grpc, GET_VALUE, GetValueRequest { key: key.clone() }).await.map_err(of("GetValue"))?;
    if nothing.value.is_some() {
        return Err(Wrong { call: "GetValue", status: None });
    }
    let object = Object { blob: Some(CasBytes { contents: Some(Contents::Data(artifact.to_vec())) }) };
    let put = PutRequest { data: Some(object.clone()) };
    let stored: PutResponse = call(&mut grpc, PUT, put).await.map_err(of("Put"))?;
    let id = stored.cas_id.ok_or(Wrong { call: "Put", status: None })?;
    let value = Value { entries: HashMap::from([("value".to_owned(), id.id.clone())]) };
    let put = PutValueRequest { key: key.clone(), value: Some(value.clone()) };
    let PutValueResponse {} = call(&mut grpc, PUT_VALUE, put).await.map_err(of("PutValue"))?;
    let found: GetValueResponse = call(&mut grpc, GET_VALUE, GetValueRequest { key }).await.map_err(of("GetValue"))?;
    if found.value != Some(value) {
        return Err(Wrong { call: "GetValue", status: None });
    }
    let got: GetResponse = call(&mut grpc, GET, GetRequest { cas_id: Some(id) }).await.map_err(of("Get"))?;
    if got.data == Some(object) { Ok(()) } else { Err(Wrong { call: "Get", status: None }) }
}

async fn call<Q: Message + 'static, A: Message + Default + 'static>(
    grpc: &mut Grpc<Connection>,
    path: &'static str,
    request: Q,
) -> Result<A, Status> {
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec: ProstCodec<Q, A> = ProstCodec::default();
    Ok(grpc.unary(tonic::Request::new(request), PathAndQuery::from_static(path), codec).await?.into_inner())
}
