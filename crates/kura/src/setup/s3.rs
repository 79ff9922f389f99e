//! What a client of S3 does, with the key pair that is in the environment as AWS's tools have it: stores, fetches, lists and deletes one object, if it
//! may. Each request is signed in its query, as AWS Signature Version 4 has it.

use std::time::SystemTime;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest, Sha256};
use ureq::http::{Response, StatusCode};
use ureq::{Body, SendBody};

use super::explain;
use crate::client::{Failure, Target, text_of};

const BUCKET: &str = "kura-setup";

const KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";

/// For how long a signature holds, in seconds.
const HOLDS: u32 = 300;

/// The pair that requests are signed with.
struct Pair {
    id: String,
    secret: String,
}

#[allow(clippy::disallowed_methods, reason = "a command is in no simulation")]
pub(super) fn check(target: &Target) -> Result<(), Failure> {
    let pair = Pair::of_environment()?;
    let artifact = super::artifact();
    let name = hex(&Sha256::digest(&artifact));
    let (bucket, object) = (format!("/s3/{BUCKET}"), format!("/s3/{BUCKET}/{name}"));
    let list = format!("list-type=2&prefix={name}");
    for (method, path, query, body, expected) in [
        ("PUT", &object, "", Some(&artifact), ""),
        ("GET", &object, "", None, text(&artifact)),
        ("GET", &bucket, &list, None, &name),
        ("DELETE", &object, "", None, ""),
    ] {
        let path = format!("{}{path}", target.path);
        let query = pair.signed(method, target.authority(), &path, query, SystemTime::now(), HOLDS);
        let url = format!("{}{path}?{query}", target.origin);
        let sent = match body {
            Some(body) => target.send(method, &url, &[], &body[..]),
            None => target.send(method, &url, &[], SendBody::none()),
        };
        let response = sent.map_err(|error| target.unreachable(&error))?;
        // Who stores need not be one who removes.
        let may_not_delete = method == "DELETE" && response.status() == StatusCode::FORBIDDEN;
        if !response.status().is_success() && !may_not_delete {
            return Err(why(target, method, &format!("{}{path}", target.origin), response));
        }
        if !text_of(response).contains(expected) {
            return Err(explain::other_bytes(target, &path));
        }
    }
    Ok(())
}

fn text(artifact: &[u8]) -> &str {
    str::from_utf8(artifact).unwrap_or_default()
}

/// What S3 has codes for, and else what holds of every client.
fn why(target: &Target, method: &str, url: &str, response: Response<Body>) -> Failure {
    let (status, body) = (response.status(), text_of(response));
    let within = |element: &str| {
        let (_, rest) = body.split_once(&format!("<{element}>"))?;
        rest.split_once(&format!("</{element}>")).map(|(within, _)| within)
    };
    let at = target.authority();
    match within("Code") {
        Some("SignatureDoesNotMatch") => {
            Failure::Refused(format!("{at} has another secret than {SECRET} for this key"))
        }
        Some("InvalidAccessKeyId") => Failure::Refused(format!("{at} knows no key of the id that is in {KEY_ID}")),
        Some("RequestTimeTooSkewed") => {
            Failure::Refused(format!("the clocks of this machine and of {at} are more than 15 minutes apart"))
        }
        Some("AccessDenied") => Failure::Refused(format!("{at}: {}", within("Message").unwrap_or("access denied"))),
        _ => {
            let said = within("Message").map(|message| serde_json::json!({ "message": message }).to_string());
            let mut again = Response::new(Body::builder().data(said.unwrap_or(body)));
            *again.status_mut() = status;
            explain::answer(target, method, url, again)
        }
    }
}

impl Pair {
    fn of_environment() -> Result<Pair, Failure> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let pair = variable(KEY_ID).zip(variable(SECRET));
        let missing = || {
            Failure::Usage(format!(
                "set {KEY_ID} and {SECRET}: what `kura token s3 ID` prints where the server is, or its --s3-key-id and what its --s3-secret-file holds"
            ))
        };
        pair.map(|(id, secret)| Pair { id, secret }).ok_or_else(missing)
    }

    /// The query of a request without further headers, signed. `query` is sorted, and before `X-Amz` in order nothing of it comes.
    fn signed(&self, method: &str, host: &str, path: &str, query: &str, now: SystemTime, holds: u32) -> String {
        let date = humantime::format_rfc3339_seconds(now).to_string().replace(['-', ':'], "");
        let scope = format!("{}/us-east-1/s3/aws4_request", &date[..8]);
        let credential = encoded(&format!("{}/{scope}", self.id));
        let separator = if query.is_empty() { "" } else { "&" };
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={date}&X-Amz-Expires={holds}&X-Amz-SignedHeaders=host{separator}{query}"
        );
        let request = format!("{method}\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD");
        let signed = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(request)));
        let key = scope.split('/').fold(format!("AWS4{}", self.secret).into_bytes(), |key, part| keyed(&key, part));
        format!("{query}&X-Amz-Signature={}", hex(&keyed(&key, &signed)))
    }
}

fn keyed(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The example in AWS's description of signatures in a query.
    #[test]
    fn a_signature_is_that_of_its_description() {
        let pair = Pair {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        let query = pair.signed("GET", "examplebucket.s3.amazonaws.com", "/test.txt", "", now, 86400);
        let expected = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert!(query.ends_with(&format!("&X-Amz-Signature={expected}")), "{query}");
    }
}
