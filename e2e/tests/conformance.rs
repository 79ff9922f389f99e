//! The conformance suite finds nothing in Kura, and in another server, buildbox-casd, exactly what is known of it.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;
use std::process::Command;

use kura_e2e::{Casd, Kura, run};

#[test]
fn kura_differs_in_nothing() {
    let mut kura = Kura::start(&["--capacity", "4GiB"]);
    check(kura.address(), "kura.toml");
    assert!(kura.stop().success());
}

#[test]
fn buildbox_casd_differs_in_what_is_known() {
    let casd = Casd::start(&[]);
    check(casd.address(), "buildbox-casd.toml");
}

/// Runs the suite against a server of which `known` lists the differences.
fn check(address: &str, known: &str) {
    let suite = std::env::var_os("CONFORMANCE_BIN").expect("CONFORMANCE_BIN names the suite: run `just e2e`");
    let known = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/known").join(known);
    let report = run(Command::new(suite).arg(format!("grpc://{address}")).arg("--expect").arg(known));
    assert!(report.contains("\nall "), "there is a table: {report}");
}
