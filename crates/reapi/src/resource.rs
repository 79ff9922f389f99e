//! ByteStream's resource names:
//!
//! - read: `{instance/}blobs/{function/}{hash}/{size}`, `{instance/}compressed-blobs/{compressor}/{function/}{hash}/{size}`
//! - write: the same behind `{instance/}uploads/{uuid}/`
//!
//! What follows the size is a file name that means nothing here. The function may be left out where the hash's length tells it.

use kura_auth::Access;
use kura_cache::{Compression, Digest, DigestFunction, Scope};
use tonic::Status;

use crate::digest;
use crate::scope;

/// The longest resource name that is looked at, in bytes.
const MAX_LEN: usize = 4096;

/// What a resource name names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) scope: Scope,
    /// With its size.
    pub(crate) digest: Digest,
    /// How its bytes go over the wire.
    pub(crate) compression: Compression,
}

impl Resource {
    /// What is to be read.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`, which says what is wrong with the name; and as for an instance that is out of reach.
    pub(crate) fn to_read(access: &Access, name: &str) -> Result<Resource, Status> {
        let (instance, rest) = split(name)?;
        parse(access, instance, rest)
    }

    /// What is to be written.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`, which says what is wrong with the name; and as for an instance that is out of reach.
    pub(crate) fn to_write(access: &Access, name: &str) -> Result<Resource, Status> {
        let (instance, rest) = split(name)?;
        let rest = rest.strip_prefix("uploads/").ok_or_else(|| bad("there is no `uploads/` in it"))?;
        let (uuid, rest) = rest.split_once('/').ok_or_else(|| bad("nothing comes after `uploads/`"))?;
        if uuid.is_empty() {
            return Err(bad("the upload has no id"));
        }
        parse(access, instance, rest)
    }
}

fn bad(why: &str) -> Status {
    Status::invalid_argument(format!("not a resource name: {why}"))
}

/// The instance name, and what comes from the first reserved word on.
fn split(name: &str) -> Result<(&str, &str), Status> {
    if name.len() > MAX_LEN {
        return Err(bad("it is too long"));
    }
    let mut at = 0;
    for part in name.split('/') {
        if scope::RESERVED.contains(&part) {
            return Ok(name.split_at(at));
        }
        at += part.len() + 1;
    }
    Err(bad("there is no `blobs/` in it"))
}

/// What comes from `blobs/` or `compressed-blobs/` on.
fn parse(access: &Access, instance: &str, rest: &str) -> Result<Resource, Status> {
    let mut parts = rest.split('/');
    let compression = match parts.next() {
        Some("blobs") => Compression::Identity,
        Some("compressed-blobs") => match parts.next() {
            Some("identity") => Compression::Identity,
            Some("zstd") => Compression::Zstd,
            _ => return Err(bad("its compressor is not served here")),
        },
        _ => return Err(bad("there is no `blobs/` in it")),
    };
    let mut hash = parts.next().unwrap_or_default();
    let function = digest::FUNCTIONS.into_iter().find(|function| name_of(*function) == hash);
    if function.is_some() {
        hash = parts.next().unwrap_or_default();
    }
    let size = parts.next().and_then(size).ok_or_else(|| bad("a size in bytes has to follow the hash"))?;
    let digest = digest::parse(function, hash.as_bytes(), size)?;
    Ok(Resource { scope: scope::of_instance(access, instance)?, digest, compression })
}

/// How a digest function stands in a name.
fn name_of(function: DigestFunction) -> &'static str {
    match function {
        DigestFunction::Sha256 => "sha256",
        DigestFunction::Sha1 => "sha1",
        DigestFunction::Md5 => "md5",
        DigestFunction::Sha384 => "sha384",
        DigestFunction::Sha512 => "sha512",
        DigestFunction::Blake3 => "blake3",
    }
}

/// Digits and nothing else.
fn size(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn named(scope: &Scope) -> (&str, &str) {
        (scope.tenant.as_str(), scope.namespace.as_str())
    }

    #[test]
    fn names_are_understood_with_and_without_what_may_be_left_out() {
        for (instance, scope) in [
            ("", ("default", "default")),
            ("/", ("default", "default")),
            ("main/", ("default", "main")),
            ("acme/ios/", ("acme", "ios")),
            ("acme/ios/main/", ("acme", "ios/main")),
        ] {
            for form in ["blobs/", "blobs/sha256/", "compressed-blobs/identity/", "compressed-blobs/identity/sha256/"] {
                for file in ["", "/", "/file.txt", "/a/blobs/b"] {
                    let name = format!("{instance}{form}{HELLO}/5{file}");
                    let resource =
                        Resource::to_read(&Access::anyone(), &name).unwrap_or_else(|error| panic!("{name}: {error}"));
                    assert_eq!(named(&resource.scope), scope, "{name}");
                    assert_eq!((resource.digest.to_string().as_str(), resource.digest.size()), (HELLO, Some(5)));
                    let upload =
                        format!("{instance}uploads/0e8f3f2c-6b0c-4f5c-9a7b-6f1d6c7f8a90/{form}{HELLO}/5{file}");
                    assert_eq!(Resource::to_write(&Access::anyone(), &upload).ok(), Some(resource), "{upload}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in [
            "",
            "/",
            "main",
            "blobs",
            "blobs/",
            "blobs//5",
            "blobs/HASH",
            "blobs/HASH/",
            "blobs/HASH/-5",
            "blobs/HASH/+5",
            "blobs/HASH/5x",
            "blobs/HASH/9223372036854775808",
            "blobs/md5/HASH/5",
            "blobs/HASH0/5",
            "blobs/abc/5",
            "actions/HASH/5",
            "a/b//c/blobs/HASH/5",
            "../blobs/HASH/5",
            "compressed-blobs/HASH/5",
            "compressed-blobs/lzma/HASH/5",
            "uploads/id/blobs/HASH/5",
            &format!("{}/blobs/HASH/5", "x".repeat(5000)),
        ] {
            let name = name.replace("HASH", HELLO);
            assert!(Resource::to_read(&Access::anyone(), &name).is_err(), "{name}");
        }
        for name in [
            "blobs/HASH/5",
            "uploads/",
            "uploads/id",
            "uploads//blobs/HASH/5",
            "uploads/id/blobs/HASH",
            "uploads/id/x/blobs/HASH/5",
        ] {
            let name = name.replace("HASH", HELLO);
            assert!(Resource::to_write(&Access::anyone(), &name).is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_name_or_is_refused(name in "[a-z0-9/.-]{0,80}|\\PC{0,40}") {
            let _ = Resource::to_read(&Access::anyone(), &name);
            let _ = Resource::to_write(&Access::anyone(), &name);
        }

        #[test]
        fn what_is_printed_is_what_is_parsed(
            instance in "([a-z0-9]{1,8}/)?([a-z0-9]{1,8}/)?", hash in "[0-9a-f]{64}", size in 0..i64::MAX, id in "[a-z0-9-]{1,36}",
        ) {
            let resource = Resource::to_read(&Access::anyone(), &format!("{instance}blobs/{hash}/{size}")).unwrap();
            prop_assert_eq!(&resource.digest.to_string(), &hash);
            prop_assert_eq!(resource.digest.size(), Some(size as u64));
            let written = Resource::to_write(&Access::anyone(), &format!("{instance}uploads/{id}/blobs/{hash}/{size}")).unwrap();
            prop_assert_eq!(written, resource);
        }
    }
}
