//! Objects that come in parts: started, part by part in any order and again where need be, completed, or given up. What that means is the cache's to
//! say; an object that came in parts is read like any other.

use kura_auth::Need;
use kura_cache::{Kind, Multipart, Part, PartLimits, PartNumber, UploadId};
use s3s::dto::{
    self, AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CompletedPart, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    ListPartsInput, ListPartsOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, TrailingHeaders, s3_error};

use super::claim::Claims;
use super::error::failed;
use super::object::{Incoming, declared_length, e_tag, holds};
use super::{Visit, kept};
use crate::conditional;
use crate::date::stored_at;
use crate::error::Refusal;
use crate::exchange::hold_for_upload;
use crate::memory::{Class, Held};

/// Parts and wholes are as large as any artifact may be.
const LIMITS: PartLimits = PartLimits { part: u64::MAX, whole: u64::MAX };

/// What the parts of an upload take in memory, in bytes: 10,000 of them, twice.
const PARTS_MEMORY: u64 = 512 << 10;

/// The most parts on a page, as S3 has it.
const MAX_PARTS: usize = 1000;

pub(super) async fn create(
    request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let (visit, input) = (Visit::of(&request, Need::Write)?, &request.input);
    let key = visit.key(&input.bucket, &input.key)?;
    let attributes = kept::attributes(&request.headers)?;
    let upload = visit.cache()?.start_multipart(&key, attributes).await.map_err(failed)?;
    let told = CreateMultipartUploadOutput {
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        upload_id: Some(upload.id().to_string()),
        ..Default::default()
    };
    Ok(S3Response::new(told))
}

pub(super) async fn put(request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
    let visit = Visit::of(&request, Need::Write)?;
    let (headers, input) = (&request.headers, request.input);
    let number = number(input.part_number)?;
    let (mut claims, length) = (Claims::of(headers)?, declared_length(headers)?);
    let upload = find(&visit, &input.bucket, &input.key, &input.upload_id).await?;
    let _held = hold_for_upload(&visit.site, &upload.target().scope().tenant, Some(length))?;
    let mut part = upload.put_part(number, Some(length), LIMITS).await.map_err(refused)?;
    let mut body = Incoming { body: input.body, visit: &visit, headers };
    let mut received = 0;
    while let Some(piece) = body.next().await? {
        claims.update(&piece);
        received += piece.len() as u64;
        part.write(piece).await.map_err(refused)?;
    }
    claims.finish(request.extensions.get::<TrailingHeaders>())?;
    if received != length {
        return Err(S3ErrorCode::IncompleteBody.into());
    }
    let version = part.commit().await.map_err(refused)?;
    Ok(S3Response::new(UploadPartOutput { e_tag: Some(e_tag(version)), ..Default::default() }))
}

pub(super) async fn complete(
    request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let (visit, input) = (Visit::of(&request, Need::Write)?, &request.input);
    let _held = hold(&visit)?;
    let upload = find(&visit, &input.bucket, &input.key, &input.upload_id).await?;
    let there = match upload.completed() {
        // Its client has not heard that it was: what it expects to be there is what was there before.
        Some(_) => upload.made_of().await.map_err(refused)?.ok_or(S3ErrorCode::NoSuchUpload)?,
        None => {
            if conditional::is_conditional(&request.headers) {
                let present = visit.cache()?.present(upload.target()).await.map_err(failed)?;
                if !holds(&request.headers, present) {
                    return Err(S3ErrorCode::PreconditionFailed.into());
                }
            }
            upload.parts().await.map_err(refused)?
        }
    };
    let asked = input.multipart_upload.as_ref().and_then(|asked| asked.parts.as_deref()).unwrap_or_default();
    let version = upload.complete(chosen(asked, &there)?, None, LIMITS).await.map_err(refused)?.version;
    let told = CompleteMultipartUploadOutput {
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        e_tag: Some(e_tag(version)),
        location: Some(format!("{}/{}/{}", super::ROOT, input.bucket, input.key)),
        ..Default::default()
    };
    Ok(S3Response::new(told))
}

/// Nothing goes that anybody could fetch: whoever may store may give up.
pub(super) async fn abort(
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let (visit, input) = (Visit::of(&request, Need::Write)?, &request.input);
    let _held = hold(&visit)?;
    let upload = find(&visit, &input.bucket, &input.key, &input.upload_id).await?;
    upload.abandon().await.map_err(refused)?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

pub(super) async fn list(request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
    let (visit, input) = (Visit::of(&request, Need::Read)?, &request.input);
    let _held = hold(&visit)?;
    let upload = find(&visit, &input.bucket, &input.key, &input.upload_id).await?;
    if upload.completed().is_some() {
        return Err(S3ErrorCode::NoSuchUpload.into());
    }
    let behind = input.part_number_marker.unwrap_or(0);
    let most = usize::try_from(input.max_parts.unwrap_or(1000)).unwrap_or(0).clamp(1, MAX_PARTS);
    let mut there = upload.parts().await.map_err(refused)?;
    there.retain(|part| i32::from(part.number.get()) > behind);
    let next = (there.len() > most).then(|| i32::from(there[most - 1].number.get()));
    let parts = there.iter().take(most).map(|part| dto::Part {
        part_number: Some(i32::from(part.number.get())),
        size: Some(i64::try_from(part.size).unwrap_or(i64::MAX)),
        e_tag: Some(e_tag(part.version)),
        last_modified: Some(stored_at(part.version).into()),
        ..Default::default()
    });
    let told = ListPartsOutput {
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        upload_id: Some(input.upload_id.clone()),
        part_number_marker: Some(behind),
        next_part_number_marker: next,
        max_parts: Some(i32::try_from(most).unwrap_or(i32::MAX)),
        is_truncated: Some(next.is_some()),
        parts: Some(parts.collect()),
        ..Default::default()
    };
    Ok(S3Response::new(told))
}

fn hold(visit: &Visit) -> S3Result<Held> {
    let held = visit.site.memory.hold(Class::Request, PARTS_MEMORY);
    Ok(held.ok_or_else(|| Refusal::overload("too many uploads are under way"))?)
}

/// The upload of that id, if it makes that object.
async fn find(visit: &Visit, bucket: &str, key: &str, id: &str) -> S3Result<Multipart> {
    let unknown = || S3Error::new(S3ErrorCode::NoSuchUpload);
    let id = UploadId::parse(id).ok_or_else(unknown)?;
    let found = visit.cache()?.multipart(&visit.scope(bucket)?, &id).await.map_err(failed)?;
    let makes = |upload: &Multipart| upload.target().kind() == Kind::S3 && upload.target().name() == key.as_bytes();
    found.filter(makes).ok_or_else(unknown)
}

fn number(said: i32) -> S3Result<PartNumber> {
    let number = u64::try_from(said).ok().and_then(PartNumber::new);
    number.ok_or_else(|| s3_error!(InvalidArgument, "a part's number is from 1 to 10000"))
}

/// Those of the parts that are there that a client names, in its order.
pub(crate) fn chosen(asked: &[CompletedPart], there: &[Part]) -> S3Result<Vec<Part>> {
    if asked.is_empty() {
        return Err(S3ErrorCode::MalformedXML.into());
    }
    if !asked.is_sorted_by(|one, next| one.part_number < next.part_number) {
        return Err(S3ErrorCode::InvalidPartOrder.into());
    }
    let choose = |asked: &CompletedPart| {
        let number = number(asked.part_number.unwrap_or(0))?;
        let found = there.binary_search_by_key(&number, |part| part.number).ok().map(|at| there[at]);
        let same = |part: &Part| asked.e_tag.as_ref().is_some_and(|said| *said == e_tag(part.version));
        found.filter(same).ok_or_else(|| s3_error!(InvalidPart, "part {} is not there, or another is", number.get()))
    };
    asked.iter().map(choose).collect()
}

fn refused(error: kura_cache::Error) -> S3Error {
    match error {
        kura_cache::Error::UnknownUpload => S3ErrorCode::NoSuchUpload.into(),
        kura_cache::Error::OtherParts => S3Error::with_message(S3ErrorCode::InvalidPart, error.to_string()),
        other => failed(other),
    }
}
