//! What is asked of a blob that is fetched from its origin, by qualifiers: `checksum.sri`, a hash as Subresource Integrity writes it. Bazel's canonical id
//! only tells assets apart. A qualifier that says anything else would have to be obeyed, so it is refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bazel_remote_apis::build::bazel::remote::asset::v1::Qualifier;
use kura_cache::{DigestFunction, Verifier};
use tonic::Status;

use crate::status;

const CHECKSUM: &str = "checksum.sri";
const CANONICAL_ID: &str = "bazel.canonical_id";

/// The functions of Subresource Integrity.
const FUNCTIONS: [(&str, DigestFunction); 3] =
    [("sha256", DigestFunction::Sha256), ("sha384", DigestFunction::Sha384), ("sha512", DigestFunction::Sha512)];

/// A hash that content has to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checksum {
    function: DigestFunction,
    hash: Vec<u8>,
}

impl Checksum {
    /// The checksum that qualifiers ask for, if they do.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for one that is none, and for qualifiers that are not obeyed, all of which it names.
    pub(super) fn wanted(qualifiers: &[Qualifier]) -> Result<Option<Checksum>, Status> {
        let known = |qualifier: &&Qualifier| [CHECKSUM, CANONICAL_ID].contains(&qualifier.name.as_str());
        let unknown: Vec<&str> =
            qualifiers.iter().filter(|qualifier| !known(qualifier)).map(|qualifier| qualifier.name.as_str()).collect();
        if !unknown.is_empty() {
            return Err(status::unsupported_qualifiers(&unknown));
        }
        let Some(said) = qualifiers.iter().find(|qualifier| qualifier.name == CHECKSUM) else { return Ok(None) };
        let refused =
            || Status::invalid_argument("checksum.sri is one of sha256-, sha384- or sha512- and a hash in Base64");
        Checksum::parse(&said.value).map(Some).ok_or_else(refused)
    }

    /// What stands behind a `?` are options, of which there are none yet.
    fn parse(text: &str) -> Option<Checksum> {
        let (name, rest) = text.trim().split_once('-')?;
        let (_, function) = FUNCTIONS.into_iter().find(|(known, _)| *known == name)?;
        let hash = STANDARD.decode(rest.split('?').next()?).ok()?;
        (hash.len() == function.hash_len()).then_some(Checksum { function, hash })
    }

    /// What to show the content to.
    pub(super) fn verifier(&self) -> Verifier {
        Verifier::new(self.function)
    }

    /// Whether that content has this hash.
    pub(super) fn is_of(&self, shown: Verifier) -> bool {
        shown.finish().hash() == self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";

    fn wanted(pairs: &[(&str, &str)]) -> Result<Option<Checksum>, Status> {
        let qualifiers = pairs.iter().map(|(name, value)| Qualifier { name: (*name).into(), value: (*value).into() });
        Checksum::wanted(&qualifiers.collect::<Vec<_>>())
    }

    #[test]
    fn a_checksum_is_that_of_its_content_and_of_no_other() {
        for written in [HELLO.to_owned(), format!(" {HELLO} "), format!("{HELLO}?option")] {
            let checksum = wanted(&[("bazel.canonical_id", "x"), (CHECKSUM, &written)]).unwrap().unwrap();
            for (content, same) in [(&b"hello"[..], true), (b"hallo", false), (b"", false)] {
                let mut verifier = checksum.verifier();
                verifier.update(content);
                assert_eq!(checksum.is_of(verifier), same);
            }
        }
        assert_eq!(wanted(&[("bazel.canonical_id", "x")]).unwrap(), None);
    }

    #[test]
    fn every_function_of_subresource_integrity_is_understood() {
        for (name, function) in FUNCTIONS {
            let written = format!("{name}-{}", STANDARD.encode(vec![7; function.hash_len()]));
            assert_eq!(Checksum::parse(&written).unwrap().function, function);
            assert_eq!(Checksum::parse(&format!("{name}-{}", STANDARD.encode([7; 16]))), None, "another length");
        }
    }

    #[test]
    fn what_is_no_checksum_is_refused() {
        let two = format!("{HELLO} {HELLO}");
        for written in
            ["", "sha256", "sha256-", "sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00=", "md5-XUFAKrxLKna5cZ2REBfFkg==", &two]
        {
            assert_eq!(wanted(&[(CHECKSUM, written)]).unwrap_err().code(), tonic::Code::InvalidArgument, "{written}");
        }
    }
}
