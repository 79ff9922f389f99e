//! buildbox-casd as a child process: a cache of its own, or a proxy in front of another one.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};

use tempfile::TempDir;

use crate::wait::until;

/// A running buildbox-casd with an empty cache; both end with this.
pub struct Casd {
    process: Child,
    address: String,
    _data: TempDir,
}

impl Casd {
    /// Starts it.
    ///
    /// # Panics
    /// If it is not installed, or does not listen.
    #[must_use]
    pub fn start(flags: &[String]) -> Casd {
        let data = tempfile::tempdir().unwrap();
        // It does not say which port it took, so that one is found for it.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut command = Command::new("buildbox-casd");
        let process = command.arg(format!("--bind={address}")).args(flags).arg(data.path()).spawn();
        let process = process.unwrap_or_else(|error| panic!("buildbox-casd: {error}: is it installed? See .ci/run"));
        let casd = Casd { process, address, _data: data };
        until("buildbox-casd to listen", || TcpStream::connect(&casd.address).is_ok());
        casd
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Casd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
