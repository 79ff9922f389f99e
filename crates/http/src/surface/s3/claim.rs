//! What a client says that its body is, by checksums beside it or behind it: what comes must have them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::Checksum;
use s3s::{S3Result, TrailingHeaders, s3_error};

/// A checksum as S3 has it: base64 in a header, or in a trailer that a header announces.
pub(crate) struct Sort {
    pub(crate) header: &'static str,
    ask: fn(&mut ChecksumHasher),
    told: fn(&Checksum) -> &Option<String>,
}

pub(crate) const CHECKSUMS: [Sort; 5] = [
    Sort { header: "x-amz-checksum-crc32", ask: |of| of.crc32 = Some(Crc32::new()), told: |of| &of.checksum_crc32 },
    Sort { header: "x-amz-checksum-crc32c", ask: |of| of.crc32c = Some(Crc32c::new()), told: |of| &of.checksum_crc32c },
    Sort {
        header: "x-amz-checksum-crc64nvme",
        ask: |of| of.crc64nvme = Some(Crc64Nvme::new()),
        told: |of| &of.checksum_crc64nvme,
    },
    Sort { header: "x-amz-checksum-sha1", ask: |of| of.sha1 = Some(Sha1::new()), told: |of| &of.checksum_sha1 },
    Sort { header: "x-amz-checksum-sha256", ask: |of| of.sha256 = Some(Sha256::new()), told: |of| &of.checksum_sha256 },
];

/// What is claimed of a body, while it comes.
pub(crate) struct Claims {
    hasher: ChecksumHasher,
    /// Of which checksum, and where what it has to be is not said behind the body, that.
    claimed: Vec<(&'static Sort, Option<String>)>,
    md5: Option<(Md5, Vec<u8>)>,
}

impl Claims {
    /// # Errors
    /// `InvalidDigest`, and `InvalidRequest` for trailers that are announced and not known.
    pub(crate) fn of(headers: &HeaderMap) -> S3Result<Claims> {
        let mut hasher = ChecksumHasher::default();
        let mut claimed = Vec::new();
        let announced = headers.get("x-amz-trailer").map(|said| said.as_bytes().trim_ascii());
        for sort in &CHECKSUMS {
            let beside = headers.get(sort.header).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            let is_behind = announced.is_some_and(|name| name.eq_ignore_ascii_case(sort.header.as_bytes()));
            if beside.is_some() || is_behind {
                (sort.ask)(&mut hasher);
                claimed.push((sort, beside));
            }
        }
        if announced.is_some() && claimed.is_empty() {
            return Err(s3_error!(InvalidRequest, "x-amz-trailer announces no checksum that is known here"));
        }
        let md5 = headers.get("content-md5").map(|said| match STANDARD.decode(said.as_bytes()) {
            Ok(digest) if digest.len() == 16 => Ok((Md5::new(), digest)),
            _ => Err(s3_error!(InvalidDigest)),
        });
        Ok(Claims { hasher, claimed, md5: md5.transpose()? })
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        self.md5.iter_mut().for_each(|(md5, _)| md5.update(piece));
    }

    /// # Errors
    /// `BadDigest` for another body, or where what was announced did not come.
    pub(crate) fn finish(self, trailers: Option<&TrailingHeaders>) -> S3Result<()> {
        let found = self.hasher.finalize();
        for (sort, beside) in self.claimed {
            let behind = || {
                let read = |trailers: &HeaderMap| trailers.get(sort.header)?.to_str().ok().map(str::to_owned);
                trailers.and_then(|trailers| trailers.read(read).flatten())
            };
            if beside.or_else(behind) != *(sort.told)(&found) {
                return Err(s3_error!(BadDigest, "the body has another {}", sort.header));
            }
        }
        let other_md5 = self.md5.is_some_and(|(md5, expected)| md5.finalize()[..] != expected[..]);
        if other_md5 { Err(s3_error!(BadDigest, "the body has another Content-MD5")) } else { Ok(()) }
    }
}
