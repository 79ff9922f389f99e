//! What each client does when the cache does not: it is refused, misses, stalls or is down. Each build has something new to build, so that it asks and
//! stores. What came of it is the table in the client's page; `KURA_WRITE_DOCS=1` writes it there.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod bazel;
mod compilers;
mod gradle;
mod node;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use kura_e2e::{Fault, FaultProxy, Kura, On, S3, run_within};

/// No build takes as long that does not wait for an answer.
const PATIENCE: Duration = Duration::from_secs(40);

const FAULTS: [(&str, Fault); 6] = [
    ("403", Fault::Status(403)),
    ("404", Fault::Status(404)),
    ("413", Fault::Status(413)),
    ("429", Fault::Status(429)),
    ("500", Fault::Status(500)),
    ("no answer", Fault::Stall),
];

/// Behind a table.
const END: &str = "<!-- end -->";

/// What a build came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    Passes,
    Fails,
    /// It was still waiting when patience had ended.
    Waits,
}

impl Came {
    fn text(self) -> &'static str {
        match self {
            Came::Passes => "passes",
            Came::Fails => "fails",
            Came::Waits => "waits on",
        }
    }
}

/// Runs a build to its end, or to that of patience.
fn came_of(command: &mut Command, patience: Duration) -> Came {
    let (status, text) = run_within(command, patience);
    let came = status.map_or(Came::Waits, |status| if status.success() { Came::Passes } else { Came::Fails });
    if came != Came::Passes {
        println!("{command:?}: {came:?}\n{text}");
    }
    came
}

/// A client, and what is known of it.
#[derive(Default)]
struct Tried {
    /// In `docs/clients/`.
    page: &'static str,
    /// Of the table there.
    heading: &'static str,
    /// The faults that fail its builds, or have them wait, when what asks and fetches meets them: it does not allow otherwise.
    fetching: &'static [&'static str],
    /// The same of what stores.
    storing: &'static [&'static str],
    /// Ends of paths that are always answered.
    spared: &'static [&'static str],
}

/// Tries a client: `build` builds the change of that number with the cache at host and port.
fn tried(client: &Tried, build: impl Fn(&str, usize) -> Came) {
    let s3 = S3::new();
    let kura = Kura::start(&[&["--capacity", "256MiB"], &s3.flags()[..]].concat());
    let proxy = FaultProxy::before(kura.address());
    assert_eq!(build(proxy.address(), 0), Came::Passes, "nothing is wrong yet");
    let mut table = format!("| {} | fetching | storing |\n|---|---|---|\n", client.heading);
    let mut number = 0;
    let mut bad = [Vec::new(), Vec::new()];
    let mut row = |name: &'static str, came: [Came; 2]| {
        table.push_str(&format!("| {name} | {} | {} |\n", came[0].text(), came[1].text()));
        for (bad, _) in bad.iter_mut().zip(came).filter(|(_, came)| *came != Came::Passes) {
            bad.push(name);
        }
    };
    for (name, fault) in FAULTS {
        let came = [On::Reads, On::Writes].map(|on| {
            proxy.plan(on, fault, client.spared);
            number += 1;
            build(proxy.address(), number)
        });
        row(name, came);
    }
    let down = build(&nobody(), number + 1);
    row("down", [down; 2]);
    println!("{table}");
    stands_in_page(client, &table);
    assert_eq!(bad, [client.fetching, client.storing], "elsewhere the build passes");
}

/// An address at which nothing listens.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn stands_in_page(client: &Tried, table: &str) {
    let Tried { page, heading, .. } = client;
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/clients").join(page);
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let start = format!("<!-- {heading}: made by `KURA_WRITE_DOCS=1 just e2e` -->\n");
    let (before, rest) =
        written.split_once(&start).unwrap_or_else(|| panic!("{page} has no place for\n{start}{table}"));
    let (found, after) = rest.split_once(END).unwrap();
    if std::env::var_os("KURA_WRITE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{start}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(found, table, "{page} says otherwise: KURA_WRITE_DOCS=1 just e2e");
    }
}
