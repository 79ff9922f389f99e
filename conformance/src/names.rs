//! Resource names of ByteStream, as the head of `ContentAddressableStorage` in the specification gives them.

use bazel_remote_apis::build::bazel::remote::execution::v2::Digest;

use crate::client::Server;
use crate::digest::{Blob, Function};

impl Server {
    /// To read `blob`.
    pub(crate) fn name(&self, blob: &Blob) -> String {
        format!("{}blobs/{}", self.prefix(), path(blob.function, &blob.digest))
    }

    /// To read what has this digest.
    pub(crate) fn name_of(&self, digest: &Digest) -> String {
        format!("{}blobs/{}", self.prefix(), path(self.function(), digest))
    }

    /// To read `blob` as zstd.
    pub(crate) fn zstd_name(&self, blob: &Blob) -> String {
        format!("{}compressed-blobs/zstd/{}", self.prefix(), path(blob.function, &blob.digest))
    }

    /// To upload `blob`; another name each time.
    pub(crate) fn upload_name(&self, blob: &Blob) -> String {
        format!("{}uploads/{}/blobs/{}", self.prefix(), uuid(), path(blob.function, &blob.digest))
    }

    /// To upload what has this digest, or pretends to.
    pub(crate) fn upload_name_of(&self, digest: &Digest) -> String {
        format!("{}uploads/{}/blobs/{}", self.prefix(), uuid(), path(self.function(), digest))
    }

    /// To upload as zstd what has this digest, or pretends to.
    pub(crate) fn zstd_upload_name_of(&self, digest: &Digest) -> String {
        format!("{}uploads/{}/compressed-blobs/zstd/{}", self.prefix(), uuid(), path(self.function(), digest))
    }

    /// The instance and its slash; nothing for the empty one.
    pub(crate) fn prefix(&self) -> String {
        if self.instance.is_empty() { String::new() } else { format!("{}/", self.instance) }
    }
}

/// The digest function (where its hash does not tell), hash and size.
pub(crate) fn path(function: Function, digest: &Digest) -> String {
    let named =
        if function.is_inferred() { String::new() } else { format!("{}/", function.to_string().to_lowercase()) };
    format!("{named}{}/{}", digest.hash, digest.size_bytes)
}

/// A random UUID of version 4.
pub(crate) fn uuid() -> String {
    let bits = fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let text = format!("{bits:032x}");
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_says_that_it_is_random() {
        for _ in 0..1000 {
            let uuid = uuid();
            assert_eq!(uuid.len(), 36);
            assert_eq!(&uuid[14..15], "4");
            assert!("89ab".contains(&uuid[19..20]), "{uuid}");
        }
    }

    #[test]
    fn only_a_function_that_shares_its_length_is_named() {
        let digest = Digest { hash: "ab".to_owned(), size_bytes: 3 };
        assert_eq!(path(Function::Sha1, &digest), "ab/3");
        assert_eq!(path(Function::Blake3, &digest), "blake3/ab/3");
    }
}
