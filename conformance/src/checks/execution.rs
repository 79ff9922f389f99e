//! Execution, where there is none.

use bazel_remote_apis::build::bazel::remote::execution::v2::execution_client::ExecutionClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::{ExecuteRequest, WaitExecutionRequest};
use tonic::Code;

use crate::check::{EXECUTION, Suite};
use crate::client::Server;
use crate::expect::{Outcome, refused};
use crate::offers::Need;

pub(super) fn register(suite: &mut Suite) {
    let disabled = "ExecutionCapabilities.exec_enabled: whether remote execution is enabled";
    suite
        .group("Execution", EXECUTION)
        .needing(&[Need::NoExecution])
        .check("Execute is UNIMPLEMENTED", disabled, execute)
        .check("WaitExecution is UNIMPLEMENTED", disabled, wait);
}

async fn execute(server: Server) -> Outcome {
    let request = ExecuteRequest {
        instance_name: server.instance_name(),
        action_digest: Some(server.random(10).digest),
        ..ExecuteRequest::default()
    };
    refused(ExecutionClient::new(server.channel()).execute(request).await, &[Code::Unimplemented])
}

async fn wait(server: Server) -> Outcome {
    let request = WaitExecutionRequest { name: "operation".to_owned() };
    refused(ExecutionClient::new(server.channel()).wait_execution(request).await, &[Code::Unimplemented])
}
