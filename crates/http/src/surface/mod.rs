//! Which path belongs to which surface: one table. A surface says what a path names and how its clients want it answered; what is done
//! about it is the same for all (`exchange`).

pub(crate) mod action_json;
mod admin;
mod bazel;
mod ccache;
mod generic;
mod gradle;
mod metro;
mod nx;
pub(crate) mod s3;
pub(crate) mod tuist;
pub(crate) mod turborepo;
pub(crate) mod webdav;

use std::sync::Arc;

use http::header::HeaderMap;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use kura_auth::{Access, Need};
use kura_cache::{ArtifactKey, AttributeName, Attributes, InvalidKey, Scope, Version};

use crate::answer::Answer;
use crate::body::Arriving;
use crate::error::Refusal;
use crate::openapi::route::Route;
use crate::settings::ServerSettings;
use crate::site::Site;
use crate::{page, scope};

/// Who is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    Bazel,
    Gradle,
    Ccache,
    Generic,
    Metro,
    Nx,
    S3,
    Turborepo,
    Webdav,
    /// Tuist's `cas`.
    Xcode,
    /// Tuist's `keyvalue`.
    KeyValue,
    TuistGradle,
    /// Tuist's `module`.
    Module,
    /// Tuist's `clean`.
    Clean,
    /// What is removed whatever its surface.
    Admin,
    /// People, probes and what is nobody's.
    Page,
}

impl Surface {
    pub(crate) const ALL: [Surface; 16] = [
        Surface::Bazel,
        Surface::Gradle,
        Surface::Ccache,
        Surface::Generic,
        Surface::Metro,
        Surface::Nx,
        Surface::S3,
        Surface::Turborepo,
        Surface::Webdav,
        Surface::Xcode,
        Surface::KeyValue,
        Surface::TuistGradle,
        Surface::Module,
        Surface::Clean,
        Surface::Admin,
        Surface::Page,
    ];

    /// The name that metrics use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Surface::Bazel => "bazel",
            Surface::Gradle => "gradle",
            Surface::Ccache => "ccache",
            Surface::Generic => "http",
            Surface::Metro => "metro",
            Surface::Nx => "nx",
            Surface::S3 => "s3",
            Surface::Turborepo => "turborepo",
            Surface::Webdav => "webdav",
            Surface::Xcode => "xcode",
            Surface::KeyValue => "keyvalue",
            Surface::TuistGradle => "tuist-gradle",
            Surface::Module => "module",
            Surface::Clean => "clean",
            Surface::Admin => "admin",
            Surface::Page => "page",
        }
    }

    /// How its clients want to be answered.
    pub(crate) fn manner(self) -> &'static Manner {
        match self {
            Surface::Bazel => &bazel::MANNER,
            Surface::Gradle => &gradle::MANNER,
            Surface::Ccache => &ccache::MANNER,
            Surface::Generic | Surface::Page => &generic::MANNER,
            Surface::Metro => &metro::MANNER,
            Surface::Nx => &nx::MANNER,
            Surface::S3 => &s3::MANNER,
            Surface::Turborepo => &turborepo::MANNER,
            Surface::Webdav => &webdav::MANNER,
            Surface::Xcode => &tuist::cas::MANNER,
            Surface::KeyValue => &tuist::keyvalue::MANNER,
            Surface::TuistGradle => &tuist::gradle::MANNER,
            Surface::Module => &tuist::module::MANNER,
            Surface::Clean => &tuist::clean::MANNER,
            Surface::Admin => &admin::MANNER,
        }
    }

    /// What it serves, as it is described. S3 is described elsewhere, by those whose it is.
    pub(crate) fn routes(self) -> &'static [Route] {
        match self {
            Surface::Bazel => bazel::ROUTES,
            Surface::Gradle => gradle::ROUTES,
            Surface::Ccache => ccache::ROUTES,
            Surface::Generic => generic::ROUTES,
            Surface::Metro => metro::ROUTES,
            Surface::Nx => nx::ROUTES,
            Surface::S3 => &[],
            Surface::Turborepo => turborepo::ROUTES,
            Surface::Webdav => webdav::ROUTES,
            Surface::Xcode => tuist::cas::ROUTES,
            Surface::KeyValue => tuist::keyvalue::ROUTES,
            Surface::TuistGradle => tuist::gradle::ROUTES,
            Surface::Module => tuist::module::ROUTES,
            Surface::Clean => tuist::clean::ROUTES,
            Surface::Admin => admin::ROUTES,
            Surface::Page => page::ROUTES,
        }
    }

    /// The surface that `path` belongs to.
    pub(crate) fn of(path: &str) -> Surface {
        if path.starts_with("/http/") || path == "/http" {
            Surface::Generic
        } else if admin::owns(path) {
            Surface::Admin
        } else if path.starts_with("/ccache/") {
            Surface::Ccache
        } else if s3::owns(path) {
            Surface::S3
        } else if webdav::owns(path) {
            Surface::Webdav
        } else if turborepo::owns(path) {
            Surface::Turborepo
        } else if nx::owns(path) {
            Surface::Nx
        } else if metro::owns(path) {
            Surface::Metro
        } else if let Some(surface) = tuist::of(path) {
            surface
        } else if gradle::owns(path) {
            Surface::Gradle
        } else if bazel::owns(path) {
            Surface::Bazel
        } else {
            Surface::Page
        }
    }

    /// What a request needs of whoever makes it. Of a surface that says nothing else, by its method.
    pub(crate) fn need(self, method: &Method, path: &str) -> Need {
        match (self, method.as_str()) {
            (Surface::Page, _) => page::need(path),
            // Each operation says what it needs, once its signature has held.
            (Surface::S3, _) => Need::Nothing,
            // Which methods there are: browsers ask before they say who they are.
            (_, "OPTIONS") => Need::Nothing,
            (_, "GET" | "HEAD" | "PROPFIND") => Need::Read,
            // A question about many artifacts, and events that nothing is made of.
            (Surface::Turborepo, "POST") => Need::Read,
            (_, "DELETE") => Need::Administer,
            _ => Need::Write,
        }
    }

    /// A refusal as the surface's clients take it best: who may not store is to go on fetching.
    pub(crate) fn soften(self, mut refusal: Refusal, need: Need) -> Refusal {
        if need == Need::Write && refusal.status == StatusCode::FORBIDDEN {
            refusal.status = self.manner().not_for_readers;
        }
        refusal
    }

    /// The answer to a request that is about no artifact, but about the surface, or about one in another form; nothing for all
    /// others.
    ///
    /// # Errors
    /// Whatever is refused.
    pub(crate) async fn aside(
        self,
        site: &Arc<Site>,
        access: &Access,
        parts: &Parts,
        body: &mut Arriving<'_>,
    ) -> Result<Option<Response<Answer>>, Refusal> {
        match self {
            // They are rare: other requests do not carry their state.
            Surface::Bazel if bazel::is_result(parts.uri.path(), &site.settings.opaque_prefixes) => {
                let key = || {
                    let (path, query) = (parts.uri.path(), parts.uri.query());
                    Ok(self.key(path, query, &self.scope(access, path, query)?, &site.settings)?)
                };
                Box::pin(action_json::answer(site, access, parts, key, body)).await
            }
            Surface::Generic if generic::is_namespace(parts.uri.path()) => {
                Box::pin(generic::list::answer(site, access, parts)).await.map(Some)
            }
            Surface::S3 => Box::pin(s3::answer(site, parts, body)).await.map(Some),
            Surface::Turborepo => Box::pin(turborepo::aside(site, access, parts, body)).await,
            Surface::Webdav => Box::pin(webdav::aside(site, access, parts)).await,
            Surface::KeyValue => Box::pin(tuist::keyvalue::aside(site, access, parts, body)).await,
            Surface::Module => Box::pin(tuist::module::aside(site, access, parts, body)).await,
            Surface::Clean => Box::pin(tuist::clean::aside(site, access, parts)).await,
            Surface::Admin => Box::pin(admin::aside(site, access, parts)).await,
            _ => Ok(None),
        }
    }

    /// Where a request acts.
    ///
    /// # Errors
    /// For names that are none, and those that are out of reach.
    pub(crate) fn scope(self, access: &Access, path: &str, query: Option<&str>) -> Result<Scope, Refusal> {
        let mut named = match self {
            Surface::Turborepo => turborepo::named(query)?,
            _ => scope::named(query, &[])?,
        };
        if self == Surface::Generic {
            named.namespace = Some(generic::namespace(path)?);
        }
        Ok(access.scope(named)?)
    }

    /// The artifact that `path` names, on some surfaces with `query`. `scope` is where it acts.
    ///
    /// # Errors
    /// For what is no key here.
    pub(crate) fn key(
        self,
        path: &str,
        query: Option<&str>,
        scope: &Scope,
        settings: &ServerSettings,
    ) -> Result<ArtifactKey, InvalidKey> {
        match self {
            Surface::Bazel => bazel::key(path, scope, &settings.opaque_prefixes),
            Surface::Gradle => gradle::key(path, scope),
            Surface::Ccache => ccache::key(path, scope),
            Surface::Generic => generic::key(path, scope),
            Surface::Metro => metro::key(path, scope),
            Surface::Nx => nx::key(path, scope),
            Surface::Turborepo => turborepo::key(path, scope),
            Surface::Webdav => webdav::key(path, scope),
            Surface::Xcode => tuist::cas::key(path, scope),
            Surface::KeyValue => tuist::keyvalue::key(path, scope),
            Surface::TuistGradle => tuist::gradle::key(path, scope),
            Surface::Module => tuist::module::key(path, query, scope),
            Surface::S3 | Surface::Clean | Surface::Admin | Surface::Page => Err(InvalidKey::Empty),
        }
    }
}

/// How a surface's clients want to be answered.
pub(crate) struct Manner {
    /// What bodies are, where they do not say so themselves.
    pub(crate) content_type: &'static str,
    /// The headers of an upload that are kept and given back, in lowercase.
    pub(crate) keeps: &'static [(&'static str, AttributeName)],
    /// Further headers of an answer that gives or describes an artifact.
    pub(crate) describe: fn(&mut HeaderMap, Version, &Attributes),
    /// What may be done.
    pub(crate) allow: &'static str,
    pub(crate) may_delete: bool,
    /// Whether what is there may be written again.
    pub(crate) may_overwrite: bool,
    /// The method that stores.
    pub(crate) saves: &'static str,
    /// The header, if any, that says the SHA-256 of an upload's body.
    pub(crate) checksum: Option<&'static str>,
    /// The status and the body, which is JSON, of an upload's answer.
    pub(crate) stored: (StatusCode, &'static str),
    /// The status where nothing was there before, if that is another.
    pub(crate) created: Option<StatusCode>,
    /// The status of an upload by somebody who may only fetch: one after which a build goes on, and goes on fetching.
    pub(crate) not_for_readers: StatusCode,
}

impl Manner {
    /// Bytes of that type that come and go, and are overwritten by whoever comes last: 200 and nothing else for those that were stored.
    pub(crate) const fn of(content_type: &'static str) -> Manner {
        Manner {
            content_type,
            keeps: &[],
            describe: |_, _, _| {},
            allow: "GET, HEAD, PUT",
            may_delete: false,
            may_overwrite: true,
            saves: "PUT",
            checksum: None,
            stored: (StatusCode::OK, ""),
            created: None,
            not_for_readers: StatusCode::FORBIDDEN,
        }
    }

    /// The same, and they can be deleted.
    pub(crate) const fn deletable(content_type: &'static str) -> Manner {
        Manner { allow: "GET, HEAD, PUT, DELETE", may_delete: true, ..Manner::of(content_type) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn each_path_belongs_to_one_surface() {
        let table = [
            ("/ac/HASH", Surface::Bazel),
            ("/cas/HASH", Surface::Bazel),
            ("/bazel/ac/HASH", Surface::Bazel),
            ("/a/b/c/cas/HASH", Surface::Bazel),
            ("/cache/cas/HASH", Surface::Bazel),
            ("/cache/0123456789abcdef0123456789abcdef", Surface::Gradle),
            ("/cache/", Surface::Gradle),
            ("/ccache/ab/cdef", Surface::Ccache),
            ("/ccache/ac/HASH", Surface::Ccache),
            ("/http/ns/cas/HASH", Surface::Generic),
            ("/http/ns/a/b", Surface::Generic),
            ("/http/ns", Surface::Generic),
            ("/http", Surface::Generic),
            ("/v8/artifacts/0123456789abcdef", Surface::Turborepo),
            ("/v8/artifacts", Surface::Turborepo),
            ("/v8/artifactsx", Surface::Page),
            ("/v1/cache/12345678901234567890", Surface::Nx),
            ("/v1/cache/cas/HASH", Surface::Bazel),
            ("/s3/bucket/a/cas/HASH", Surface::S3),
            ("/s3/bucket", Surface::S3),
            ("/s3", Surface::S3),
            ("/s3x/cas/HASH", Surface::Bazel),
            ("/metro/HASH", Surface::Metro),
            ("/metro/cas/HASH", Surface::Bazel),
            ("/api/metro/cache/HASH", Surface::Metro),
            ("/api/cache/cas/HASH", Surface::Xcode),
            ("/api/cache/casx/HASH", Surface::Page),
            ("/api/cache/ac/HASH", Surface::Bazel),
            ("/api/cache/keyvalue", Surface::KeyValue),
            ("/api/cache/keyvalue/0~abc", Surface::KeyValue),
            ("/api/cache/gradle/0123", Surface::TuistGradle),
            ("/api/cache/module/start", Surface::Module),
            ("/api/cache/clean", Surface::Clean),
            ("/admin/namespaces/ns", Surface::Admin),
            ("/admin/namespaces/ns/cas/HASH", Surface::Admin),
            ("/admin/namespaces", Surface::Page),
            ("/admin/cas/HASH", Surface::Bazel),
            ("/webdav/4/d/6/HASH", Surface::Webdav),
            ("/webdav/cas/HASH", Surface::Webdav),
            ("/webdav", Surface::Webdav),
            ("/", Surface::Page),
            ("/up", Surface::Page),
            ("/metrics", Surface::Page),
            ("/cacheable", Surface::Page),
            ("/ac", Surface::Page),
            ("/xac/HASH", Surface::Page),
        ];
        for (path, surface) in table {
            assert_eq!(Surface::of(&path.replace("HASH", HASH)), surface, "{path}");
        }
    }

    #[test]
    fn surfaces_stand_in_order() {
        for (at, surface) in Surface::ALL.into_iter().enumerate() {
            assert_eq!(surface as usize, at);
        }
    }
}
