//! Remote Asset: FetchBlob and PushBlob.

use std::time::{Duration, SystemTime};

use bazel_remote_apis::build::bazel::remote::asset::v1::{
    FetchBlobRequest, FetchBlobResponse, PushBlobRequest, Qualifier,
};
use bazel_remote_apis::google::protobuf::Timestamp;
use tonic::{Code, Status};

use super::malformed;
use crate::check::{ASSET, Suite};
use crate::client::Server;
use crate::digest::Blob;
use crate::expect::{Outcome, differs, ensure, equal, name, refused, same_bytes};
use crate::offers::Need;

const HOUR: i64 = 3600;

pub(super) fn register(suite: &mut Suite) {
    let one_uri = "FetchBlobRequest.uris: clients must supply at least one URI";
    let qualifiers = "Qualifier: may be supplied in any order";
    let age = "FetchBlobRequest.oldest_content_accepted: as measured from the time it was pushed";
    let mut group = suite.group("FetchBlob", ASSET);
    group
        .needing(&[Need::Fetch])
        .check("No URI is INVALID_ARGUMENT", one_uri, fetch_no_uri)
        .check("A URI that nobody has pushed is NOT_FOUND", "FetchBlobResponse.status: NOT_FOUND", unknown)
        .check(
            "Two qualifiers of one name are INVALID_ARGUMENT",
            "FetchBlobRequest.qualifiers: names must be unique",
            same_qualifier,
        );
    group
        .needing(&[Need::Fetch, Need::Push])
        .check(
            "What was pushed is fetched, and is in the CAS",
            "PushBlobRequest.uris: available to fetch by any of them",
            pushed,
        )
        .check(
            "Any one of the URIs that were pushed is enough",
            "PushBlobRequest.uris: available to fetch by any of them",
            any_pushed,
        )
        .check(
            "Any one of the URIs that are asked for is enough",
            "FetchBlobRequest.uris: servers may match any one of them",
            any_asked,
        )
        .check(
            "The URI of the answer is the one that was found",
            "FetchBlobResponse.uri: the one from the request that was successful",
            uri,
        )
        .check("The order of qualifiers does not matter", qualifiers, order)
        .check(
            "Other qualifiers are other content",
            "Qualifier: they disambiguate content that shares a URI",
            other_qualifiers,
        )
        .check("What is pushed again replaces what was there", "PushBlob: associates content with URIs", replaced)
        .check("What is expired is not fetched", "PushBlobRequest.expire_at: after it, no longer returned", expired)
        .check(
            "What expires later is fetched until then",
            "PushBlobRequest.expire_at: after it, no longer returned",
            expires,
        )
        .check("Content that is too old is not fetched", age, too_old)
        .check("Content that is young enough is fetched", age, young_enough)
        .check(
            "What is not in the CAS is not fetched",
            "FetchBlob: referenced files are present in the CAS at the time of the response",
            blob_absent,
        )
        .check(
            "The digest function of the answer is the blob's",
            "FetchBlobResponse.digest_function: the one that was used",
            function,
        );
    register_push(suite);
}

fn register_push(suite: &mut Suite) {
    suite
        .group("PushBlob", ASSET)
        .needing(&[Need::Push])
        .check("No URI is INVALID_ARGUMENT", "PushBlobRequest.uris: the URIs to associate", push_no_uri)
        .check("No digest is INVALID_ARGUMENT", "PushBlobRequest.blob_digest: the blob to associate", push_no_digest)
        .check(
            "A malformed digest is INVALID_ARGUMENT",
            "Digest.hash: lowercase hexadecimal of the function's length",
            push_malformed,
        );
}

pub(super) fn new_uri() -> String {
    format!("urn:fdc:reapi-conformance.test:2020:{:032x}", fastrand::u128(..))
}

pub(super) fn qualifier(name: &str, value: &str) -> Qualifier {
    Qualifier { name: name.to_owned(), value: value.to_owned() }
}

/// The time so many seconds from now.
pub(super) fn from_now(seconds: i64) -> Option<Timestamp> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Some(Timestamp { seconds: i64::try_from(now.as_secs()).unwrap_or(0) + seconds, nanos: 0 })
}

/// An asset that is not there: in the answer's status, or as the status of the call.
pub(super) fn not_found(answer: Result<i32, Status>) -> Outcome {
    match answer.map(Code::from_i32) {
        Ok(Code::NotFound) => Ok(()),
        Ok(code) => differs(format!("expected NOT_FOUND, got {}", name(code))),
        refusal => refused(refusal, &[Code::NotFound]),
    }
}

fn push(server: &Server, uris: &[&str], blob: &Blob) -> PushBlobRequest {
    PushBlobRequest {
        instance_name: server.instance_name(),
        uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
        blob_digest: Some(blob.digest.clone()),
        digest_function: blob.function.value() as i32,
        ..PushBlobRequest::default()
    }
}

fn fetch(server: &Server, uris: &[&str]) -> FetchBlobRequest {
    FetchBlobRequest {
        instance_name: server.instance_name(),
        uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
        digest_function: server.function().value() as i32,
        ..FetchBlobRequest::default()
    }
}

/// A new blob, uploaded and pushed as `request` says with a URI of its own.
async fn pushed_as(
    server: &Server,
    request: impl FnOnce(PushBlobRequest) -> PushBlobRequest,
) -> Outcome<(String, Blob)> {
    let (uri, blob) = (new_uri(), server.random(100));
    server.put(&blob).await?;
    server.push().push_blob(request(push(server, &[&uri], &blob))).await?;
    Ok((uri, blob))
}

async fn fetched(server: &Server, request: FetchBlobRequest) -> Result<FetchBlobResponse, Status> {
    server.fetch().fetch_blob(request).await.map(tonic::Response::into_inner)
}

/// The code of the answer, wherever it stands.
async fn code_of(server: &Server, request: FetchBlobRequest) -> Result<i32, Status> {
    Ok(fetched(server, request).await?.status.unwrap_or_default().code)
}

/// The answer is `blob`.
async fn is(server: &Server, request: FetchBlobRequest, blob: &Blob) -> Outcome<FetchBlobResponse> {
    let answer = fetched(server, request).await?;
    let status = answer.status.clone().unwrap_or_default();
    ensure(status.code == 0, || format!("expected OK, got {} in the answer", name(Code::from_i32(status.code))))?;
    equal("the digest", &answer.blob_digest.as_ref(), &Some(&blob.digest))?;
    Ok(answer)
}

async fn fetch_no_uri(server: Server) -> Outcome {
    refused(fetched(&server, fetch(&server, &[])).await, &[Code::InvalidArgument])
}

async fn unknown(server: Server) -> Outcome {
    not_found(code_of(&server, fetch(&server, &[&new_uri()])).await)
}

async fn same_qualifier(server: Server) -> Outcome {
    let qualifiers = vec![qualifier("a", "1"), qualifier("a", "2")];
    let request = FetchBlobRequest { qualifiers, ..fetch(&server, &[&new_uri()]) };
    refused(fetched(&server, request).await, &[Code::InvalidArgument])
}

async fn pushed(server: Server) -> Outcome {
    let (uri, blob) = pushed_as(&server, |request| request).await?;
    is(&server, fetch(&server, &[&uri]), &blob).await?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn any_pushed(server: Server) -> Outcome {
    let (uris, blob) = ([new_uri(), new_uri()], server.random(100));
    server.put(&blob).await?;
    server.push().push_blob(push(&server, &[&uris[0], &uris[1]], &blob)).await?;
    for uri in &uris {
        is(&server, fetch(&server, &[uri]), &blob).await?;
    }
    Ok(())
}

async fn any_asked(server: Server) -> Outcome {
    let (uri, blob) = pushed_as(&server, |request| request).await?;
    is(&server, fetch(&server, &[&new_uri(), &uri]), &blob).await.map(drop)
}

async fn uri(server: Server) -> Outcome {
    let (uri, blob) = pushed_as(&server, |request| request).await?;
    let answer = is(&server, fetch(&server, &[&new_uri(), &uri]), &blob).await?;
    equal("the URI", &answer.uri, &uri)
}

async fn order(server: Server) -> Outcome {
    let (one, other) = (qualifier("alpha", "1"), qualifier("beta", "2"));
    let both = vec![one.clone(), other.clone()];
    let (uri, blob) = pushed_as(&server, |request| PushBlobRequest { qualifiers: both.clone(), ..request }).await?;
    for qualifiers in [both, vec![other, one]] {
        is(&server, FetchBlobRequest { qualifiers, ..fetch(&server, &[&uri]) }, &blob).await?;
    }
    Ok(())
}

async fn other_qualifiers(server: Server) -> Outcome {
    let qualifiers = vec![qualifier("alpha", "1")];
    let (uri, _) = pushed_as(&server, |request| PushBlobRequest { qualifiers, ..request }).await?;
    for other in [qualifier("alpha", "2"), qualifier("beta", "1")] {
        let request = FetchBlobRequest { qualifiers: vec![other], ..fetch(&server, &[&uri]) };
        not_found(code_of(&server, request).await)?;
    }
    Ok(())
}

async fn replaced(server: Server) -> Outcome {
    let (uri, _) = pushed_as(&server, |request| request).await?;
    let later = server.random(100);
    server.put(&later).await?;
    server.push().push_blob(push(&server, &[&uri], &later)).await?;
    is(&server, fetch(&server, &[&uri]), &later).await.map(drop)
}

async fn expired(server: Server) -> Outcome {
    let (uri, blob) = (new_uri(), server.random(100));
    server.put(&blob).await?;
    let request = PushBlobRequest { expire_at: from_now(-HOUR), ..push(&server, &[&uri], &blob) };
    match server.push().push_blob(request).await {
        Err(status) if status.code() == Code::InvalidArgument => {}
        answer => drop(answer?),
    }
    not_found(code_of(&server, fetch(&server, &[&uri])).await)
}

async fn expires(server: Server) -> Outcome {
    let (uri, blob) = pushed_as(&server, |request| PushBlobRequest { expire_at: from_now(3), ..request }).await?;
    is(&server, fetch(&server, &[&uri]), &blob).await?;
    // Two seconds are for a clock that runs behind ours.
    tokio::time::sleep(Duration::from_secs(5)).await;
    not_found(code_of(&server, fetch(&server, &[&uri])).await)
}

async fn too_old(server: Server) -> Outcome {
    let (uri, _) = pushed_as(&server, |request| request).await?;
    let request = FetchBlobRequest { oldest_content_accepted: from_now(HOUR), ..fetch(&server, &[&uri]) };
    not_found(code_of(&server, request).await)
}

async fn young_enough(server: Server) -> Outcome {
    let (uri, blob) = pushed_as(&server, |request| request).await?;
    let request = FetchBlobRequest { oldest_content_accepted: from_now(-HOUR), ..fetch(&server, &[&uri]) };
    is(&server, request, &blob).await.map(drop)
}

async fn blob_absent(server: Server) -> Outcome {
    let (uri, blob) = (new_uri(), server.random(100));
    match server.push().push_blob(push(&server, &[&uri], &blob)).await {
        // To refuse it already here keeps the promise too.
        Err(status) if matches!(status.code(), Code::FailedPrecondition | Code::NotFound) => return Ok(()),
        answer => drop(answer?),
    }
    not_found(code_of(&server, fetch(&server, &[&uri])).await)
}

async fn function(server: Server) -> Outcome {
    let (uri, blob) = pushed_as(&server, |request| request).await?;
    let answer = is(&server, fetch(&server, &[&uri]), &blob).await?;
    equal("the digest function", &answer.digest_function, &(blob.function.value() as i32))
}

async fn push_no_uri(server: Server) -> Outcome {
    let blob = server.random(100);
    server.put(&blob).await?;
    refused(server.push().push_blob(push(&server, &[], &blob)).await, &[Code::InvalidArgument])
}

async fn push_no_digest(server: Server) -> Outcome {
    let request = PushBlobRequest { blob_digest: None, ..push(&server, &[&new_uri()], &server.random(1)) };
    refused(server.push().push_blob(request).await, &[Code::InvalidArgument])
}

async fn push_malformed(server: Server) -> Outcome {
    malformed::refused_by(&server, async |digest| {
        let blob = Blob { digest, ..server.random(1) };
        server.push().push_blob(push(&server, &[&new_uri()], &blob)).await
    })
    .await
}
