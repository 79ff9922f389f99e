//! `grpc.health.v1.Health`: whether calls are served, of every service alike. From the first answer on, before recovery is done.

use futures_util::stream;
use prost::{Enumeration, Message};
use tokio::sync::watch;
use tonic::Status;

use crate::grpc::{Incoming, Reply, pieces};
use crate::method::Method;

/// Where the server stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Recovering,
    Serving,
    Draining,
}

#[derive(Clone, PartialEq, Message)]
struct CheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct CheckResponse {
    #[prost(enumeration = "Serving", tag = "1")]
    status: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enumeration)]
#[repr(i32)]
enum Serving {
    Unknown = 0,
    Yes = 1,
    No = 2,
    ServiceUnknown = 3,
}

impl CheckResponse {
    fn at(stage: Stage) -> CheckResponse {
        let status = if stage == Stage::Serving { Serving::Yes } else { Serving::No };
        CheckResponse { status: status as i32 }
    }
}

/// An empty name stands for the server as a whole.
fn is_known(service: &str) -> bool {
    service.is_empty() || Method::services().contains(&service)
}

async fn service(incoming: &mut Incoming) -> Result<String, Status> {
    Ok(incoming.message::<CheckRequest>().await?.service)
}

pub(crate) async fn check(mut incoming: Incoming, stage: Stage) -> Result<Reply, Status> {
    if !is_known(&service(&mut incoming).await?) {
        return Err(Status::not_found("no such service"));
    }
    Ok(Reply::message(&CheckResponse::at(stage)))
}

/// Each status as it comes, beginning with that of now.
pub(crate) async fn watch(mut incoming: Incoming, mut stages: watch::Receiver<Stage>) -> Result<Reply, Status> {
    if !is_known(&service(&mut incoming).await?) {
        let unknown = CheckResponse { status: Serving::ServiceUnknown as i32 };
        let once = futures_util::StreamExt::chain(stream::iter([Ok(pieces(&unknown))]), stream::pending());
        return Ok(Reply::stream(once));
    }
    stages.mark_changed();
    Ok(Reply::stream(stream::unfold(stages, |mut stages| async {
        stages.changed().await.ok()?;
        let stage = *stages.borrow_and_update();
        Some((Ok(pieces(&CheckResponse::at(stage))), stages))
    })))
}
