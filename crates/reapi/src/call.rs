//! One call: to its method, within its deadline, counted whatever becomes of it.

use std::sync::Arc;

use http::{HeaderMap, Request, Response};
use kura_auth::Access;
use kura_cache::{Cache, Scope};
use kura_disk::Runtime;
use kura_http::{GuestBody, Memory, Window};
use prost::Message;
use tokio::time::{Instant, timeout_at};
use tonic::Status;

use crate::asset::Flights;
use crate::byte_stream::Unfinished;
use crate::counters::Tally;
use crate::grpc::{self, Incoming, Reply, respond};
use crate::method::Method;
use crate::{
    Reapi, action_cache, asset, byte_stream, capabilities, cas, health, llvm, metadata, reflection, scope, status,
};

/// What is known of a call beside its messages.
pub(crate) struct Head {
    /// What it may do and reach.
    pub(crate) access: Access,
    pub(crate) headers: HeaderMap,
    /// Of the connection.
    pub(crate) window: Arc<Window>,
}

/// What a method works with.
pub(crate) struct Call {
    pub(crate) cache: Cache,
    pub(crate) head: Head,
    pub(crate) memory: Arc<Memory>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) unfinished: Arc<Unfinished>,
    pub(crate) flights: Option<Flights>,
    pub(crate) incoming: Incoming,
}

impl Call {
    /// What an instance name stands for.
    ///
    /// # Errors
    /// As for [`scope::of_instance`].
    pub(crate) fn scope(&self, instance: &str) -> Result<Scope, Status> {
        scope::of_instance(&self.head.access, instance)
    }

    /// The message of a call that has one.
    ///
    /// # Errors
    /// As for [`Incoming::message`].
    pub(crate) async fn message<M: Message + Default>(&mut self) -> Result<M, Status> {
        self.incoming.message().await
    }
}

/// Answers one call.
pub(crate) async fn answer(
    reapi: Arc<Reapi>,
    request: Request<kura_http::Incoming>,
    access: Access,
    window: Arc<Window>,
) -> Response<GuestBody> {
    let method = Method::of(request.uri().path());
    let tally = Tally::new(Arc::clone(&reapi.counters), method);
    let answered = match method {
        Some(method) => match access.permits(method.need()) {
            Ok(()) => within_deadline(&reapi, method, request, access, window).await,
            Err(denied) => Err(status::of_denied(&denied)),
        },
        None => Err(Status::unimplemented("not served here")),
    };
    respond(answered, tally)
}

async fn within_deadline(
    reapi: &Arc<Reapi>,
    method: Method,
    request: Request<kura_http::Incoming>,
    access: Access,
    window: Arc<Window>,
) -> Result<Reply, Status> {
    let (parts, body) = request.into_parts();
    metadata::log(method.names().1, &parts.headers);
    let Reapi { settings, counters, memory, .. } = &**reapi;
    let incoming = Incoming::new(body, Arc::clone(settings), Arc::clone(counters), Arc::clone(memory));
    let deadline = grpc::deadline(&parts.headers)?.map(|patience| Instant::now() + patience);
    let head = Head { access, headers: parts.headers, window };
    let Some(deadline) = deadline else {
        return dispatch(reapi, method, incoming, head).await;
    };
    let answered = timeout_at(deadline, dispatch(reapi, method, incoming, head)).await;
    answered.map_or_else(|_| Err(grpc::deadline_exceeded()), |answered| Ok(answered?.until(deadline)))
}

/// What is said of the server itself is said before there is a cache too.
async fn dispatch(reapi: &Reapi, method: Method, incoming: Incoming, head: Head) -> Result<Reply, Status> {
    let admitted = reapi.tenants.admit(head.access.tenant(), method.need()).await;
    let _admitted = admitted.map_err(|excess| status::of_excess(&excess))?;
    match method {
        Method::HealthCheck => health::check(incoming, reapi.stage()).await,
        Method::HealthWatch => health::watch(incoming, reapi.stages()).await,
        Method::Reflect | Method::ReflectAlpha => Ok(reflection::reflect(incoming)),
        _ => to_cache(reapi.call(incoming, head)?, method).await?.held_in(&reapi.memory),
    }
}

async fn to_cache(call: Call, method: Method) -> Result<Reply, Status> {
    // The long ones are boxed: their state is not carried by every call.
    match method {
        Method::GetCapabilities => capabilities::get(call).await,
        Method::GetActionResult => action_cache::get(call).await,
        Method::UpdateActionResult => Box::pin(action_cache::update(call)).await,
        Method::FindMissingBlobs => cas::find_missing(call).await,
        Method::BatchUpdateBlobs => Box::pin(cas::batch_update(call)).await,
        Method::BatchReadBlobs => Box::pin(cas::batch_read(call)).await,
        Method::GetTree => Box::pin(cas::get_tree(call)).await,
        Method::SplitBlob => Box::pin(cas::split_blob(call)).await,
        Method::SpliceBlob => Box::pin(cas::splice_blob(call)).await,
        Method::GetChunkMapping => Box::pin(cas::get_chunk_mapping(call)).await,
        Method::RegisterChunkMapping => Box::pin(cas::register_chunk_mapping(call)).await,
        Method::Read => byte_stream::read(call).await,
        Method::Write => Box::pin(byte_stream::write(call)).await,
        Method::QueryWriteStatus => byte_stream::query_write_status(call).await,
        Method::FetchBlob => Box::pin(asset::fetch_blob(call)).await,
        Method::FetchDirectory => Box::pin(asset::fetch_directory(call)).await,
        Method::PushBlob => Box::pin(asset::push_blob(call)).await,
        Method::PushDirectory => Box::pin(asset::push_directory(call)).await,
        Method::CasGet => Box::pin(llvm::get(call)).await,
        Method::CasPut => Box::pin(llvm::put(call)).await,
        Method::CasLoad => Box::pin(llvm::load(call)).await,
        Method::CasSave => Box::pin(llvm::save(call)).await,
        Method::GetValue => llvm::get_value(call).await,
        Method::PutValue => Box::pin(llvm::put_value(call)).await,
        Method::HealthCheck | Method::HealthWatch | Method::Reflect | Method::ReflectAlpha => {
            Err(Status::internal("this needs no cache"))
        }
    }
}
