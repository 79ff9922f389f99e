//! Action results as JSON, which moon speaks under Bazel's paths: who says `application/json` sends and gets the proto3 JSON of an `ActionResult`.
//! What is stored is the message, checked like any other, so that both forms are of one artifact.
//! There are no ranges and no validators here: those are of the bytes that are stored.

use bazel_remote_apis::build::bazel::remote::execution::v2::ActionResult;
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, VARY};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use kura_auth::Access;
use kura_cache::{ArtifactKey, Attributes};
use prost::Message;

use crate::answer::Answer;
use crate::body::Arriving;
use crate::conditional;
use crate::error::Refusal;
use crate::memory::Class;
use crate::site::Site;

const JSON: &str = "application/json";

/// The longest result that is taken or given as JSON, in bytes of what comes in.
const MAX_LEN: u64 = 1 << 20;

/// Memory of a result, for each byte of either form: two bytes of a message may be an element of 160 in memory, and three of JSON.
const MEMORY: u64 = 96;

/// Whether one of the media types that a header lists is JSON.
fn says_json(parts: &Parts, header: &HeaderName) -> bool {
    let said = parts.headers.get_all(header).iter().filter_map(|value| value.to_str().ok());
    said.flat_map(|value| value.split(',')).any(|one| {
        let sort = one.split(';').next().unwrap_or_default();
        sort.trim().eq_ignore_ascii_case(JSON)
    })
}

/// The answer to a request about the result `key` that is made in JSON; nothing for all others.
///
/// # Errors
/// 400 for what is no action result, 406 and 413 for one that is too long for this form.
pub(super) async fn answer(
    site: &Site,
    access: &Access,
    parts: &Parts,
    key: impl FnOnce() -> Result<ArtifactKey, Refusal>,
    body: &mut Arriving<'_>,
) -> Result<Option<Response<Answer>>, Refusal> {
    match parts.method {
        Method::GET | Method::HEAD if says_json(parts, &ACCEPT) => {
            Ok(Some(get(site, access, &parts.method, &key()?).await?))
        }
        Method::PUT if says_json(parts, &CONTENT_TYPE) => {
            if conditional::is_conditional(&parts.headers) || parts.headers.contains_key(CONTENT_ENCODING) {
                let why = "JSON is taken without conditions and without a content encoding";
                return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
            }
            Ok(Some(put(site, access, &key()?, body).await?))
        }
        _ => Ok(None),
    }
}

async fn get(site: &Site, access: &Access, method: &Method, key: &ArtifactKey) -> Result<Response<Answer>, Refusal> {
    let found = site.cache_for(access)?.get(key).await.map_err(Refusal::of_read)?.ok_or_else(Refusal::miss)?;
    if found.length > MAX_LEN {
        return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "this action result is too long for JSON"));
    }
    let held = site
        .memory
        .hold_for(&key.scope().tenant, Class::Answer, found.length * MEMORY)
        .ok_or_else(|| Refusal::overload("too many answers are under way"))?;
    let json = to_json(&found.body.collect().await.map_err(Refusal::of_read)?)?;
    let length = HeaderValue::from(json.len());
    let head = *method == Method::HEAD;
    let mut response = Response::new(if head { Answer::Empty } else { Answer::held(json, held) });
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    if head {
        headers.insert(CONTENT_LENGTH, length);
    }
    Ok(response)
}

/// The JSON of a message.
///
/// # Errors
/// 404 for what is none.
pub(crate) fn to_json(result: &[u8]) -> Result<Bytes, Refusal> {
    let damaged = |error: &dyn std::error::Error| {
        tracing::error!(%error, "a stored action result is none: answered as a miss");
        Refusal::miss()
    };
    let result = ActionResult::decode(result).map_err(|error| damaged(&error))?;
    serde_json::to_vec(&result).map(Bytes::from).map_err(|error| damaged(&error))
}

async fn put(
    site: &Site,
    access: &Access,
    key: &ArtifactKey,
    body: &mut Arriving<'_>,
) -> Result<Response<Answer>, Refusal> {
    let too_large = || Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "an action result in JSON has at most 1 MiB");
    let declared = body.length().unwrap_or(MAX_LEN);
    if declared > MAX_LEN {
        return Err(too_large());
    }
    let held = site.memory.hold_for(&key.scope().tenant, Class::Upload, declared * MEMORY);
    let _held = held.ok_or_else(|| Refusal::overload("too many uploads are under way"))?;
    let _announced = body.announce()?;
    let cache = site.cache_for(access)?;
    let mut json = BytesMut::new();
    while let Some(piece) = body.next().await? {
        if (json.len() + piece.len()) as u64 > MAX_LEN {
            return Err(too_large());
        }
        json.extend_from_slice(&piece);
    }
    let result = of_json(&json)?;
    let mut upload = cache.put(key, Attributes::default(), Some(result.len() as u64)).await?;
    upload.write(result).await?;
    upload.commit().await?;
    Ok(Response::new(Answer::Empty))
}

/// The message that JSON stands for.
///
/// # Errors
/// 400.
pub(crate) fn of_json(json: &[u8]) -> Result<Bytes, Refusal> {
    let result: ActionResult = serde_json::from_slice(json)
        .map_err(|error| Refusal::bad_request(format!("not an action result in JSON: {error}")))?;
    Ok(result.encode_to_vec().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<ActionResult, Refusal> {
        of_json(json.as_bytes()).map(|message| ActionResult::decode(message).unwrap())
    }

    #[test]
    fn both_spellings_of_a_field_and_of_a_number_are_understood() {
        let camel =
            r#"{"exitCode":3,"stdoutRaw":"aGk=","outputFiles":[{"path":"a","digest":{"hash":"ab","sizeBytes":"7"}}]}"#;
        let snake = r#"{"exit_code":"3","stdout_raw":"aGk","output_files":[{"path":"a","digest":{"hash":"ab","size_bytes":7}}]}"#;
        let (camel, snake) = (read(camel).unwrap(), read(snake).unwrap());
        assert_eq!(camel, snake);
        assert_eq!((camel.exit_code, &*camel.stdout_raw), (3, &b"hi"[..]));
        assert_eq!(camel.output_files[0].digest.as_ref().unwrap().size_bytes, 7);
        let json = String::from_utf8(to_json(&camel.encode_to_vec()).unwrap().to_vec()).unwrap();
        assert!(json.contains(r#""sizeBytes":"7""#) && json.contains(r#""exitCode":3"#), "{json}");
    }

    #[test]
    fn what_is_no_action_result_is_refused() {
        for json in [
            "",
            "[]",
            "null",
            "{",
            r#"{"nothing":1}"#,
            r#"{"exitCode":"x"}"#,
            r#"{"exitCode":1}x"#,
            r#"{"stdoutRaw":"%"}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }
}
