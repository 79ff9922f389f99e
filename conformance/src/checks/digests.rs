//! Each digest function that is offered, through every method that names blobs.

use bazel_remote_apis::build::bazel::remote::execution::v2::{
    ActionResult, BatchReadBlobsRequest, BatchUpdateBlobsRequest, FindMissingBlobsRequest, GetActionResultRequest,
    UpdateActionResultRequest,
};
use tonic::Code;

use super::action_get::output;
use crate::calls::{messages, upload};
use crate::check::{EXECUTION, Group, Suite};
use crate::client::Server;
use crate::digest::{Blob, Function};
use crate::expect::{Outcome, answered, ensure, equal, refused, same_bytes};
use crate::offers::Need;

pub(super) fn register(suite: &mut Suite) {
    for function in Function::ALL {
        let mut group = suite.group("Digest functions", EXECUTION);
        blobs(group.needing(&[Need::Digest(function)]), function);
        group.needing(&[Need::Digest(function), Need::Updates]).check(
            format!("{function} names actions and their outputs"),
            "GetActionResultRequest.digest_function, UpdateActionResultRequest.digest_function",
            move |server| action(server, function),
        );
    }
}

fn blobs(group: &mut Group<'_>, function: Function) {
    let announced = "CacheCapabilities.digest_functions: all that are supported";
    let name = "ContentAddressableStorage: {digest_function/}, left out where the hash's length tells";
    group
        .check(format!("A blob is written and read by its {function}"), name, move |server| written(server, function))
        .check(format!("Blobs are updated and read in batches by their {function}"), announced, move |server| {
            batch(server, function)
        })
        .check(
            format!("The empty blob is there by its {function}"),
            "ContentAddressableStorage: empty blobs are always available",
            move |server| empty(server, function),
        )
        .check(
            format!("Bytes of another {function} are INVALID_ARGUMENT and not kept"),
            "ContentAddressableStorage: if the Digest does not match, INVALID_ARGUMENT",
            move |server| wrong(server, function),
        );
    if function.is_inferred() {
        group.check(
            format!("{function} need not be named in requests"),
            "FindMissingBlobsRequest.digest_function: inferred from the length of the hashes",
            move |server| inferred(server, function),
        );
    }
}

async fn written(server: Server, function: Function) -> Outcome {
    let blob = Blob::random(function, 100_000);
    equal("committed_size", &server.put(&blob).await?, &100_000)?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

/// Stores `blob` in a batch, with its function named, and reads it in one.
async fn batch(server: Server, function: Function) -> Outcome {
    let blob = Blob::random(function, 1000);
    let (instance_name, digest_function) = (server.instance_name(), function.value() as i32);
    let update = BatchUpdateBlobsRequest {
        instance_name: instance_name.clone(),
        requests: vec![upload(&blob)],
        digest_function,
    };
    let updated = server.cas().batch_update_blobs(update).await?.into_inner().responses;
    answered("the blob", updated.first().and_then(|response| response.status.as_ref()), &[Code::Ok])?;
    let read = BatchReadBlobsRequest {
        instance_name,
        digests: vec![blob.digest.clone()],
        acceptable_compressors: Vec::new(),
        digest_function,
    };
    let read = server.cas().batch_read_blobs(read).await?.into_inner().responses;
    same_bytes("the blob", &read.into_iter().next().unwrap_or_default().data, &blob.data)
}

async fn empty(server: Server, function: Function) -> Outcome {
    let empty = Blob::random(function, 0);
    ensure(!server.is_missing(&empty).await?, || "it is missing".to_owned())?;
    same_bytes("the empty blob", &server.get(&empty).await?, &[])
}

async fn wrong(server: Server, function: Function) -> Outcome {
    let (claimed, sent) = (Blob::random(function, 1000), Blob::random(function, 1000));
    let answer = server.write(messages(&server.upload_name(&claimed), &sent.data, 1000)).await;
    refused(answer, &[Code::InvalidArgument])?;
    ensure(server.is_missing(&claimed).await?, || "the blob is there".to_owned())
}

async fn inferred(server: Server, function: Function) -> Outcome {
    let blob = Blob::random(function, 1000);
    server.put(&blob).await?;
    for digest_function in [0, function.value() as i32] {
        let request = FindMissingBlobsRequest {
            instance_name: server.instance_name(),
            blob_digests: vec![blob.digest.clone()],
            digest_function,
        };
        let missing = server.cas().find_missing_blobs(request).await?.into_inner().missing_blob_digests;
        equal("the missing", &missing, &vec![])?;
    }
    Ok(())
}

async fn action(server: Server, function: Function) -> Outcome {
    let (action, blob) = (Blob::random(function, 10).digest, Blob::random(function, 100));
    let (instance_name, digest_function) = (server.instance_name(), function.value() as i32);
    let result = ActionResult { output_files: vec![output("out", &blob)], exit_code: 1, ..ActionResult::default() };
    let update = UpdateActionResultRequest {
        instance_name,
        action_digest: Some(action.clone()),
        action_result: Some(result.clone()),
        results_cache_policy: None,
        digest_function,
    };
    let get =
        GetActionResultRequest { action_digest: Some(action), digest_function, ..GetActionResultRequest::default() };
    server.put(&blob).await?;
    server.action_cache().update_action_result(update).await?;
    equal("the result", &server.action_result_for(get).await?, &result)
}
