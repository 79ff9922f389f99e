//! What a stranger does first, and every refusal that could meet them: each says what to do.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::process::Command;

use kura_e2e::{Kura, kura_binary, run, run_for_status, until};

/// Starts a server that has to refuse; returns what it said.
fn refusal(arguments: &[&str]) -> String {
    let (status, text) = run_for_status(Command::new(kura_binary()).env_clear().arg("serve").args(arguments));
    assert_eq!(status.code(), Some(1), "{text}");
    text
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn it_serves_without_configuration_and_prints_what_to_paste() {
    let kura = Kura::start(&[]);
    let address = kura.address();
    until("the announcement", || kura.printed().contains("Ctrl-C"));
    let printed = kura.printed();
    for line in [
        format!("build --remote_cache=grpc://{address}"),
        format!("build --remote_cache=http://{address}/bazel"),
        format!("url = 'http://{address}/cache/'"),
        format!("remote_storage = http://{address}/ccache"),
        format!("dashboard   http://{address}/"),
    ] {
        assert!(printed.contains(&line), "{line}\nis missing in\n{printed}");
    }
    let page = kura.get("/");
    assert_eq!(page.status, 200);
    assert!(page.text().contains(&format!("http://{address}/bazel")));
    assert!(kura.data().join("STORE").exists(), "the data is in the home directory");
}

#[test]
fn a_second_process_is_told_who_holds_the_directory() {
    let kura = Kura::start(&["--capacity", "256MiB"]);
    let text = refusal(&["--listen", "127.0.0.1:0", "--data-dir", kura.data().to_str().unwrap()]);
    assert!(text.contains(&format!("process {}", kura.pid())) && text.contains("--data-dir"), "{text}");
}

#[test]
fn a_taken_port_is_named() {
    let kura = Kura::start(&["--capacity", "256MiB"]);
    let other = directory();
    let text = refusal(&["--listen", kura.address(), "--data-dir", other.path().to_str().unwrap()]);
    assert!(text.contains(kura.address()) && text.contains("--listen"), "{text}");
}

#[test]
fn a_capacity_below_the_minimum_is_refused() {
    let data = directory();
    let text =
        refusal(&["--listen", "127.0.0.1:0", "--capacity", "100MiB", "--data-dir", data.path().to_str().unwrap()]);
    assert!(text.contains("136 MiB") && text.contains("--capacity"), "{text}");
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    let text = refusal(&["--listen", "127.0.0.1:0", "--data-dir", "/proc/kura"]);
    assert!(text.contains("/proc/kura") && text.contains("--data-dir"), "{text}");
}

#[test]
fn a_newer_format_is_refused() {
    let mut kura = Kura::start(&["--capacity", "256MiB"]);
    kura.kill();
    let path = kura.data().join("STORE");
    let mut bytes = std::fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    for copy in bytes.chunks_mut(half) {
        // docs/format.md: the version stands at 8, the checksum of what is before it at 64.
        copy[8] = 9;
        let sum = crc_fast::crc32_iscsi(&copy[..64]);
        copy[64..68].copy_from_slice(&sum.to_le_bytes());
    }
    std::fs::write(&path, bytes).unwrap();
    let text = refusal(&["--listen", "127.0.0.1:0", "--data-dir", kura.data().to_str().unwrap()]);
    assert!(text.contains("version 9") && text.contains("newer"), "{text}");
}

#[test]
fn an_unknown_setting_is_refused_with_the_nearest_one() {
    let scratch = directory();
    let file = scratch.path().join("kura.toml");
    std::fs::write(&file, "capactiy = '1GiB'\n").unwrap();
    let text = refusal(&["--config", file.to_str().unwrap()]);
    assert!(text.contains("`capactiy`") && text.contains("`capacity`"), "{text}");
}

#[test]
fn config_prints_what_is_in_force_and_where_it_came_from() {
    let mut command = Command::new(kura_binary());
    let text = run(command.args(["config", "--lease", "2h"]).env_clear().env("KURA_CAPACITY", "20GiB"));
    let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("lease").contains("2h") && line("lease").contains("command line"), "{text}");
    assert!(line("capacity").contains("20GiB") && line("capacity").contains("environment"), "{text}");
    assert!(line("listen").contains("127.0.0.1:8380") && line("listen").contains("defaults"), "{text}");
}
