//! Server reflection: which services there are. What their messages look like is published elsewhere, and not told here.

use futures_util::stream;
use prost::{Message, Oneof};
use tonic::{Code, Status};

use crate::grpc::{Incoming, Pieces, Reply, pieces};
use crate::method::Method;

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(string, tag = "1")]
    host: String,
    #[prost(oneof = "Asked", tags = "3, 4, 6, 7")]
    asked: Option<Asked>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Asked {
    #[prost(string, tag = "3")]
    FileByName(String),
    #[prost(string, tag = "4")]
    FileWithSymbol(String),
    #[prost(string, tag = "6")]
    ExtensionsOf(String),
    #[prost(string, tag = "7")]
    Services(String),
}

#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(string, tag = "1")]
    host: String,
    #[prost(message, optional, tag = "2")]
    request: Option<Request>,
    #[prost(oneof = "Answered", tags = "6, 7")]
    answered: Option<Answered>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Answered {
    #[prost(message, tag = "6")]
    Services(Services),
    #[prost(message, tag = "7")]
    Error(Error),
}

#[derive(Clone, PartialEq, Message)]
struct Services {
    #[prost(message, repeated, tag = "1")]
    service: Vec<Service>,
}

#[derive(Clone, PartialEq, Message)]
struct Service {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Error {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// Answers each request as it comes.
pub(crate) fn reflect(incoming: Incoming) -> Reply {
    Reply::stream(stream::try_unfold(incoming, |mut incoming| async {
        let answer = answer(&mut incoming).await?;
        Ok(answer.map(|answer| (answer, incoming)))
    }))
}

async fn answer(incoming: &mut Incoming) -> Result<Option<Pieces>, Status> {
    let Some(request) = incoming.next_message::<Request>().await? else { return Ok(None) };
    let answered = match &request.asked {
        Some(Asked::Services(_)) => {
            let service = Method::services().into_iter().map(|name| Service { name: name.to_owned() });
            Answered::Services(Services { service: service.collect() })
        }
        _ => Answered::Error(Error {
            code: Code::NotFound as i32,
            message: "only the names of services are told here".to_owned(),
        }),
    };
    Ok(Some(pieces(&Response { host: request.host.clone(), request: Some(request), answered: Some(answered) })))
}
