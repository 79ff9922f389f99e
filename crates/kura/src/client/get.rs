//! `kura get`. A body goes to `FILE.part`, and becomes `FILE` once it is complete; what an earlier run left there is gone on with, as long as it is
//! of the same artifact: its `ETag` lies beside it, in `FILE.part.etag`.

use std::fs::{self, File};
use std::io::{self, Read, Write, stdout};
use std::path::{Path, PathBuf};

use ureq::http::header::{CONTENT_RANGE, ETAG};
use ureq::http::{Response, StatusCode};
use ureq::{Body, SendBody};

use super::progress::bar;
use super::{Failure, Target};

/// Bytes that are copied at a time.
const PIECE: usize = 64 << 10;

pub(super) fn get(target: &Target, path: &str, file: &Path) -> Result<(), Failure> {
    let url = target.url(path);
    if file == Path::new("-") {
        let response = target.send("GET", &url, &[], SendBody::none()).map_err(|error| target.unreachable(&error))?;
        return match response.status() {
            StatusCode::OK => copy(target, response, 0, &mut stdout().lock(), file),
            _ => Err(target.refused("GET", &url, response)),
        };
    }
    let part = Part::beside(file);
    let (have, tag) = part.left();
    let range = format!("bytes={have}-");
    let conditions = [("range", range.as_str()), ("if-range", tag.as_str())];
    let headers = if have > 0 { &conditions[..] } else { &[] };
    let response = target.send("GET", &url, headers, SendBody::none()).map_err(|error| target.unreachable(&error))?;
    match response.status() {
        StatusCode::PARTIAL_CONTENT if starts_at(&response, have) => part.fill(target, response, have, file),
        StatusCode::OK => part.fill(target, response, 0, file),
        // As long as the artifact already, or longer: it is of no use.
        StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
            part.forget();
            get(target, path, file)
        }
        _ => Err(target.refused("GET", &url, response)),
    }
}

/// Whether a part begins where it was asked to.
fn starts_at(response: &Response<Body>, have: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {have}-")))
}

/// A body that is not complete yet, and of what.
struct Part {
    body: PathBuf,
    tag: PathBuf,
}

impl Part {
    fn beside(file: &Path) -> Part {
        let with = |suffix: &str| {
            let mut name = file.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        Part { body: with(".part"), tag: with(".part.etag") }
    }

    /// How many bytes are there, and of which artifact. None, where that is not known.
    fn left(&self) -> (u64, String) {
        let length = fs::metadata(&self.body).map_or(0, |found| found.len());
        match fs::read_to_string(&self.tag) {
            // A weak one says that two bodies mean the same, not that they are.
            Ok(tag) if tag.starts_with('"') && !tag.contains(char::is_control) => (length, tag),
            _ => (0, String::new()),
        }
    }

    fn forget(&self) {
        let _ = fs::remove_file(&self.tag);
        let _ = fs::remove_file(&self.body);
    }

    /// Writes what comes behind the first `have` bytes, and gives the whole its name.
    fn fill(&self, target: &Target, response: Response<Body>, have: u64, file: &Path) -> Result<(), Failure> {
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |source| Failure::File { path, source }
        };
        let mut options = File::options();
        if have == 0 {
            // In this order: an old body never stands beside a new tag.
            let _ = fs::remove_file(&self.tag);
            options.write(true).create(true).truncate(true);
        } else {
            options.append(true);
        }
        let mut body = options.open(&self.body).map_err(failed(&self.body))?;
        if let Some(tag) = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()) {
            fs::write(&self.tag, tag).map_err(failed(&self.tag))?;
        }
        copy(target, response, have, &mut body, &self.body)?;
        body.sync_all().map_err(failed(&self.body))?;
        fs::rename(&self.body, file).map_err(failed(file))?;
        let _ = fs::remove_file(&self.tag);
        Ok(())
    }
}

fn copy(target: &Target, response: Response<Body>, have: u64, to: &mut impl Write, path: &Path) -> Result<(), Failure> {
    let mut body = response.into_body();
    let bar = bar(body.content_length().map(|length| length + have)).with_position(have);
    let mut from = bar.wrap_read(body.as_reader());
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => to.write_all(&piece[..count]).map_err(|source| written(source, path))?,
            Err(error) => return Err(target.unreachable(&ureq::Error::from(error))),
        }
    }
    to.flush().map_err(|source| written(source, path))
}

fn written(source: io::Error, path: &Path) -> Failure {
    Failure::File { path: path.display().to_string(), source }
}
