//! A workspace through moon, over gRPC and over HTTP, where its action results are JSON: the second clean build is all remote hits, also after a restart
//! and after `kill -9`. Under TLS each gets what its token allows.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use kura_e2e::{Came, Guarded, Kura, MoonWorkspace, run};

const PROJECTS: [&str; 3] = ["one", "two", "three"];

#[test]
fn second_builds_hit_over_grpc() {
    second_builds_hit("grpc");
}

#[test]
fn second_builds_hit_over_http() {
    second_builds_hit("http");
}

#[test]
fn under_tls_each_gets_what_its_token_allows() {
    let workspace = MoonWorkspace::new(&PROJECTS[..1]);
    let project = workspace.project(PROJECTS[0]);
    Guarded::under_tls().tried("moon", Came::Built, |who, number| {
        std::fs::write(project.join("source.txt"), number.to_string()).unwrap();
        let printed = run(workspace.clean_build_with(&who.lines).env("KURA_TOKEN", who.token));
        assert_eq!(std::fs::read_to_string(project.join("dist/out.txt")).unwrap(), number.to_string(), "{printed}");
        if printed.contains("cached from remote") { Came::Hit } else { Came::Built }
    });
}

fn second_builds_hit(scheme: &str) {
    let mut kura = Kura::start(&["--capacity", "256MiB"]);
    let workspace = MoonWorkspace::new(&PROJECTS);
    let build = |kura: &Kura| {
        let printed = run(&mut workspace.clean_build(&format!("{scheme}://{}", kura.address())));
        for name in PROJECTS {
            let built = std::fs::read_to_string(workspace.project(name).join("dist/out.txt"));
            assert_eq!(built.unwrap(), name, "{printed}");
        }
        printed.matches("cached from remote").count()
    };
    assert_eq!(build(&kura), 0);
    assert_eq!(kura.metrics().stored("action"), PROJECTS.len() as u64);
    kura.in_each_life(|kura| {
        let before = kura.metrics();
        assert_eq!(build(kura), PROJECTS.len());
        let after = kura.metrics();
        assert_eq!(after.hits("action") - before.hits("action"), PROJECTS.len() as u64);
        assert_eq!(after.stored("action"), before.stored("action"), "each was found");
    });
}
