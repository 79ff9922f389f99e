//! Refusals as S3 spells them: a code and a message in XML. What clients of S3 are to send again has status 503.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use s3s::{S3Error, S3ErrorCode};

use super::door::put_together;
use crate::answer::Answer;
use crate::error::Refusal;

impl From<Refusal> for S3Error {
    fn from(refusal: Refusal) -> S3Error {
        let code = match refusal.status {
            StatusCode::BAD_REQUEST => S3ErrorCode::InvalidRequest,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => S3ErrorCode::AccessDenied,
            StatusCode::NOT_FOUND => S3ErrorCode::NoSuchKey,
            StatusCode::REQUEST_TIMEOUT => S3ErrorCode::RequestTimeout,
            StatusCode::PRECONDITION_FAILED => S3ErrorCode::PreconditionFailed,
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => S3ErrorCode::EntityTooLarge,
            StatusCode::TOO_MANY_REQUESTS => S3ErrorCode::SlowDown,
            StatusCode::SERVICE_UNAVAILABLE => S3ErrorCode::ServiceUnavailable,
            StatusCode::INSUFFICIENT_STORAGE => S3ErrorCode::Custom("InsufficientStorage".into()),
            _ => S3ErrorCode::InternalError,
        };
        let mut error = S3Error::with_message(code, refusal.message().to_owned());
        if refusal.status == StatusCode::INSUFFICIENT_STORAGE {
            // Clients send again what failed with 500 or 503: a full disk is not mended by that.
            error.set_status_code(refusal.status);
        }
        // Clients of S3 spread themselves.
        if let Some(seconds) = refusal.retry_after(0) {
            set_header(&mut error, RETRY_AFTER, HeaderValue::from(seconds));
        }
        error
    }
}

/// Has the answer say so too. The library takes an error's own headers for all that there are.
pub(super) fn set_header(error: &mut S3Error, name: HeaderName, value: HeaderValue) {
    let content_type = (CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    error.set_headers(HeaderMap::from_iter([content_type, (name, value)]));
}

/// What failed in the cache.
pub(super) fn failed(error: kura_cache::Error) -> S3Error {
    Refusal::from(error).into()
}

/// An error as an answer.
pub(super) fn told(error: S3Error) -> Response<Answer> {
    match error.to_http_response() {
        Ok(answer) => put_together(None, answer),
        Err(_) => {
            let mut response = Response::new(Answer::whole(Bytes::new()));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}
