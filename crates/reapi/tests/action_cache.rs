//! ActionCache: complete or not found, as it came, with what was asked for inline.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use prost::Message;
use proto::{ActionResult, GetActionResultRequest, OutputDirectory, OutputFile, UpdateActionResultRequest};
use support::{Site, digest, noise, refused};
use tonic::{Code, Status};

struct Actions {
    site: Site,
    client: proto::action_cache_client::ActionCacheClient<tonic::transport::Channel>,
    action: proto::Digest,
    _store: kura_store::Store,
}

impl Actions {
    async fn new() -> Actions {
        let (site, store) = Site::serving().await;
        Actions { client: site.action_cache().await, site, action: digest(b"action"), _store: store }
    }

    async fn update(&mut self, result: &ActionResult) -> Result<ActionResult, Status> {
        let request = UpdateActionResultRequest {
            action_digest: Some(self.action.clone()),
            action_result: Some(result.clone()),
            ..Default::default()
        };
        Ok(self.client.update_action_result(request).await?.into_inner())
    }

    async fn get(&mut self) -> Result<ActionResult, Status> {
        self.get_with(GetActionResultRequest::default()).await
    }

    async fn get_with(&mut self, request: GetActionResultRequest) -> Result<ActionResult, Status> {
        let request = GetActionResultRequest { action_digest: Some(self.action.clone()), ..request };
        Ok(self.client.get_action_result(request).await?.into_inner())
    }
}

fn file(path: &str, content: &[u8]) -> OutputFile {
    OutputFile { path: path.to_owned(), digest: Some(digest(content)), is_executable: true, ..Default::default() }
}

#[tokio::test]
async fn a_result_is_served_once_all_that_it_names_is_there() {
    let mut actions = Actions::new().await;
    let directory = proto::Directory {
        files: vec![proto::FileNode { digest: Some(digest(b"in tree")), ..Default::default() }],
        ..Default::default()
    };
    let tree = proto::Tree { root: Some(directory), ..Default::default() }.encode_to_vec();
    let result = ActionResult {
        output_files: vec![file("a", b"a"), file("b", b"b")],
        output_directories: vec![OutputDirectory { tree_digest: Some(digest(&tree)), ..Default::default() }],
        output_symlinks: vec![proto::OutputSymlink { path: "link".into(), target: "a".into(), ..Default::default() }],
        stdout_digest: Some(digest(b"out")),
        stderr_digest: Some(digest(b"")),
        exit_code: 3,
        ..Default::default()
    };
    refused(actions.get().await, Code::NotFound);
    // Blobs may be on their way.
    assert_eq!(actions.update(&result).await.unwrap(), result);
    for blob in [&b"a"[..], b"b", &tree, b"in tree", b"out"] {
        refused(actions.get().await, Code::NotFound);
        actions.site.put(blob).await;
    }
    assert_eq!(actions.get().await.unwrap(), result);
}

#[tokio::test]
async fn the_same_hash_with_another_size_is_another_action() {
    let mut actions = Actions::new().await;
    let result = ActionResult { exit_code: 1, ..Default::default() };
    actions.update(&result).await.unwrap();
    actions.action.size_bytes += 1;
    refused(actions.get().await, Code::NotFound);
    actions.update(&ActionResult::default()).await.unwrap();
    assert_eq!(actions.get().await.unwrap(), ActionResult::default());
}

#[tokio::test]
async fn a_result_that_came_over_http_has_no_size_and_is_found_all_the_same() {
    let mut actions = Actions::new().await;
    let result = ActionResult { exit_code: 1, ..Default::default() };
    let request = http::Request::put(format!("http://test/ac/{}", actions.action.hash));
    let connection = support::raw::Connection::new(&actions.site).await;
    let body = support::raw::full(&result.encode_to_vec());
    let stored = connection.client.clone().send_request(request.body(body).unwrap()).await.unwrap();
    assert_eq!(stored.status(), 200);
    assert_eq!(actions.get().await.unwrap(), result);
}

#[tokio::test]
async fn the_last_result_counts() {
    let mut actions = Actions::new().await;
    for exit_code in [1, 2, 3] {
        let result = ActionResult { exit_code, ..Default::default() };
        actions.update(&result).await.unwrap();
        assert_eq!(actions.get().await.unwrap(), result);
    }
}

#[tokio::test]
async fn what_is_asked_for_is_inlined() {
    let mut actions = Actions::new().await;
    let result = ActionResult {
        output_files: vec![file("a", b"content of a"), file("b", b"content of b")],
        stdout_digest: Some(digest(b"out")),
        stderr_digest: Some(digest(b"err")),
        ..Default::default()
    };
    for blob in [&b"content of a"[..], b"content of b", b"out", b"err"] {
        actions.site.put(blob).await;
    }
    actions.update(&result).await.unwrap();
    assert_eq!(actions.get().await.unwrap(), result, "nothing, if nothing is asked for");

    let stdout = actions.get_with(GetActionResultRequest { inline_stdout: true, ..Default::default() }).await.unwrap();
    assert_eq!(stdout, ActionResult { stdout_raw: b"out".to_vec(), ..result.clone() });
    let stderr = actions.get_with(GetActionResultRequest { inline_stderr: true, ..Default::default() }).await.unwrap();
    assert_eq!(stderr, ActionResult { stderr_raw: b"err".to_vec(), ..result.clone() });

    let all = GetActionResultRequest {
        inline_stdout: true,
        inline_stderr: true,
        inline_output_files: vec!["b".to_owned(), "nothing".to_owned()],
        ..Default::default()
    };
    let mut expected = ActionResult { stdout_raw: b"out".to_vec(), stderr_raw: b"err".to_vec(), ..result };
    expected.output_files[1].contents = b"content of b".to_vec();
    assert_eq!(actions.get_with(all).await.unwrap(), expected);
}

#[tokio::test]
async fn no_more_is_inlined_than_a_message_holds() {
    let mut actions = Actions::new().await;
    let bodies: Vec<Vec<u8>> = (0..3).map(|seed| noise(2 << 20, seed)).collect();
    let mut result = ActionResult { stdout_digest: Some(digest(b"out")), ..Default::default() };
    actions.site.put(b"out").await;
    for (name, body) in ["a", "b", "c"].iter().zip(&bodies) {
        actions.site.put(body).await;
        result.output_files.push(file(name, body));
    }
    actions.update(&result).await.unwrap();
    let all = GetActionResultRequest {
        inline_stdout: true,
        inline_output_files: ["a", "b", "c"].map(str::to_owned).to_vec(),
        ..Default::default()
    };
    let filled = actions.get_with(all).await.unwrap();
    let inlined: Vec<usize> = filled.output_files.iter().map(|file| file.contents.len()).collect();
    assert_eq!(inlined, [2 << 20, 0, 0]);
    assert_eq!(filled.stdout_raw, b"out");
}

#[tokio::test]
async fn what_a_result_carries_inline_is_stored_with_it() {
    let mut actions = Actions::new().await;
    let mut inlined = file("a", b"content");
    inlined.contents = b"content".to_vec();
    let result = ActionResult {
        output_files: vec![inlined],
        stdout_raw: b"out".to_vec(),
        stdout_digest: Some(digest(b"out")),
        stderr_raw: b"nameless".to_vec(),
        ..Default::default()
    };
    actions.update(&result).await.unwrap();
    assert!(actions.site.missing(&[digest(b"content"), digest(b"out")]).await.is_empty());
    assert_eq!(actions.get().await.unwrap(), result);

    let lie = ActionResult { stdout_digest: Some(digest(b"other")), ..result.clone() };
    refused(actions.update(&lie).await, Code::InvalidArgument);
    assert_eq!(actions.get().await.unwrap(), result, "what was there stays");
}

#[tokio::test]
async fn fields_that_nobody_here_knows_are_kept() {
    let mut actions = Actions::new().await;
    // Sent as bytes, so that a field of number 999 survives the client.
    #[derive(Clone, PartialEq, Message)]
    struct Raw {
        #[prost(message, optional, tag = "2")]
        action_digest: Option<proto::Digest>,
        #[prost(bytes = "vec", tag = "3")]
        action_result: Vec<u8>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Unknown {
        #[prost(int32, tag = "4")]
        exit_code: i32,
        #[prost(string, tag = "999")]
        later: String,
    }
    let sent = Unknown { exit_code: 7, later: "from a later version".to_owned() };
    let request = Raw { action_digest: Some(actions.action.clone()), action_result: sent.encode_to_vec() };
    let mut raw = tonic::client::Grpc::new(actions.site.channel().await);
    raw.ready().await.unwrap();
    let path = |method: &str| format!("/build.bazel.remote.execution.v2.ActionCache/{method}").parse().unwrap();
    let update: tonic::Response<Unknown> = raw
        .unary(tonic::Request::new(request.clone()), path("UpdateActionResult"), tonic_prost::ProstCodec::default())
        .await
        .unwrap();
    assert_eq!(update.into_inner(), sent);
    raw.ready().await.unwrap();
    let ask = Raw { action_result: Vec::new(), ..request };
    let get: tonic::Response<Unknown> =
        raw.unary(tonic::Request::new(ask), path("GetActionResult"), tonic_prost::ProstCodec::default()).await.unwrap();
    assert_eq!(get.into_inner(), sent);
    assert_eq!(actions.get().await.unwrap().exit_code, 7);
}

#[tokio::test]
async fn what_is_no_result_is_refused() {
    let mut actions = Actions::new().await;
    let without_digest = ActionResult {
        output_files: vec![OutputFile { path: "a".into(), ..Default::default() }],
        ..Default::default()
    };
    refused(actions.update(&without_digest).await, Code::InvalidArgument);
    let action_digest = Some(actions.action.clone());
    let nothing = UpdateActionResultRequest { action_digest, ..Default::default() };
    refused(actions.client.update_action_result(nothing).await, Code::InvalidArgument);
    let nameless = UpdateActionResultRequest { action_result: Some(ActionResult::default()), ..Default::default() };
    refused(actions.client.update_action_result(nameless).await, Code::InvalidArgument);
    refused(actions.client.get_action_result(GetActionResultRequest::default()).await, Code::InvalidArgument);
    refused(actions.get().await, Code::NotFound);
}
