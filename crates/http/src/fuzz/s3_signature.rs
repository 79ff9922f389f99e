//! Requests to S3: method and target in the first line, then headers, an empty line and a body. Nobody knows the secret: none comes in.

use std::sync::LazyLock;

use futures_util::FutureExt as _;
use http::{Extensions, HeaderMap, Method, Request, Uri};
use s3s::route::S3Route;
use s3s::service::S3Service;
use s3s::{Body, S3Request, S3Response, S3Result};

use super::s3_body::headers;
use crate::settings::S3Key;
use crate::surface::s3::door::{Pairs, look, signed};

struct NobodyComesHere;

#[async_trait::async_trait]
impl S3Route for NobodyComesHere {
    fn is_match(&self, _: &Method, _: &Uri, _: &HeaderMap, _: &mut Extensions) -> bool {
        true
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        panic!("a signature was forged: {:?}", request.headers)
    }
}

static SERVICE: LazyLock<S3Service> = LazyLock::new(|| {
    // Of 256 bits that are in no corpus.
    let secret = format!("{:032x}{:032x}", rand(), rand());
    signed(Pairs::One(S3Key::new("AKID".to_owned(), secret)), NobodyComesHere)
});

fn rand() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

pub(super) fn target(bytes: &[u8]) {
    let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap_or(bytes.len());
    let (head, body) = (&bytes[..end], bytes.get(end + 2..).unwrap_or_default());
    let Some((method, target)) = head.split(|byte| *byte == b'\n').next().and_then(|line| {
        let space = line.iter().position(|byte| *byte == b' ')?;
        Some((Method::from_bytes(&line[..space]).ok()?, Uri::try_from(&line[space + 1..]).ok()?))
    }) else {
        return;
    };
    let mut request = Request::new(Body::from(body.to_vec()));
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, target, headers(head));
    let (parts, body) = request.into_parts();
    if look(&parts).is_err() {
        return;
    }
    let answer = SERVICE.call(Request::from_parts(parts, body)).now_or_never().expect("nothing is waited for");
    let status = answer.unwrap().status();
    assert!(status.is_client_error() || status.as_u16() == 501, "{status}");
}
