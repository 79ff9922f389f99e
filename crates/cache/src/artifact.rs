//! What a client stores, and under which name: [`ArtifactKey`], made of a [`Scope`], a [`Kind`] and the client's own key.
//! Everything that comes from outside is checked here, once; from here on a key is known to be good.
//! Not here: how a protocol spells its keys (the adapters), how a key lies on disk (`kura-store`).

use std::borrow::Cow;
use std::fmt;

use kura_store::key::{KeyError, KeyGroup, MAX_KEY_LEN, MAX_NAME_LEN, NamespaceId, RecordKey};

use crate::digest::{Digest, DigestFunction};

/// The tenant and the namespace of whoever names none.
pub const DEFAULT_NAME: &str = "default";

/// The surface that an artifact came through. The numbers are on disk: they never change and are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Content-addressed blobs: immutable, verified on the way in.
    Cas = 1,
    /// Action results: served only while all that they name is there.
    Action = 2,
    /// Tuist's key-value entries.
    KeyValue = 3,
    /// Xcode's compilation cache.
    Xcode = 4,
    /// Gradle's build cache.
    Gradle = 5,
    /// Tuist's modules.
    Module = 6,
    /// Nx.
    Nx = 7,
    /// Metro.
    Metro = 8,
    /// Turborepo.
    Turborepo = 9,
    /// Generic HTTP.
    Http = 10,
    /// ccache.
    Ccache = 11,
    /// WebDAV, as sccache speaks it.
    Webdav = 12,
    /// What comes under `/ac/` of a prefix that is declared opaque: bytes that are no action results.
    Opaque = 13,
    /// What the Remote Asset API maps its URIs and qualifiers to.
    Asset = 14,
    /// S3's objects.
    S3 = 15,
    /// Multipart uploads: what each one is for.
    Upload = 16,
    /// Their parts.
    Part = 17,
    /// The values of LLVM's compilation cache; its objects are blobs.
    Llvm = 18,
    /// The readiness probe's own artifact.
    Probe = 255,
}

impl Kind {
    /// All of them, in order of number.
    pub const ALL: [Kind; 19] = [
        Kind::Cas,
        Kind::Action,
        Kind::KeyValue,
        Kind::Xcode,
        Kind::Gradle,
        Kind::Module,
        Kind::Nx,
        Kind::Metro,
        Kind::Turborepo,
        Kind::Http,
        Kind::Ccache,
        Kind::Webdav,
        Kind::Opaque,
        Kind::Asset,
        Kind::S3,
        Kind::Upload,
        Kind::Part,
        Kind::Llvm,
        Kind::Probe,
    ];

    /// The name that metrics and logs use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Cas => "cas",
            Kind::Action => "action",
            Kind::KeyValue => "keyvalue",
            Kind::Xcode => "xcode",
            Kind::Gradle => "gradle",
            Kind::Module => "module",
            Kind::Nx => "nx",
            Kind::Metro => "metro",
            Kind::Turborepo => "turborepo",
            Kind::Http => "http",
            Kind::Ccache => "ccache",
            Kind::Webdav => "webdav",
            Kind::Opaque => "opaque",
            Kind::Asset => "asset",
            Kind::S3 => "s3",
            Kind::Upload => "upload",
            Kind::Part => "part",
            Kind::Llvm => "llvm",
            Kind::Probe => "probe",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether clients store values of it under keys of their own.
    pub(crate) const fn is_keyed(self) -> bool {
        !matches!(self, Kind::Cas | Kind::Action | Kind::Upload | Kind::Part)
    }

    /// Its place in [`Kind::ALL`].
    pub(crate) const fn position(self) -> usize {
        match self {
            Kind::Probe => Kind::ALL.len() - 1,
            other => other as usize - 1,
        }
    }
}

/// Why a name or a key is refused. Its text goes to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// No bytes at all.
    #[error("the key is empty")]
    Empty,
    /// Above the store's limit.
    #[error("a key has at most {MAX_KEY_LEN} bytes")]
    TooLong,
    /// Bytes that no key may hold, or a whole that means a place in a tree.
    #[error("{0}")]
    Forbidden(&'static str),
    /// Not a digest.
    #[error("not a digest: {0}")]
    Digest(&'static str),
    /// Not a name.
    #[error(
        "a tenant has 1 to {MAX_NAME_LEN} bytes, no '/' and no control characters, and is neither '.' nor '..'; a namespace is one or more such names with '/' between them, of {MAX_NAME_LEN} bytes together"
    )]
    Name,
}

/// 1 to 255 bytes, no control characters; none of its parts between `/` is empty, `.` or `..`.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Name(Cow<'static, str>);

impl Name {
    fn parse(name: Cow<'static, str>) -> Result<Name, InvalidKey> {
        let bad = name.len() > MAX_NAME_LEN
            || name.chars().any(char::is_control)
            || name.split('/').any(|part| ["", ".", ".."].contains(&part));
        if bad { Err(InvalidKey::Name) } else { Ok(Name(name)) }
    }
}

/// Whose artifacts: nothing crosses a tenant. It holds no `/`, so that what stands before the first one can name it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tenant(Name);

impl Tenant {
    /// # Errors
    /// `Name`.
    pub fn parse(name: impl Into<Cow<'static, str>>) -> Result<Tenant, InvalidKey> {
        let name = Name::parse(name.into())?;
        if name.0.contains('/') { Err(InvalidKey::Name) } else { Ok(Tenant(name)) }
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.0
    }
}

/// Which part of a tenant's artifacts: what can be cleaned as one. `a/b` is not a part of `a`: they are two namespaces.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Namespace(Name);

impl Namespace {
    /// # Errors
    /// `Name`.
    pub fn parse(name: impl Into<Cow<'static, str>>) -> Result<Namespace, InvalidKey> {
        Name::parse(name.into()).map(Namespace)
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.0
    }
}

impl Default for Tenant {
    fn default() -> Tenant {
        Tenant(Name(Cow::Borrowed(DEFAULT_NAME)))
    }
}

impl Default for Namespace {
    fn default() -> Namespace {
        Namespace(Name(Cow::Borrowed(DEFAULT_NAME)))
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// What an overlay is called, beside the namespace that it lies over.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Overlay(Name);

impl Overlay {
    /// # Errors
    /// `Name`.
    pub fn parse(name: impl Into<Cow<'static, str>>) -> Result<Overlay, InvalidKey> {
        Name::parse(name.into()).map(Overlay)
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.0
    }
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// What stands between a namespace and an overlay's name in records. No name holds it, so that no request can name what is behind it.
pub(crate) const OVERLAY_MARK: char = '\u{1f}';

/// Where a request acts: one namespace of one tenant, or an overlay of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Whose.
    pub tenant: Tenant,
    /// Which part of it.
    pub namespace: Namespace,
    /// Which overlay of that, if one.
    pub overlay: Option<Overlay>,
}

impl Scope {
    pub(crate) fn namespace_id(&self) -> Result<NamespaceId, KeyError> {
        NamespaceId::new(self.tenant.as_str(), &self.stored_in())
    }

    /// The namespace that its records are in.
    fn stored_in(&self) -> Cow<'_, str> {
        let namespace = self.namespace.as_str();
        match &self.overlay {
            Some(overlay) => Cow::Owned(format!("{namespace}{OVERLAY_MARK}{}", overlay.as_str())),
            None => Cow::Borrowed(namespace),
        }
    }

    /// The record in the trusted namespace that stands for one of an overlay where it has none; nothing, if this is no overlay.
    pub(crate) fn below(&self, record: &RecordKey) -> Result<Option<RecordKey>, InvalidKey> {
        if self.overlay.is_none() {
            return Ok(None);
        }
        let below = RecordKey::new(record.kind(), self.tenant.as_str(), self.namespace.as_str(), record.key());
        below.map(Some).map_err(refused)
    }

    /// The trusted namespace that this is an overlay of; nothing, if it is none.
    pub(crate) fn trusted(&self) -> Option<Scope> {
        self.overlay.is_some().then(|| Scope { overlay: None, ..self.clone() })
    }
}

/// The name of one artifact. The way it was made says what it means: a blob is checked against its digest, an action result
/// against what it names, a keyed value against nothing.
#[derive(Clone)]
pub struct ArtifactKey {
    pub(crate) scope: Scope,
    pub(crate) meaning: Meaning,
    pub(crate) record: RecordKey,
}

/// What an artifact's bytes have to hold.
#[derive(Clone, Copy)]
pub(crate) enum Meaning {
    /// Bytes of this digest.
    Blob(Digest),
    /// An action result whose digests are of the same function as this action's.
    Action(Digest),
    /// Anything.
    Keyed(Kind),
}

impl ArtifactKey {
    /// Where it is.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// A content-addressed blob.
    ///
    /// # Errors
    /// `Name` or `TooLong`, where the scope does not fit a record.
    pub fn blob(scope: &Scope, digest: &Digest) -> Result<ArtifactKey, InvalidKey> {
        ArtifactKey::new(scope, Kind::Cas, digest.as_key(), Meaning::Blob(*digest))
    }

    /// The result of the action with that digest.
    ///
    /// # Errors
    /// As for [`ArtifactKey::blob`].
    pub fn action(scope: &Scope, action: &Digest) -> Result<ArtifactKey, InvalidKey> {
        ArtifactKey::new(scope, Kind::Action, action.as_key(), Meaning::Action(*action))
    }

    /// A value under a key that only its client understands; the last writer wins.
    ///
    /// # Errors
    /// `Empty`, `TooLong`, and `Forbidden` for keys that hold NUL.
    ///
    /// # Panics
    /// For the kinds that have constructors of their own: a keyed value must never pass for a verified blob.
    pub fn keyed(scope: &Scope, kind: Kind, key: &[u8]) -> Result<ArtifactKey, InvalidKey> {
        assert!(kind.is_keyed(), "{} is not a keyed kind", kind.name());
        if key.contains(&0) {
            return Err(InvalidKey::Forbidden("a key holds no NUL"));
        }
        ArtifactKey::new(scope, kind, key, Meaning::Keyed(kind))
    }

    /// The artifact of that kind that is called so: blobs and action results by the hexadecimal digits of their hash, whose number says the function;
    /// all others by their keys.
    ///
    /// # Errors
    /// As for [`ArtifactKey::blob`] and [`ArtifactKey::keyed`]; `Digest`; `Forbidden` for what only uploads have.
    pub fn named(scope: &Scope, kind: Kind, name: &[u8]) -> Result<ArtifactKey, InvalidKey> {
        let digest = || {
            let function =
                DigestFunction::of_hex_len(name.len()).ok_or(InvalidKey::Digest("no hash has so many digits"))?;
            Digest::from_hex(function, name).map_err(InvalidKey::Digest)
        };
        match kind {
            Kind::Cas => ArtifactKey::blob(scope, &digest()?),
            Kind::Action => ArtifactKey::action(scope, &digest()?),
            Kind::Upload | Kind::Part => Err(InvalidKey::Forbidden("uploads under way are nobody's artifacts")),
            keyed => ArtifactKey::keyed(scope, keyed, name),
        }
    }

    fn new(scope: &Scope, kind: Kind, key: &[u8], meaning: Meaning) -> Result<ArtifactKey, InvalidKey> {
        let record = record_key(scope, kind, key)?;
        Ok(ArtifactKey { scope: scope.clone(), meaning, record })
    }

    /// What its client called it.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.record.key()
    }

    /// The surface that it belongs to.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.meaning {
            Meaning::Blob(_) => Kind::Cas,
            Meaning::Action(_) => Kind::Action,
            Meaning::Keyed(kind) => kind,
        }
    }
}

/// What a blob is stored under.
///
/// # Errors
/// As for [`ArtifactKey::blob`].
pub(crate) fn blob_record(scope: &Scope, digest: &Digest) -> Result<RecordKey, InvalidKey> {
    record_key(scope, Kind::Cas, digest.as_key())
}

/// What all blobs of that function share in their keys.
///
/// # Errors
/// As for [`ArtifactKey::blob`].
pub(crate) fn blob_group(scope: &Scope, function: DigestFunction) -> Result<KeyGroup, InvalidKey> {
    let kind = kura_store::types::Kind(Kind::Cas as u8);
    let (start, rest) = ([function as u8], function.hash_len());
    KeyGroup::new(kind, scope.tenant.as_str(), &scope.stored_in(), &start, rest).map_err(refused)
}

/// What an artifact of that kind is stored under.
///
/// # Errors
/// As for [`ArtifactKey::keyed`].
pub(crate) fn record_key(scope: &Scope, kind: Kind, key: &[u8]) -> Result<RecordKey, InvalidKey> {
    if key.is_empty() {
        return Err(InvalidKey::Empty);
    }
    let kind = kura_store::types::Kind(kind as u8);
    RecordKey::new(kind, scope.tenant.as_str(), &scope.stored_in(), key).map_err(refused)
}

fn refused(error: KeyError) -> InvalidKey {
    match error {
        KeyError::NameLength => InvalidKey::Name,
        _ => InvalidKey::TooLong,
    }
}

impl fmt::Debug for ArtifactKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.record.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_distinct_numbers_names_and_places() {
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind.position(), at);
            for other in &Kind::ALL[at + 1..] {
                assert_ne!(kind as u8, *other as u8);
                assert_ne!(kind.name(), other.name());
            }
        }
    }

    #[test]
    fn names_that_mean_a_place_or_do_not_fit_are_refused() {
        for bad in ["", ".", "..", "a/b", "a\0b", "a\nb", &"x".repeat(256)] {
            assert_eq!(Tenant::parse(bad.to_owned()), Err(InvalidKey::Name), "{bad:?}");
        }
        assert_eq!(Namespace::parse("größe").unwrap().as_str(), "größe");
        assert_eq!(Namespace::parse("a/b.c/..d").unwrap().as_str(), "a/b.c/..d");
        for bad in ["", ".", "..", "/", "a/", "/a", "a//b", "a/../b", "a/.", "a\0/b", &format!("a/{}", "x".repeat(254))]
        {
            assert_eq!(Namespace::parse(bad.to_owned()), Err(InvalidKey::Name), "{bad:?}");
        }
    }

    #[test]
    fn keys_that_are_empty_too_long_or_hold_nul_are_refused() {
        let keyed = |key: &[u8]| ArtifactKey::keyed(&Scope::default(), Kind::Http, key).map(|key| key.kind());
        assert_eq!(keyed(b""), Err(InvalidKey::Empty));
        assert_eq!(keyed(&[b'x'; 1025]), Err(InvalidKey::TooLong));
        assert!(matches!(keyed(b"a\0"), Err(InvalidKey::Forbidden(_))));
        assert_eq!(keyed(&[b'x'; 1024]), Ok(Kind::Http));
    }

    #[test]
    #[should_panic(expected = "not a keyed kind")]
    fn a_keyed_value_cannot_pass_for_a_blob() {
        let _ = ArtifactKey::keyed(&Scope::default(), Kind::Cas, b"k");
    }
}
