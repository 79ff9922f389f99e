//! `kura put` and `head`. An upload that breaks off has to be sent again: the surface takes bodies whole.

use std::fs::File;
use std::io::stdin;
use std::path::Path;

use ureq::SendBody;
use ureq::http::StatusCode;

use super::progress::bar;
use super::{Failure, Target};

/// Stores a file, or standard input, whose length nobody knows before its end.
pub(super) fn put(target: &Target, path: &str, file: &Path) -> Result<(), Failure> {
    let url = target.url(path);
    // Who refuses does so before the body is sent: an answer behind one that nobody reads is lost with the connection.
    let expect = ("expect", "100-continue");
    let sent = if file == Path::new("-") {
        let bar = bar(None);
        target.send("PUT", &url, &[expect], SendBody::from_owned_reader(bar.wrap_read(stdin())))
    } else {
        let failed = |source| Failure::File { path: file.display().to_string(), source };
        let opened = File::open(file).map_err(failed)?;
        let length = opened.metadata().map_err(failed)?.len();
        let bar = bar(Some(length));
        let length = length.to_string();
        target.send(
            "PUT",
            &url,
            &[expect, ("content-length", &length)],
            SendBody::from_owned_reader(bar.wrap_read(opened)),
        )
    };
    let response = sent.map_err(|error| target.unreachable(&error))?;
    if response.status().is_success() {
        return Ok(());
    }
    match target.refused("PUT", &url, response) {
        // There is no miss of what is being stored.
        Failure::Miss(said) => Err(Failure::Refused(said)),
        other => Err(other),
    }
}

/// Prints the headers that say what an artifact is.
pub(super) fn head(target: &Target, path: &str) -> Result<(), Failure> {
    let url = target.url(path);
    let response = target.send("HEAD", &url, &[], SendBody::none()).map_err(|error| target.unreachable(&error))?;
    if response.status() != StatusCode::OK {
        return Err(target.refused("HEAD", &url, response));
    }
    for name in ["content-length", "content-type", "content-encoding", "etag"] {
        if let Some(value) = response.headers().get(name).and_then(|value| value.to_str().ok()) {
            println!("{name}: {value}");
        }
    }
    Ok(())
}
