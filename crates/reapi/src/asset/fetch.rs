//! Fetch: what URIs and qualifiers stand for. The first of the URIs counts that something is remembered for; else the first that its origin has, if blobs
//! are fetched from origins here. Directories are not: they are what was pushed.

use std::time::Duration;

use bazel_remote_apis::build::bazel::remote::asset::v1 as asset;
use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use bazel_remote_apis::google;
use kura_auth::Need;
use kura_cache::{DigestFunction, Scope};
use tokio::time::timeout;
use tonic::Status;

use super::association::{Association, Name, Sort, millis};
use super::check;
use super::checksum::Checksum;
use super::flights::{Failure, Flights, Wanted};
use crate::call::Call;
use crate::grpc::Reply;
use crate::{digest, status};

/// What a fetch asks for.
struct Asked<'a> {
    sort: Sort,
    scope: Scope,
    uris: &'a [String],
    /// In order.
    qualifiers: &'a [asset::Qualifier],
    /// The oldest that is accepted, since the Unix epoch.
    oldest: u64,
    function: Option<DigestFunction>,
}

pub(crate) async fn fetch_blob(mut call: Call) -> Result<Reply, Status> {
    let mut request: asset::FetchBlobRequest = call.message().await?;
    check(&request.uris, &mut request.qualifiers)?;
    let asked = Asked {
        sort: Sort::Blob,
        scope: call.scope(&request.instance_name)?,
        uris: &request.uris,
        qualifiers: &request.qualifiers,
        oldest: request.oldest_content_accepted.as_ref().map_or(0, millis),
        function: digest::function(request.digest_function)?,
    };
    let answer = match remembered(&call, &asked).await? {
        Some((uri, found)) => Answer::found(uri, found),
        // What is fetched is stored: that is for who may.
        None => match call.flights.as_ref().filter(|_| call.head.access.permits(Need::Write).is_ok()) {
            Some(flights) => from_origin(&call, flights, &asked, patience(request.timeout.as_ref())?).await?,
            None => return Err(nothing()),
        },
    };
    Ok(Reply::message(&asset::FetchBlobResponse {
        status: Some(answer.status),
        uri: answer.uri,
        expires_at: answer.found.expire_at,
        blob_digest: answer.found.digest,
        digest_function: answer.found.digest_function,
        qualifiers: request.qualifiers,
    }))
}

pub(crate) async fn fetch_directory(mut call: Call) -> Result<Reply, Status> {
    let mut request: asset::FetchDirectoryRequest = call.message().await?;
    check(&request.uris, &mut request.qualifiers)?;
    let asked = Asked {
        sort: Sort::Directory,
        scope: call.scope(&request.instance_name)?,
        uris: &request.uris,
        qualifiers: &request.qualifiers,
        oldest: request.oldest_content_accepted.as_ref().map_or(0, millis),
        function: digest::function(request.digest_function)?,
    };
    let (uri, found) = remembered(&call, &asked).await?.ok_or_else(nothing)?;
    Ok(Reply::message(&asset::FetchDirectoryResponse {
        status: Some(google::rpc::Status::default()),
        uri,
        expires_at: found.expire_at,
        root_directory_digest: found.digest,
        digest_function: found.digest_function,
        qualifiers: request.qualifiers,
    }))
}

fn nothing() -> Status {
    Status::not_found("nothing is known of this")
}

/// The first of the URIs that leads to something, and what that is.
async fn remembered(call: &Call, asked: &Asked<'_>) -> Result<Option<(String, Association)>, Status> {
    for uri in asked.uris {
        let name = Name::new(&asked.scope, asked.sort, uri, asked.qualifiers);
        let found = Association::look_up(&call.cache, &name).await.map_err(|error| status::of_read(&error))?;
        let fits = |found: &Association| {
            let in_time = found.expire_at.as_ref().is_none_or(|until| millis(until) > call.runtime.unix_millis());
            let new_enough = found.since_millis >= asked.oldest;
            in_time && new_enough && asked.function.is_none_or(|function| function as i32 == found.digest_function)
        };
        let Some(found) = found.filter(fits) else { continue };
        if found.is_there(&call.cache, &asked.scope).await? {
            return Ok(Some((uri.clone(), found)));
        }
    }
    Ok(None)
}

/// What is answered about a blob: what was found, or why its origin did not give it.
struct Answer {
    uri: String,
    status: google::rpc::Status,
    found: Association,
}

impl Answer {
    fn found(uri: String, found: Association) -> Answer {
        Answer { uri, status: google::rpc::Status::default(), found }
    }

    /// Bazel 4 does not look at the status, and would take no digest for the empty blob. It gets one that nobody has.
    fn failed(uri: String, status: &Status, function: DigestFunction) -> Answer {
        let nobodys = proto::Digest { hash: "0".repeat(2 * function.hash_len()), size_bytes: 1 };
        let found = Association { digest: Some(nobodys), digest_function: function as i32, ..Association::default() };
        Answer { uri, status: status::of_blob(status), found }
    }
}

/// Fetches the first of the URIs whose origin gives it.
///
/// # Errors
/// What is our own fault, or the client's; not what an origin answers.
async fn from_origin(call: &Call, flights: &Flights, asked: &Asked<'_>, patience: Duration) -> Result<Answer, Status> {
    let fetchable: Vec<&String> = asked.uris.iter().filter(|uri| kura_origin::is_fetchable(uri)).collect();
    let Some(mut trying) = fetchable.first().copied() else { return Err(nothing()) };
    let checksum = Checksum::wanted(asked.qualifiers)?;
    let function = asked.function.unwrap_or(DigestFunction::Sha256);
    let tried = async {
        let mut last = Status::not_found("");
        for uri in fetchable {
            trying = uri;
            let name = Name::new(&asked.scope, asked.sort, uri, asked.qualifiers);
            let wanted = Wanted { name, uri: uri.clone(), function, checksum: checksum.clone() };
            match flights.fetch(call, &wanted, asked.oldest).await {
                Ok(found) if found.is_there(&call.cache, &asked.scope).await? => {
                    return Ok(Answer::found(uri.clone(), found));
                }
                Ok(_) => return Err(status::unavailable("what was fetched was evicted at once")),
                Err(Failure::Ours(status)) => return Err(status),
                Err(Failure::Origin(status)) => last = status,
            }
        }
        Ok(Answer::failed(trying.clone(), &last, function))
    };
    match timeout(patience, tried).await {
        Ok(answer) => answer,
        Err(_) => {
            let late = Status::deadline_exceeded("the fetch takes longer than its client waits, and goes on");
            Ok(Answer::failed(trying.clone(), &late, function))
        }
    }
}

/// How long a client waits for what comes from an origin: as long as that may take, unless it says less.
fn patience(said: Option<&google::protobuf::Duration>) -> Result<Duration, Status> {
    let Some(said) = said else { return Ok(Duration::MAX) };
    let bad = |_| Status::invalid_argument("the timeout is negative");
    let (seconds, nanos) = (u64::try_from(said.seconds).map_err(bad)?, u32::try_from(said.nanos).map_err(bad)?);
    Ok(Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos.into())))
}
