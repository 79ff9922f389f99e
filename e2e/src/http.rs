//! One request and its answer: no status is an error, and no answer at all has one too.

use std::sync::Arc;

use ureq::http::Request;
use ureq::http::header::{AUTHORIZATION, HeaderValue};
use ureq::middleware::MiddlewareNext;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, SendBody};

use crate::wait::PATIENCE;

/// Longest answer that a test takes, in bytes.
const MAX_ANSWER: u64 = 1 << 30;

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    /// The status code; 0: nothing was answered, or it was broken off.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A client that takes every status as an answer.
#[must_use]
pub fn agent() -> Agent {
    Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into()
}

/// The same with a token, which trusts that authority only.
pub(crate) fn trusted_agent(authority: Option<&[u8]>, token: &str) -> Agent {
    let token = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    let identified = move |mut request: Request<SendBody<'_>>, next: MiddlewareNext<'_>| {
        request.headers_mut().insert(AUTHORIZATION, token.clone());
        next.handle(request)
    };
    let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
    let roots: Vec<_> = authority.into_iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
    config.middleware(identified).tls_config(tls.build()).build().into()
}

/// One request.
#[must_use]
pub fn request(agent: &Agent, method: &str, url: &str, body: &[u8]) -> Answer {
    let sent = match method {
        "GET" => agent.get(url).call(),
        "DELETE" => agent.delete(url).call(),
        "PUT" => agent.put(url).send(body),
        "POST" => agent.post(url).send(body),
        _ => panic!("no test sends {method}"),
    };
    let read = sent.and_then(|mut answer| {
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec()?;
        Ok(Answer { status: answer.status().as_u16(), body })
    });
    read.unwrap_or_else(|error| Answer { status: 0, body: error.to_string().into_bytes() })
}
