//! What a process has cost, as the kernel counts it, and which machine this is.

use std::fs::read_to_string;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use rustix::param::clock_ticks_per_second;
use rustix::thread::{CpuSet, sched_setaffinity};

/// The server's core and the client's.
pub(crate) const SERVER_CORE: usize = 0;
pub(crate) const CLIENT_CORE: usize = 1;

/// A process that is watched, and those it has started.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) pids: Vec<u32>,
}

impl Watched {
    /// Seconds of processor time so far, in the program and in the kernel.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let mut ticks = 0;
        for pid in &self.pids {
            let stat = read_to_string(format!("/proc/{pid}/stat"))?;
            let fields = stat.rsplit_once(") ").context("an unknown form of stat")?.1;
            ticks += fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        Ok(ticks as f64 / clock_ticks_per_second() as f64)
    }

    /// Bytes that it has sent towards the device.
    pub(crate) fn written_bytes(&self) -> anyhow::Result<u64> {
        self.sum("io", "write_bytes:")
    }

    /// Its resident memory now, in bytes.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        Ok(self.sum("status", "VmRSS:")? << 10)
    }

    /// The most that was ever resident, in bytes.
    pub(crate) fn most_resident(&self) -> anyhow::Result<u64> {
        Ok(self.sum("status", "VmHWM:")? << 10)
    }

    fn sum(&self, file: &str, key: &str) -> anyhow::Result<u64> {
        let mut sum = 0;
        for pid in &self.pids {
            let text = read_to_string(format!("/proc/{pid}/{file}"))?;
            let line = text.lines().find_map(|line| line.strip_prefix(key)).with_context(|| format!("no {key}"))?;
            sum += line.split_whitespace().next().and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(sum)
    }
}

/// Keeps this process, and what it starts from here on, on the client's core.
pub(crate) fn pin_client() -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(CLIENT_CORE);
    sched_setaffinity(None, &cores).context("two cores are needed")
}

/// Lets this thread, which is neither the client nor the server, run wherever there is time.
pub(crate) fn on_both_cores() -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    [CLIENT_CORE, SERVER_CORE].into_iter().for_each(|core| cores.set(core));
    sched_setaffinity(None, &cores).context("two cores are needed")
}

/// A command on the server's core.
pub(crate) fn on_server_core(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &SERVER_CORE.to_string()]).arg(program);
    command
}

/// Prints what the figures are of: the machine, its filesystem, and what else they depend on. How loopback is paced shifts the cost of long bodies by a fifth;
/// memory that is free may be memory that a virtual machine has yet to be given, page by page, by whoever writes to it.
pub(crate) fn describe(directory: &Path) -> anyhow::Result<()> {
    let info = read_to_string("/proc/cpuinfo")?;
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read_to_string("/proc/sys/kernel/osrelease")?;
    let df = Command::new("df").arg("--output=source,fstype,avail").arg("-h").arg(directory).output()?;
    let df = String::from_utf8_lossy(&df.stdout).lines().nth(1).unwrap_or_default().to_owned();
    println!("machine: {}, {cores} cores, Linux {}", model.trim_start_matches([':', '\t', ' ']), kernel.trim());
    println!("data: {} ({})", directory.display(), df.split_whitespace().collect::<Vec<_>>().join(" "));
    let memory = read_to_string("/proc/meminfo")?;
    let free = memory.lines().find_map(|line| line.strip_prefix("MemFree:")).unwrap_or("unknown");
    let paced = read_to_string("/proc/sys/net/ipv4/tcp_congestion_control")?;
    println!("memory free: {}, TCP congestion control: {}", free.trim(), paced.trim());
    println!("load before: {}", read_to_string("/proc/loadavg")?.trim());
    Ok(())
}
