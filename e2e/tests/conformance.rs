//! The conformance suite finds nothing in Kura, and in another server, buildbox-casd, exactly what is known of it.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};

use kura_e2e::{Kura, run, until};
use tempfile::TempDir;

#[test]
fn kura_differs_in_nothing() {
    let mut kura = Kura::start(&["--capacity", "4GiB"]);
    check(kura.address(), "kura.toml");
    assert!(kura.stop().success());
}

#[test]
fn buildbox_casd_differs_in_what_is_known() {
    let casd = Casd::start();
    check(&casd.address, "buildbox-casd.toml");
}

/// Runs the suite against a server of which `known` lists the differences.
fn check(address: &str, known: &str) {
    let suite = std::env::var_os("CONFORMANCE_BIN").expect("CONFORMANCE_BIN names the suite: run `just e2e`");
    let known = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/known").join(known);
    let report = run(Command::new(suite).arg(format!("grpc://{address}")).arg("--expect").arg(known));
    assert!(report.contains("\nall "), "there is a table: {report}");
}

/// buildbox-casd as a cache of its own; it ends with this.
struct Casd {
    process: Child,
    address: String,
    _data: TempDir,
}

impl Casd {
    fn start() -> Casd {
        let data = tempfile::tempdir().unwrap();
        // It does not say which port it took, so that one is found for it.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let process = Command::new("buildbox-casd").arg(format!("--bind={address}")).arg(data.path()).spawn();
        let process = process.unwrap_or_else(|error| panic!("buildbox-casd: {error}: is it installed? See .ci/run"));
        let casd = Casd { process, address, _data: data };
        until("buildbox-casd to listen", || TcpStream::connect(&casd.address).is_ok());
        casd
    }
}

impl Drop for Casd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
