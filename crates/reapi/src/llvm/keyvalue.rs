//! `KeyValueDB`: what a compilation came to, by a key that the compiler makes. What a value means, ids of objects most of all, is the client's business.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use kura_cache::{ArtifactKey, Attributes, Kind};
use prost::Message;
use tonic::Status;

use super::NO_INSTANCE;
use super::message::{GetValueRequest, GetValueResponse, NOT_FOUND, PutValueRequest, PutValueResponse, SUCCESS};
use crate::call::Call;
use crate::grpc::Reply;
use crate::limits::MAX_SENT_MESSAGE;
use crate::status;

/// The longest key, in bytes: in base64, which holds no NUL, it has to be one of the store's.
const MAX_KEY: usize = 768;

/// The longest value, in bytes.
const MAX_VALUE: usize = 1 << 20;

const _: () = assert!(MAX_KEY.div_ceil(3) * 4 <= 1024);
const _: () = assert!(MAX_VALUE < MAX_SENT_MESSAGE);

pub(crate) async fn get_value(mut call: Call) -> Result<Reply, Status> {
    let request: GetValueRequest = call.message().await?;
    let found = call.cache.get(&key(&call, &request.key)?).await.map_err(|error| status::of_read(&error));
    let value = match found {
        Ok(Some(found)) => found.body.collect().await.map_err(|error| status::of_read(&error)),
        Ok(None) => Err(status::miss()),
        Err(status) => Err(status),
    };
    match value {
        Ok(value) => Ok(Reply::message(&GetValueResponse { outcome: SUCCESS, value: Some(value) })),
        Err(status) if status.code() != tonic::Code::NotFound => Err(status),
        Err(_) => Ok(Reply::message(&GetValueResponse { outcome: NOT_FOUND, value: None })),
    }
}

pub(crate) async fn put_value(mut call: Call) -> Result<Reply, Status> {
    let request: PutValueRequest = call.message().await?;
    let key = key(&call, &request.key)?;
    let value = request.value.ok_or_else(|| Status::invalid_argument("the value is missing"))?;
    let value = Bytes::from(value.encode_to_vec());
    if value.len() > MAX_VALUE {
        return Err(Status::invalid_argument(format!("a value has at most {MAX_VALUE} bytes")));
    }
    store(&call, &key, value).await.map_err(|error| status::of(&error))?;
    Ok(Reply::message(&PutValueResponse {}))
}

async fn store(call: &Call, key: &ArtifactKey, value: Bytes) -> Result<(), kura_cache::Error> {
    let mut upload = call.cache.put(key, Attributes::default(), Some(value.len() as u64)).await?;
    if !value.is_empty() {
        upload.write(value).await?;
    }
    upload.commit().await.map(drop)
}

fn key(call: &Call, key: &[u8]) -> Result<ArtifactKey, Status> {
    if key.len() > MAX_KEY {
        return Err(Status::invalid_argument(format!("a key has at most {MAX_KEY} bytes")));
    }
    let key = URL_SAFE_NO_PAD.encode(key);
    ArtifactKey::keyed(&call.scope(NO_INSTANCE)?, Kind::Llvm, key.as_bytes()).map_err(status::of_key)
}
