//! AWS Signature Version 4 as a client makes it, from its description and not from the library that checks it.

use sha2::{Digest, Sha256};

use super::sha256;

/// Who signs, and when it says it does.
#[derive(Clone)]
pub struct Signer {
    pub id: String,
    pub secret: String,
    /// Seconds since the Unix epoch.
    pub now: u64,
    pub service: &'static str,
}

/// What is signed: a path as it is sent, and a query whose parameters are sorted and encoded.
pub struct Signed<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    /// Beside `host`, which is `test`: in lowercase, sorted.
    pub headers: Vec<(&'a str, String)>,
    /// Of `x-amz-content-sha256`.
    pub payload: String,
}

impl Signer {
    pub fn date(&self) -> String {
        let (days, rest) = (self.now / 86400, self.now % 86400);
        let (year, month, day) = civil(days);
        format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
    }

    pub fn scope(&self) -> String {
        format!("{}/us-east-1/{}/aws4_request", &self.date()[..8], self.service)
    }

    /// The headers that a request with its signature has, `Host` left out.
    pub fn headers(&self, of: &Signed<'_>) -> String {
        let mut headers = of.headers.clone();
        headers.push(("x-amz-content-sha256", of.payload.clone()));
        headers.push(("x-amz-date", self.date()));
        headers.sort();
        let (names, signature) = self.sign(of, &headers, of.query);
        let sent: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let credential = format!("{}/{}", self.id, self.scope());
        format!(
            "{sent}Authorization: AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}\r\n"
        )
    }

    /// The query of a URL that holds for so many seconds.
    pub fn presigned(&self, method: &str, path: &str, seconds: u64) -> String {
        let credential = format!("{}/{}", self.id, self.scope()).replace('/', "%2F");
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={}&X-Amz-Expires={seconds}&X-Amz-SignedHeaders=host",
            self.date()
        );
        let of = Signed { method, path, query: &query, headers: Vec::new(), payload: "UNSIGNED-PAYLOAD".to_owned() };
        let (_, signature) = self.sign(&of, &[], &query);
        format!("{query}&X-Amz-Signature={signature}")
    }

    fn sign(&self, of: &Signed<'_>, headers: &[(&str, String)], query: &str) -> (String, String) {
        let mut all = vec![("host", "test".to_owned())];
        all.extend(headers.iter().cloned());
        all.sort();
        let names = all.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let canonical: String = all.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let request = format!("{}\n{}\n{query}\n{canonical}\n{names}\n{}", of.method, of.path, of.payload);
        let hash = sha256(request.as_bytes());
        let signature = self.signature(&format!("AWS4-HMAC-SHA256\n{}\n{}\n{hash}", self.date(), self.scope()));
        (names, signature)
    }

    pub fn signature(&self, text: &str) -> String {
        let date = hmac(format!("AWS4{}", self.secret).as_bytes(), &self.date()[..8]);
        let service = hmac(&hmac(&date, "us-east-1"), self.service);
        hmac(&hmac(&service, "aws4_request"), text).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// RFC 2104, for keys of up to a block.
fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let keyed = |pad: u8, rest: &[u8]| Sha256::digest([&block.map(|byte| byte ^ pad)[..], rest].concat()).to_vec();
    keyed(0x5c, &keyed(0x36, text.as_bytes()))
}

/// The date of a day since the epoch.
fn civil(days: u64) -> (u64, u64, u64) {
    let (mut year, mut left) = (1970, days);
    let is_leap = |year: u64| (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    while left >= 365 + u64::from(is_leap(year)) {
        left -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    (year, month as u64 + 1, left + 1)
}
