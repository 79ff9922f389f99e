//! A client of S3, which signs.

use kura_disk::{Runtime, TokioRuntime};
use kura_http::{S3Key, ServerSettings};

use super::people::People;
use super::sigv4::{Signed, Signer};
use super::{Response, Site, sha256};

const ID: &str = "AKID";
const SECRET: &str = "hush";

pub fn key_pair() -> Option<S3Key> {
    Some(S3Key::new(ID.to_owned(), SECRET.to_owned()))
}

pub async fn serving() -> S3 {
    let (site, _store) = Site::serving(ServerSettings { s3: key_pair(), ..ServerSettings::default() }).await;
    S3 { site }
}

pub fn signer() -> Signer {
    signing(ID, SECRET)
}

/// Somebody with that key pair.
pub fn signing(id: &str, secret: &str) -> Signer {
    let now = TokioRuntime::current().unix_millis() / 1000;
    Signer { id: id.to_owned(), secret: secret.to_owned(), now, service: "s3" }
}

/// Somebody who signs with a token's key pair.
pub fn of_token(token: &str) -> Signer {
    let (id, secret) = People::pair(token);
    signing(id.as_str(), &secret)
}

pub struct S3 {
    pub site: Site,
}

impl S3 {
    /// One request, signed as it should be. `target` is a path below `/s3`, perhaps with a query.
    pub async fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        self.signed(&signer(), method, target, headers, body).await
    }

    pub async fn signed(
        &self,
        signer: &Signer,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = format!("/s3{path}");
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let of = Signed { method, path: &path, query, headers, payload: sha256(body) };
        let length = if method == "POST" && body.is_empty() { "Content-Length: 0\r\n" } else { "" };
        let headers = signer.headers(&of) + length;
        let target = if query.is_empty() { path } else { format!("{path}?{query}") };
        self.site.request(method, &target, &headers, body).await
    }

    pub async fn put(&self, key: &str, body: &[u8]) -> Response {
        self.ask("PUT", key, &[], body).await
    }

    pub async fn get(&self, key: &str) -> Response {
        self.ask("GET", key, &[], b"").await
    }
}

/// Asserts that this is S3's error with that code.
#[track_caller]
pub fn refused(response: &Response, status: u16, code: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/xml"));
    assert!(response.text().contains(&format!("<Code>{code}</Code>")), "{}", response.text());
}
