//! One object: read, looked at, stored, deleted. Reading is what it is on every surface (`exchange`).

use futures_util::stream::{self, StreamExt};
use http::header::{CONTENT_RANGE, HeaderMap};
use http::{Method, Request, StatusCode};
use kura_auth::Need;
use kura_cache::Presence;
use s3s::dto::{
    self, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETag,
    GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, PutObjectInput, PutObjectOutput, StreamingBlob,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, TrailingHeaders, s3_error};

use super::claim::{CHECKSUMS, Claims};
use super::error::{failed, set_header};
use super::{MANNER, Visit, kept};
use crate::conditional::{self, Verdict};
use crate::exchange::{Exchange, hold_for_upload};

/// How many objects one request may delete, as S3 has it.
const MAX_DELETED: usize = 1000;

/// How many of these are deleted at a time: their commits share one sync.
const DELETES_IN_FLIGHT: usize = 16;

pub(super) async fn get(request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
    let input = &request.input;
    one_version(input.version_id.as_deref())?;
    whole_objects(input.part_number)?;
    read(&request, &input.bucket, &input.key, Method::GET).await?;
    Ok(S3Response::new(GetObjectOutput::default()))
}

pub(super) async fn head(request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
    let input = &request.input;
    one_version(input.version_id.as_deref())?;
    whole_objects(input.part_number)?;
    read(&request, &input.bucket, &input.key, Method::HEAD).await?;
    Ok(S3Response::new(HeadObjectOutput::default()))
}

async fn read<T>(request: &S3Request<T>, bucket: &str, key: &str, method: Method) -> S3Result<()> {
    let visit = Visit::of(request, Need::Read)?;
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.headers = request.headers.clone();
    let cache = visit.cache()?;
    let exchange = Exchange {
        site: &visit.site,
        cache: &cache,
        parts: &parts,
        key: visit.key(bucket, key)?,
        manner: &MANNER,
        counters: visit.counters(),
    };
    let mut response = if method == Method::HEAD { exchange.head().await? } else { exchange.get().await? };
    if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
        let mut error = S3Error::new(S3ErrorCode::InvalidRange);
        if let Some(range) = response.headers_mut().remove(CONTENT_RANGE) {
            set_header(&mut error, CONTENT_RANGE, range);
        }
        return Err(error);
    }
    // Of a part of the body they say nothing.
    if response.status() != StatusCode::OK || request.headers.get("x-amz-checksum-mode").is_none() {
        for checksum in &CHECKSUMS {
            response.headers_mut().remove(checksum.header);
        }
    }
    *visit.told.lock() = Some(response);
    Ok(())
}

pub(super) async fn put(request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
    let visit = Visit::of(&request, Need::Write)?;
    let (headers, input) = (&request.headers, request.input);
    let key = visit.key(&input.bucket, &input.key)?;
    let (attributes, mut claims) = (kept::attributes(headers)?, Claims::of(headers)?);
    let length = declared_length(headers)?;
    let cache = visit.cache()?;
    let is_conditional = conditional::is_conditional(headers);
    if is_conditional && !holds(headers, cache.present(&key).await.map_err(failed)?) {
        return Err(S3ErrorCode::PreconditionFailed.into());
    }
    let _held = hold_for_upload(&visit.site, &key.scope().tenant, Some(length))?;
    let mut upload = cache.put(&key, attributes, Some(length)).await.map_err(failed)?;
    let mut body = Incoming { body: input.body, visit: &visit, headers };
    while let Some(piece) = body.next().await? {
        claims.update(&piece);
        upload.write(piece).await.map_err(failed)?;
    }
    claims.finish(request.extensions.get::<TrailingHeaders>())?;
    let stored = match is_conditional {
        true => upload.commit_if(|present| holds(headers, present)).await.map_err(failed)?,
        false => Some(upload.commit().await.map_err(failed)?),
    };
    let stored = stored.ok_or(S3ErrorCode::PreconditionFailed)?;
    Ok(S3Response::new(PutObjectOutput { e_tag: Some(e_tag(stored.version)), ..Default::default() }))
}

pub(super) async fn delete(request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
    let visit = Visit::of(&request, Need::Administer)?;
    let input = &request.input;
    one_version(input.version_id.as_deref())?;
    let key = visit.key(&input.bucket, &input.key)?;
    let cache = visit.cache()?;
    if conditional::is_conditional(&request.headers)
        && !holds(&request.headers, cache.present(&key).await.map_err(failed)?)
    {
        return Err(S3ErrorCode::PreconditionFailed.into());
    }
    cache.delete(&key).await.map_err(failed)?;
    Ok(S3Response::new(DeleteObjectOutput::default()))
}

/// Each is deleted or not for itself.
pub(super) async fn delete_all(request: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let (visit, input) = (Visit::of(&request, Need::Administer)?, request.input);
    if input.delete.objects.len() > MAX_DELETED {
        return Err(s3_error!(MalformedXML, "at most 1000 objects are deleted at a time"));
    }
    let (cache, bucket) = (visit.cache()?, &input.bucket);
    let delete = async |object: dto::ObjectIdentifier| {
        let deleted = async {
            one_version(object.version_id.as_deref())?;
            cache.delete(&visit.key(bucket, &object.key)?).await.map_err(failed)
        };
        (deleted.await, object.key)
    };
    let mut told = stream::iter(input.delete.objects).map(delete).buffer_unordered(DELETES_IN_FLIGHT);
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    while let Some((outcome, key)) = told.next().await {
        match outcome {
            Ok(_) => deleted.push(DeletedObject { key: Some(key), ..Default::default() }),
            Err(error) => errors.push(dto::Error {
                key: Some(key),
                code: Some(error.code().as_str().to_owned()),
                message: error.message().map(str::to_owned),
                ..Default::default()
            }),
        }
    }
    let quiet = input.delete.quiet == Some(true);
    let output = DeleteObjectsOutput {
        deleted: (!quiet).then_some(deleted),
        errors: (!errors.is_empty()).then_some(errors),
        ..Default::default()
    };
    Ok(S3Response::new(output))
}

/// A body as the library gives it on.
pub(super) struct Incoming<'a> {
    pub(super) body: Option<StreamingBlob>,
    pub(super) visit: &'a Visit,
    pub(super) headers: &'a HeaderMap,
}

impl Incoming<'_> {
    /// The next piece.
    ///
    /// # Errors
    /// Of a body that is not what was signed.
    pub(super) async fn next(&mut self) -> S3Result<Option<bytes::Bytes>> {
        let Some(body) = &mut self.body else { return Ok(None) };
        let piece = body.next().await.transpose().map_err(|_| not_as_signed(self.headers))?;
        piece.iter().for_each(|piece| self.visit.counters().received(piece.len() as u64));
        Ok(piece)
    }
}

/// What the library found wrong with a body, which it says only in words: its checksum is all that was signed of one that comes whole.
fn not_as_signed(headers: &HeaderMap) -> S3Error {
    match headers.get("x-amz-content-sha256").map(|said| said.as_bytes()) {
        Some(said) if said.starts_with(b"STREAMING-UNSIGNED") => S3ErrorCode::IncompleteBody.into(),
        Some(said) if said.starts_with(b"STREAMING-") => {
            s3_error!(SignatureDoesNotMatch, "a chunk of the body is not the one that was signed, or is cut short")
        }
        _ => {
            let mut error = S3Error::with_message(
                S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()),
                "the body has not the SHA-256 that was signed, or is cut short",
            );
            error.set_status_code(StatusCode::BAD_REQUEST);
            error
        }
    }
}

/// How long a body is, without what it is wrapped in.
pub(super) fn declared_length(headers: &HeaderMap) -> S3Result<u64> {
    let said = headers.get("x-amz-decoded-content-length").or_else(|| headers.get("content-length"));
    let said = said.ok_or(S3ErrorCode::MissingContentLength)?;
    let length = said.to_str().ok().and_then(|said| said.parse().ok());
    length.ok_or_else(|| s3_error!(InvalidArgument, "a length is a number of bytes"))
}

pub(super) fn holds(headers: &HeaderMap, present: Option<Presence>) -> bool {
    let present = present.map(|present| conditional::ETag::of(present.version));
    conditional::verdict(headers, present) == Verdict::Proceed
}

pub(super) fn e_tag(version: kura_cache::Version) -> ETag {
    ETag::Strong(conditional::ETag::of(version).value().to_owned())
}

/// There is one version of an object, which clients without versions call `null`.
fn one_version(asked: Option<&str>) -> S3Result<()> {
    match asked {
        None | Some("null") => Ok(()),
        Some(_) => Err(s3_error!(NotImplemented, "objects have no versions here")),
    }
}

fn whole_objects(part: Option<i32>) -> S3Result<()> {
    if part.is_none() { Ok(()) } else { Err(s3_error!(NotImplemented, "objects are not read by part here")) }
}
