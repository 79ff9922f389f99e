//! The servers under measurement: Kura, and for comparison nginx and a plain gRPC server. Each on the server's core, each stopped when dropped.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::Options;
use crate::certificate::Certificate;
use crate::client::{Address, Client};
use crate::process::{Watched, on_server_core};

/// A server that takes longer to answer does not work.
const PATIENCE: Duration = Duration::from_secs(120);

const LOOK_EVERY: Duration = Duration::from_millis(1);

pub(crate) struct Server {
    child: Child,
    pub(crate) address: Address,
    pub(crate) watched: Watched,
    /// From its start until it was ready.
    pub(crate) started_in: Duration,
}

impl Server {
    /// Kura with its data in `data`.
    pub(crate) fn kura(options: &Options, data: &Path, flags: &[&str]) -> anyhow::Result<Server> {
        Server::kura_under(options, data, flags, None)
    }

    /// Kura under TLS.
    pub(crate) fn kura_under_tls(
        options: &Options,
        data: &Path,
        flags: &[&str],
        certificate: &Certificate,
    ) -> anyhow::Result<Server> {
        let [chain, key] = certificate.files();
        let flags = [flags, &["--tls-certificate", &chain, "--tls-key", &key]].concat();
        Server::kura_under(options, data, &flags, Some(certificate))
    }

    fn kura_under(
        options: &Options,
        data: &Path,
        flags: &[&str],
        certificate: Option<&Certificate>,
    ) -> anyhow::Result<Server> {
        let start = Instant::now();
        let mut command = on_server_core(&options.kura);
        command.args(["serve", "--listen", "127.0.0.1:0", "--min-free", "0", "--log-level", "warn"]);
        let child = command.arg("--data-dir").arg(data).args(flags).stdout(Stdio::piped()).spawn()?;
        let mut server = Server::announced(child, start)?;
        server.address.trusted = certificate.map(|certificate| Arc::clone(&certificate.trusted));
        server.wait_for("/ready")?;
        server.started_in = start.elapsed();
        Ok(server)
    }

    /// This program as the plain gRPC server. With `discard` it keeps no blobs.
    pub(crate) fn plain(discard: bool) -> anyhow::Result<Server> {
        let start = Instant::now();
        let mut command = on_server_core(&std::env::current_exe()?);
        command.arg("plain").args(discard.then_some("--discard"));
        Server::announced(command.stdout(Stdio::piped()).spawn()?, start)
    }

    /// A server that prints its address in its first line.
    fn announced(mut child: Child, start: Instant) -> anyhow::Result<Server> {
        let out = child.stdout.take().context("its output")?;
        let mut lines = BufReader::new(out).lines();
        let first = lines.next().context("the server did not start")??;
        let authority = first.rsplit_once("://").context("an unknown announcement")?.1.to_owned();
        let address = Address { authority, trusted: None, token: None };
        std::thread::spawn(move || lines.for_each(drop));
        let watched = Watched { pids: vec![child.id()] };
        Ok(Server { child, address, watched, started_in: start.elapsed() })
    }

    /// nginx with one worker that serves the files below `root`, as its documentation advises for static files; under TLS, if there is a certificate.
    pub(crate) fn nginx(
        options: &Options,
        root: &Path,
        scratch: &Path,
        certificate: Option<&Certificate>,
    ) -> anyhow::Result<Server> {
        let authority = "127.0.0.1:8391";
        let (ssl, tls) = certificate.map_or_else(Default::default, |certificate| {
            let [chain, key] = certificate.files();
            (" ssl", format!("ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;"))
        });
        let configuration = format!(
            "daemon off; master_process off; worker_processes 1; pid {scratch}/pid; error_log {scratch}/error.log;
             events {{ worker_connections 1024; }}
             http {{
               access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 100000000; keepalive_timeout 600;
               default_type application/octet-stream; client_body_temp_path {scratch}/body; proxy_temp_path {scratch}/proxy;
               fastcgi_temp_path {scratch}/fastcgi; uwsgi_temp_path {scratch}/uwsgi; scgi_temp_path {scratch}/scgi;
               server {{ listen {authority}{ssl}; {tls} root {root}; }}
             }}",
            scratch = scratch.display(),
            root = root.display(),
        );
        let file = scratch.join("nginx.conf");
        std::fs::write(&file, configuration)?;
        let child = on_server_core(&options.nginx)
            .arg("-c")
            .arg(&file)
            .spawn()
            .context("nginx is needed: apt install nginx-light")?;
        let watched = Watched { pids: vec![child.id()] };
        let trusted = certificate.map(|certificate| Arc::clone(&certificate.trusted));
        let address = Address { authority: authority.to_owned(), trusted, token: None };
        let server = Server { child, address, watched, started_in: Duration::ZERO };
        let start = Instant::now();
        while Client::connect(&server.address).is_err() {
            if start.elapsed() > PATIENCE {
                bail!("nginx did not start");
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(server)
    }

    /// A token of a tenant's writer, made as an operator makes one.
    pub(crate) fn token(options: &Options, data: &Path, tenant: &str) -> anyhow::Result<String> {
        let mut command = Command::new(&options.kura);
        command.args(["token", "create", "--role", "writer", "--tenant", tenant, "--data-dir"]).arg(data);
        let output = command.output()?;
        anyhow::ensure!(output.status.success(), "no token: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    fn wait_for(&self, path: &str) -> anyhow::Result<()> {
        let start = Instant::now();
        while Client::connect(&self.address).and_then(|mut client| client.get(path)).is_err() {
            if start.elapsed() > PATIENCE {
                bail!("{} is not ready", self.address.authority);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// SIGTERM, and its end.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("it ended with {status}");
        }
        Ok(())
    }

    /// SIGKILL, and its end.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// nginx's version, as it says it.
pub(crate) fn nginx_version(options: &Options) -> String {
    let output = Command::new(&options.nginx).arg("-v").output();
    output.map_or_else(|_| "no nginx".to_owned(), |output| String::from_utf8_lossy(&output.stderr).trim().to_owned())
}
