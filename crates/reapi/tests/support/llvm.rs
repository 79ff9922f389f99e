//! LLVM's compilation cache as its published protocol has it, for a client: whole, with all that the server leaves out.

use std::collections::HashMap;

use prost::{Message, Oneof};
use tonic::Status;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

#[derive(Clone, PartialEq, Eq, Message)]
pub struct CasDataId {
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct CasBytes {
    #[prost(oneof = "Contents", tags = "1, 2")]
    pub contents: Option<Contents>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Contents {
    #[prost(bytes = "vec", tag = "1")]
    Data(Vec<u8>),
    #[prost(string, tag = "2")]
    FilePath(String),
}

#[derive(Clone, PartialEq, Message)]
pub struct CasObject {
    #[prost(message, optional, tag = "1")]
    pub blob: Option<CasBytes>,
    #[prost(message, repeated, tag = "2")]
    pub references: Vec<CasDataId>,
}

#[derive(Clone, PartialEq, Message)]
pub struct CasBlob {
    #[prost(message, optional, tag = "1")]
    pub blob: Option<CasBytes>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ResponseError {
    #[prost(string, tag = "1")]
    pub description: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct CasPutRequest {
    #[prost(message, optional, tag = "1")]
    pub data: Option<CasObject>,
}

#[derive(Clone, PartialEq, Message)]
pub struct CasSaveRequest {
    #[prost(message, optional, tag = "1")]
    pub data: Option<CasBlob>,
}

/// Of `Put` and of `Save`.
#[derive(Clone, PartialEq, Message)]
pub struct Stored {
    #[prost(oneof = "StoredContents", tags = "1, 2")]
    pub contents: Option<StoredContents>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum StoredContents {
    #[prost(message, tag = "1")]
    Error(ResponseError),
    #[prost(message, tag = "2")]
    CasId(CasDataId),
}

/// Of `Get` and of `Load`.
#[derive(Clone, PartialEq, Message)]
pub struct Asked {
    #[prost(message, optional, tag = "1")]
    pub cas_id: Option<CasDataId>,
    #[prost(bool, tag = "2")]
    pub write_to_disk: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Outcome {
    Error = 0,
    NotFound = 1,
    Success = 2,
}

#[derive(Clone, PartialEq, Message)]
pub struct CasGetResponse {
    #[prost(enumeration = "Outcome", tag = "1")]
    pub outcome: i32,
    #[prost(oneof = "Got", tags = "2, 3")]
    pub contents: Option<Got>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Got {
    #[prost(message, tag = "2")]
    Error(ResponseError),
    #[prost(message, tag = "3")]
    Data(CasObject),
}

#[derive(Clone, PartialEq, Message)]
pub struct Value {
    #[prost(map = "string, bytes", tag = "1")]
    pub entries: HashMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct GetValueRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct GetValueResponse {
    #[prost(enumeration = "Outcome", tag = "1")]
    pub outcome: i32,
    #[prost(oneof = "GotValue", tags = "2, 3")]
    pub contents: Option<GotValue>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum GotValue {
    #[prost(message, tag = "2")]
    Error(ResponseError),
    #[prost(message, tag = "3")]
    Value(Value),
}

#[derive(Clone, PartialEq, Message)]
pub struct PutValueRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    pub value: Option<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub struct PutValueResponse {
    #[prost(message, optional, tag = "1")]
    pub error: Option<ResponseError>,
}

pub struct Llvm {
    calls: Grpc<Channel>,
    token: Option<String>,
}

impl Llvm {
    pub fn new(channel: Channel) -> Llvm {
        Llvm { calls: Grpc::new(channel).max_decoding_message_size(usize::MAX), token: None }
    }

    /// The same, for who has that token.
    pub fn with(self, token: &str) -> Llvm {
        Llvm { token: Some(format!("Bearer {token}")), ..self }
    }

    async fn call<Q: Message + 'static, A: Message + Default + 'static>(
        &mut self,
        path: &'static str,
        request: Q,
    ) -> Result<A, Status> {
        self.calls.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec: ProstCodec<Q, A> = ProstCodec::default();
        let mut request = tonic::Request::new(request);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.parse().unwrap());
        }
        Ok(self.calls.unary(request, PathAndQuery::from_static(path), codec).await?.into_inner())
    }

    pub async fn put_request(&mut self, request: CasPutRequest) -> Result<Vec<u8>, Status> {
        self.call("/compilation_cache_service.cas.v1.CASDBService/Put", request).await.map(id)
    }

    pub async fn save_request(&mut self, request: CasSaveRequest) -> Result<Vec<u8>, Status> {
        self.call("/compilation_cache_service.cas.v1.CASDBService/Save", request).await.map(id)
    }

    pub async fn put(&mut self, data: &[u8], references: &[Vec<u8>]) -> Result<Vec<u8>, Status> {
        self.put_request(CasPutRequest { data: Some(object(data, references)) }).await
    }

    pub async fn save(&mut self, data: &[u8]) -> Result<Vec<u8>, Status> {
        self.save_request(CasSaveRequest { data: Some(CasBlob { blob: object(data, &[]).blob }) }).await
    }

    /// The object; `None` where it is not found.
    pub async fn get(&mut self, id: &[u8], write_to_disk: bool) -> Result<Option<CasObject>, Status> {
        let path = "/compilation_cache_service.cas.v1.CASDBService/Get";
        self.asked(path, id, write_to_disk).await
    }

    /// The same of its blob: what came is read as an object, so that references would be seen.
    pub async fn load(&mut self, id: &[u8], write_to_disk: bool) -> Result<Option<CasObject>, Status> {
        let path = "/compilation_cache_service.cas.v1.CASDBService/Load";
        self.asked(path, id, write_to_disk).await
    }

    async fn asked(&mut self, path: &'static str, id: &[u8], write_to_disk: bool) -> Result<Option<CasObject>, Status> {
        let cas_id = Some(CasDataId { id: id.to_vec() });
        let answer: CasGetResponse = self.call(path, Asked { cas_id, write_to_disk }).await?;
        match (answer.outcome(), answer.contents) {
            (Outcome::Success, Some(Got::Data(object))) => Ok(Some(object)),
            (Outcome::NotFound, None) => Ok(None),
            other => panic!("{other:?}"),
        }
    }

    pub async fn put_value(&mut self, key: &[u8], value: Option<Value>) -> Result<(), Status> {
        let request = PutValueRequest { key: key.to_vec(), value };
        let answer: PutValueResponse =
            self.call("/compilation_cache_service.keyvalue.v1.KeyValueDB/PutValue", request).await?;
        assert_eq!(answer.error, None);
        Ok(())
    }

    pub async fn get_value(&mut self, key: &[u8]) -> Result<Option<Value>, Status> {
        let request = GetValueRequest { key: key.to_vec() };
        let answer: GetValueResponse =
            self.call("/compilation_cache_service.keyvalue.v1.KeyValueDB/GetValue", request).await?;
        match (answer.outcome(), answer.contents) {
            (Outcome::Success, Some(GotValue::Value(value))) => Ok(Some(value)),
            (Outcome::NotFound, None) => Ok(None),
            other => panic!("{other:?}"),
        }
    }
}

fn id(stored: Stored) -> Vec<u8> {
    match stored.contents {
        Some(StoredContents::CasId(id)) => id.id,
        other => panic!("{other:?}"),
    }
}

pub fn object(data: &[u8], references: &[Vec<u8>]) -> CasObject {
    let references = references.iter().map(|id| CasDataId { id: id.clone() }).collect();
    CasObject { blob: Some(CasBytes { contents: Some(Contents::Data(data.to_vec())) }), references }
}
