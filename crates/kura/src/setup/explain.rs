//! One sentence about what is wrong: of the answer itself, of who gave it, or of where it was asked for.

use tonic::{Code, Status};
use ureq::http::header::SERVER;
use ureq::http::{Response, StatusCode};
use ureq::{Body, SendBody};

use super::local;
use crate::client::{Failure, Target, message_in, text_of};

/// Who answers at an address.
enum Who {
    /// Kura, ready to serve.
    Kura,
    /// Kura, and why it is not ready.
    NotReady(String),
    /// Kura, to whom it was not spoken under TLS.
    UnderTls,
    /// Somebody else, by the name that it gives itself.
    Other(Option<String>),
}

/// Asks the root of the server: what is below a path may be anybody's.
fn who(target: &Target) -> Result<Who, Failure> {
    let (name, body) = match &target.socket {
        Some(socket) => (None, local::get(socket, "/ready").map_err(|error| local::unreachable(socket, &error))?),
        None => {
            let url = format!("{}/ready", target.origin);
            let response = target.send("GET", &url, &[], SendBody::none());
            let response = response.map_err(|error| target.unreachable(&error))?;
            let name = response.headers().get(SERVER).and_then(|name| name.to_str().ok()).map(str::to_owned);
            (name, text_of(response))
        }
    };
    let said: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
    Ok(match said["ready"].as_bool() {
        Some(true) => Who::Kura,
        Some(false) => Who::NotReady(message_in(&body)),
        None if said["tls"] == true => Who::UnderTls,
        None => Who::Other(name),
    })
}

fn other(target: &Target, name: Option<&str>) -> Failure {
    let named = name.map(|name| format!(": it calls itself {name}")).unwrap_or_default();
    Failure::Refused(format!("what listens at {} is not Kura{named}", target.authority()))
}

/// Why a status is not what the client takes.
pub(super) fn answer(target: &Target, method: &str, url: &str, response: Response<Body>) -> Failure {
    let status = response.status();
    let said = message_in(&text_of(response));
    let at = target.authority();
    // Whoever answers these knows what a cache is, or stands in front of one.
    match status {
        StatusCode::UNAUTHORIZED => return token(target, &said),
        StatusCode::INSUFFICIENT_STORAGE => return full(at, &said),
        _ => {}
    }
    match who(target) {
        Err(failure) => failure,
        Ok(Who::Other(name)) => other(target, name.as_deref()),
        Ok(Who::NotReady(why)) => not_ready(at, &why),
        Ok(Who::UnderTls) => under_tls(at),
        Ok(Who::Kura) => match status {
            _ if !target.path.is_empty() => path(target),
            StatusCode::FORBIDDEN => forbidden(at, &said),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => busy(at, &said),
            _ => Failure::Refused(format!(
                "Kura at {at} answered {method} {url} with {status}, which the client does not take: {said}"
            )),
        },
    }
}

/// The same for a call of gRPC.
pub(super) fn status(target: &Target, call: &str, status: &Status) -> Failure {
    let (at, said) = (target.authority(), status.message());
    match status.code() {
        Code::Unauthenticated => return token(target, said),
        // Who is to come back is told when; where there is no room nobody knows.
        Code::ResourceExhausted if status.details().is_empty() => return full(at, said),
        _ => {}
    }
    match who(target) {
        Err(failure) => failure,
        Ok(Who::Other(name)) => other(target, name.as_deref()),
        Ok(Who::NotReady(why)) => not_ready(at, &why),
        Ok(Who::UnderTls) => under_tls(at),
        Ok(Who::Kura) => match status.code() {
            Code::PermissionDenied => forbidden(at, said),
            Code::ResourceExhausted => busy(at, said),
            Code::Unavailable | Code::Unknown | Code::Internal | Code::Unimplemented => Failure::Refused(format!(
                "Kura answers at {at} over HTTP, but gRPC does not get through: a proxy in front has to pass HTTP/2 on ({call}: {said})"
            )),
            code => Failure::Refused(format!(
                "Kura at {at} answered {call} with {code:?}, which the client does not take: {said}"
            )),
        },
    }
}

/// Other bytes came back than were stored.
pub(super) fn other_bytes(target: &Target, what: &str) -> Failure {
    match who(target) {
        Err(failure) => failure,
        Ok(Who::Other(name)) => other(target, name.as_deref()),
        Ok(Who::Kura | Who::NotReady(_) | Who::UnderTls) => Failure::Refused(format!(
            "{what} gave other bytes than were stored: does something between here and {} keep answers?",
            target.authority()
        )),
    }
}

/// The address has a path, and what is asked for is not below it.
pub(super) fn path(target: &Target) -> Failure {
    let (origin, path) = (&target.origin, &target.path);
    Failure::Refused(format!("nothing is served under {path}: the server's address is {origin}, without a path"))
}

fn token(target: &Target, said: &str) -> Failure {
    let at = target.authority();
    Failure::Refused(match (&target.token, said) {
        (None, _) => format!("{at} asks for a token: pass it with --token"),
        (Some(_), "") => format!("{at} asks for another token: pass it with --token"),
        (Some(_), said) => format!("{at} does not take this token: {said}"),
    })
}

fn forbidden(at: &str, said: &str) -> Failure {
    let said = if said.is_empty() { "the token, or whoever asks, may not read and write here" } else { said };
    Failure::Refused(format!("{at} does not allow this: {said}"))
}

fn under_tls(at: &str) -> Failure {
    Failure::Refused(format!("{at} speaks TLS: the server's address begins with https://"))
}

fn full(at: &str, said: &str) -> Failure {
    Failure::Refused(format!("the disk of {at} is full, and no room could be made on it: {said}"))
}

fn busy(at: &str, said: &str) -> Failure {
    Failure::Later(format!("{at} has too much to do and says to come back: {said}"))
}

fn not_ready(at: &str, why: &str) -> Failure {
    Failure::Later(format!("Kura at {at} is not ready: {why}"))
}
