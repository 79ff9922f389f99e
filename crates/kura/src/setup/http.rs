//! What each client of HTTP sends, as it sends it, about an artifact that nobody else has.

use std::io::Cursor;

use sha2::{Digest, Sha256};
use ureq::http::Response;
use ureq::{Body, SendBody};

use super::explain;
use crate::client::{Failure, Target};

/// Statuses that clients take for "stored", where they do not say otherwise.
const STORED: &[u16] = &[200, 201, 202, 204];

/// Who stores need not be one who removes.
const MAY_DELETE: &[u16] = &[200, 204, 403];

/// One request, and the answers that the client takes.
struct Step {
    method: &'static str,
    path: String,
    headers: &'static [(&'static str, &'static str)],
    sends: Sends,
    takes: &'static [u16],
    /// Whether the artifact has to come back.
    returns: bool,
}

#[derive(Clone, Copy)]
enum Sends {
    Nothing,
    Artifact,
    /// Without a length.
    ArtifactInChunks,
    Text(&'static str),
}

fn ask(method: &'static str, path: &str, takes: &'static [u16]) -> Step {
    Step { method, path: path.to_owned(), headers: &[], sends: Sends::Nothing, takes, returns: false }
}

fn put(path: &str) -> Step {
    Step { sends: Sends::Artifact, ..ask("PUT", path, STORED) }
}

fn get(path: &str) -> Step {
    Step { returns: true, ..ask("GET", path, &[200]) }
}

/// The requests about an artifact of the client of that name; none, where it speaks gRPC only.
fn steps(name: &str, artifact: &[u8]) -> Vec<Step> {
    let hash: String = Sha256::digest(artifact).iter().map(|byte| format!("{byte:02x}")).collect();
    let (two, rest) = hash.split_at(2);
    match name {
        "bazel" => {
            let (ac, cas) = (format!("/bazel/ac/{hash}"), format!("/bazel/cas/{hash}"));
            vec![ask("GET", &ac, &[404]), put(&cas), get(&cas)]
        }
        "gradle" => {
            let path = format!("/cache/{}", &hash[..32]);
            let headers = &[("content-type", "application/vnd.gradle.build-cache-artifact.v1")];
            vec![Step { headers, ..put(&path) }, get(&path)]
        }
        "ccache" => {
            let path = format!("/ccache/{two}/{}", &rest[..38]);
            vec![ask("GET", &path, &[404]), put(&path), get(&path)]
        }
        "sccache" => {
            let [a, b, c] = [0, 1, 2].map(|at| &hash[at..=at]);
            let (directory, check) = (format!("/webdav/{a}/{b}/{c}/"), "/webdav/.sccache_check");
            let path = format!("{directory}{hash}");
            vec![
                ask("GET", check, &[200, 404]),
                Step { sends: Sends::Text("Hello, World!"), ..put(check) },
                Step { headers: &[("depth", "0")], ..ask("PROPFIND", &directory, &[207, 404]) },
                ask("MKCOL", &directory, &[201, 405]),
                Step { takes: &[200, 201, 204], ..put(&path) },
                get(&path),
            ]
        }
        "turbo" => {
            let path = format!("/v8/artifacts/{}?slug=my-team", &hash[..16]);
            let headers = &[("content-type", "application/octet-stream"), ("x-artifact-duration", "1")];
            vec![ask("GET", "/v8/artifacts/status", &[200]), Step { headers, ..put(&path) }, get(&path)]
        }
        "nx" => {
            let path = format!("/v1/cache/{}", fastrand::u64(..));
            vec![ask("GET", &path, &[404]), Step { takes: &[200], ..put(&path) }, get(&path)]
        }
        "metro" => {
            let path = format!("/metro/{}{}", hash, &hash[..8]);
            vec![ask("GET", &path, &[404]), Step { sends: Sends::ArtifactInChunks, ..put(&path) }, get(&path)]
        }
        "http" => {
            let path = format!("/http/kura-setup/{hash}");
            vec![put(&path), ask("HEAD", &path, &[200]), get(&path), ask("DELETE", &path, MAY_DELETE)]
        }
        _ => Vec::new(),
    }
}

/// Does what the client of that name does.
pub(super) fn check(target: &Target, name: &str) -> Result<(), Failure> {
    let artifact = super::artifact();
    for step in steps(name, &artifact) {
        let url = target.url(&step.path);
        let response = match send(target, &step, &url, &artifact, step.headers) {
            Ok(response) => response,
            Err(error) => return Err(why_broken(target, &step, &url, &artifact, &error)),
        };
        if !step.takes.contains(&response.status().as_u16()) {
            return Err(explain::answer(target, step.method, &url, response));
        }
        if step.returns {
            let body = response.into_body().read_to_vec().map_err(|error| target.unreachable(&error))?;
            if body != artifact {
                return Err(explain::other_bytes(target, &url));
            }
        }
    }
    Ok(())
}

/// Who refuses an upload may close the connection before it has come: the answer is lost then. Asked whether to go on, the same server says why.
fn why_broken(target: &Target, step: &Step, url: &str, artifact: &[u8], error: &ureq::Error) -> Failure {
    let broken = target.unreachable(error);
    if matches!(step.sends, Sends::Nothing) {
        return broken;
    }
    let asking = [step.headers, &[("expect", "100-continue")]].concat();
    match send(target, step, url, artifact, &asking) {
        Ok(response) if !step.takes.contains(&response.status().as_u16()) => {
            explain::answer(target, step.method, url, response)
        }
        _ => broken,
    }
}

fn send(
    target: &Target,
    step: &Step,
    url: &str,
    artifact: &[u8],
    headers: &[(&str, &str)],
) -> Result<Response<Body>, ureq::Error> {
    let method = step.method;
    match step.sends {
        Sends::Nothing => target.send(method, url, headers, SendBody::none()),
        Sends::Artifact => target.send(method, url, headers, artifact),
        Sends::ArtifactInChunks => target.send(method, url, headers, SendBody::from_reader(&mut Cursor::new(artifact))),
        Sends::Text(text) => target.send(method, url, headers, text),
    }
}
