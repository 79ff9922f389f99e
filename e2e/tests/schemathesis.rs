//! The description of the API, held against the server by schemathesis: whatever it thinks of, no answer says that the server failed, and none is of another
//! kind than is described.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::process::Command;

use kura_e2e::{Kura, run};

/// How long it may think of requests.
const SECONDS: &str = "60";

/// Not among them: whether all that the description allows is accepted. It cannot say of what an artifact is, or whether it is there.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,unsupported_method,allow_header_conformance";

/// OpenAPI does not know the methods of WebDAV, which this one's `Allow` lists.
const NOT_ASKED: &str = "OPTIONS /webdav/{key}";

#[test]
fn every_answer_is_described_and_none_is_the_servers_failure() {
    let kura = Kura::start(&["--capacity", "256MiB", "--durability", "none"]);
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("schemathesis");
    // One worker: it parses its own source for messages, which two cannot do at a time.
    command.current_dir(directory.path()).args(["--no-color", "run", "--workers", "1", "--continue-on-failure"]);
    command.args([
        "--phases",
        "examples,coverage,fuzzing",
        "--max-time",
        SECONDS,
        "--checks",
        CHECKS,
        "--exclude-name",
        NOT_ASKED,
    ]);
    let said = run(command.arg(kura.url("/openapi.json")));
    let (_, summary) = said.split_once("= SUMMARY =").unwrap();
    println!("{summary}");
}
