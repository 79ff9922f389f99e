//! Instance names, in requests and in resource names.

use bazel_remote_apis::build::bazel::remote::execution::v2::{ActionResult, GetCapabilitiesRequest};
use tonic::Code;

use crate::calls::{messages, upload};
use crate::check::{EXECUTION, Suite};
use crate::client::Server;
use crate::expect::{Outcome, answered, equal, refused, same_bytes};
use crate::names::{path, uuid};
use crate::offers::{Need, STRANGE_INSTANCE};

/// What no segment of an instance name may be.
const KEYWORDS: [&str; 7] =
    ["blobs", "uploads", "actions", "actionResults", "operations", "capabilities", "compressed-blobs"];

pub(super) fn register(suite: &mut Suite) {
    let segments = "ContentAddressableStorage: instance_name may span several path segments";
    suite
        .group("Instance names", EXECUTION)
        .needing(&[Need::AnyInstance])
        .check("An instance of several segments has capabilities", "GetCapabilitiesRequest.instance_name", capabilities)
        .check("An instance of several segments is written and read", segments, byte_stream)
        .check("An instance of several segments takes batches", segments, batches)
        .check(
            "A keyword as a segment is INVALID_ARGUMENT",
            "ContentAddressableStorage: a path segment cannot equal a keyword",
            keywords,
        )
        .check(
            "A slash in front of a name is the empty instance",
            "moon 2.5 sends it; the specification leaves it out",
            leading_slash,
        );
    suite.group("Instance names", EXECUTION).needing(&[Need::AnyInstance, Need::Updates]).check(
        "An instance of several segments has an action cache",
        segments,
        action_cache,
    );
}

async fn capabilities(server: Server) -> Outcome {
    let request = GetCapabilitiesRequest { instance_name: STRANGE_INSTANCE.to_owned() };
    let cache = server.capabilities().get_capabilities(request).await?.into_inner().cache_capabilities;
    equal(
        "the digest functions",
        &cache.map(|cache| cache.digest_functions),
        &Some(server.offers.cache.digest_functions.clone()),
    )
}

async fn byte_stream(server: Server) -> Outcome {
    let server = server.instance(STRANGE_INSTANCE);
    let blob = server.random(100);
    server.put(&blob).await?;
    equal("the missing", &server.find_missing(std::slice::from_ref(&blob.digest)).await?, &vec![])?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn batches(server: Server) -> Outcome {
    let server = server.instance(STRANGE_INSTANCE);
    let blob = server.random(100);
    let updated = server.batch_update(vec![upload(&blob)]).await?;
    answered("the blob", updated.first().and_then(|response| response.status.as_ref()), &[Code::Ok])?;
    let read = server.batch_read(std::slice::from_ref(&blob.digest), &[]).await?;
    same_bytes("the blob", &read.into_iter().next().unwrap_or_default().data, &blob.data)
}

async fn action_cache(server: Server) -> Outcome {
    let server = server.instance(STRANGE_INSTANCE);
    let action = server.random(10).digest;
    let result = ActionResult { exit_code: 5, ..ActionResult::default() };
    server.update_action_result(&action, result.clone()).await?;
    equal("the result", &server.action_result(&action).await?, &result)
}

async fn keywords(server: Server) -> Outcome {
    for keyword in KEYWORDS {
        let strange = server.instance(&format!("reapi-conformance/{keyword}"));
        refused(strange.find_missing(&[]).await, &[Code::InvalidArgument])
            .map_err(|difference| difference.about(keyword))?;
    }
    Ok(())
}

async fn leading_slash(server: Server) -> Outcome {
    let server = server.instance("");
    let blob = server.random(100);
    let name = format!("/uploads/{}/blobs/{}", uuid(), path(blob.function, &blob.digest));
    server.write(messages(&name, &blob.data, 100)).await?;
    let name = format!("/blobs/{}", path(blob.function, &blob.digest));
    same_bytes("the blob", &server.read(&name, 0, 0).await?, &blob.data)?;
    same_bytes("the blob without the slash", &server.get(&blob).await?, &blob.data)
}
