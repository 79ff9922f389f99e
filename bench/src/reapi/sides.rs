//! The servers that take turns: the companion, Kura, and another endpoint if one is named.

use std::fmt;

use anyhow::Context;
use tempfile::TempDir;

use crate::Options;
use crate::process::Watched;
use crate::reapi::operation::Operation;
use crate::servers::Server;

/// 64 uploads of 256 MiB at a time may take half of it.
const CAPACITY: &str = "40GiB";

/// Which server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Kura,
    Target,
}

impl Kind {
    /// The companion first: the others are compared with it.
    pub(crate) const ALL: [Kind; 3] = [Kind::Plain, Kind::Kura, Kind::Target];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Plain => "plain",
            Kind::Kura => "Kura",
            Kind::Target => "target",
        })
    }
}

/// A server that is there for one operation.
pub(crate) struct Side {
    pub(crate) address: String,
    pub(crate) watched: Watched,
    /// What it had in memory before anything was asked of it, in bytes.
    idle: u64,
    /// If it is one of ours, with its data if it has some.
    _started: Option<(Server, Option<TempDir>)>,
}

impl Side {
    pub(crate) fn start(options: &Options, kind: Kind, operation: Operation) -> anyhow::Result<Side> {
        match kind {
            // What it is told to store it would keep in memory for good.
            Kind::Plain => Side::started(Server::plain(operation.stores())?, None),
            Kind::Kura => Side::kura(options, "always"),
            Kind::Target => {
                let target = options.target.as_deref().context("no target is named")?;
                let address = target.trim_start_matches("grpc://").to_owned();
                let watched = Watched { pids: options.target_pid.into_iter().collect() };
                let idle = watched.resident()?;
                Ok(Side { address, watched, idle, _started: None })
            }
        }
    }

    pub(crate) fn kura(options: &Options, durability: &str) -> anyhow::Result<Side> {
        let data = tempfile::tempdir_in(&options.directory)?;
        let server = Server::kura(options, data.path(), &["--capacity", CAPACITY, "--durability", durability])?;
        Side::started(server, Some(data))
    }

    fn started(server: Server, data: Option<TempDir>) -> anyhow::Result<Side> {
        let (address, watched) = (server.address.authority.clone(), server.watched.clone());
        Ok(Side { address, idle: watched.resident()?, watched, _started: Some((server, data)) })
    }

    /// The most that it ever had in memory beyond that, in MiB.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub(crate) fn grown(&self) -> anyhow::Result<f64> {
        Ok(self.watched.most_resident()?.saturating_sub(self.idle) as f64 / f64::from(1 << 20))
    }
}
