//! One call: to its method, within its deadline, counted whatever becomes of it.

use std::sync::Arc;

use http::{Request, Response};
use kura_cache::Cache;
use kura_http::{GuestBody, Memory};
use prost::Message;
use tokio::time::timeout;
use tonic::Status;

use crate::byte_stream::Unfinished;
use crate::counters::Tally;
use crate::grpc::{self, Incoming, Reply, respond};
use crate::method::Method;
use crate::{Reapi, action_cache, byte_stream, capabilities, cas, metadata, status};

/// What a method works with.
pub(crate) struct Call {
    pub(crate) cache: Cache,
    pub(crate) memory: Arc<Memory>,
    pub(crate) unfinished: Arc<Unfinished>,
    pub(crate) incoming: Incoming,
}

impl Call {
    /// The message of a call that has one.
    ///
    /// # Errors
    /// As for [`Incoming::only`]; `INVALID_ARGUMENT` for bytes that are no such message.
    pub(crate) async fn message<M: Message + Default>(&mut self) -> Result<M, Status> {
        let message = self.incoming.only().await?;
        M::decode(message).map_err(|error| Status::invalid_argument(format!("the message is malformed: {error}")))
    }
}

/// Answers one call.
pub(crate) async fn answer(reapi: Arc<Reapi>, request: Request<hyper::body::Incoming>) -> Response<GuestBody> {
    let method = Method::of(request.uri().path());
    let tally = Tally::new(Arc::clone(&reapi.counters), method);
    let answered = match method {
        Some(method) => within_deadline(&reapi, method, request).await,
        None => Err(Status::unimplemented("not served here")),
    };
    respond(answered, tally)
}

async fn within_deadline(
    reapi: &Arc<Reapi>,
    method: Method,
    request: Request<hyper::body::Incoming>,
) -> Result<Reply, Status> {
    let (parts, body) = request.into_parts();
    metadata::log(method.names().1, &parts.headers);
    let Some(cache) = reapi.cache.get() else {
        return Err(status::unavailable("recovery is under way: see /ready"));
    };
    let call = Call {
        cache: cache.clone(),
        memory: Arc::clone(&reapi.memory),
        unfinished: Arc::clone(&reapi.unfinished),
        incoming: Incoming::new(
            body,
            Arc::clone(&reapi.settings),
            Arc::clone(&reapi.counters),
            Arc::clone(&reapi.memory),
        ),
    };
    match grpc::deadline(&parts.headers)? {
        None => dispatch(method, call).await,
        Some(deadline) => timeout(deadline, dispatch(method, call))
            .await
            .unwrap_or_else(|_| Err(Status::deadline_exceeded("the deadline is over"))),
    }
}

async fn dispatch(method: Method, call: Call) -> Result<Reply, Status> {
    // The long ones are boxed: their state is not carried by every call.
    match method {
        Method::GetCapabilities => capabilities::get(call).await,
        Method::GetActionResult => action_cache::get(call).await,
        Method::UpdateActionResult => Box::pin(action_cache::update(call)).await,
        Method::FindMissingBlobs => cas::find_missing(call).await,
        Method::BatchUpdateBlobs => Box::pin(cas::batch_update(call)).await,
        Method::BatchReadBlobs => Box::pin(cas::batch_read(call)).await,
        Method::Read => byte_stream::read(call).await,
        Method::Write => Box::pin(byte_stream::write(call)).await,
        Method::QueryWriteStatus => byte_stream::query_write_status(call).await,
    }
}
