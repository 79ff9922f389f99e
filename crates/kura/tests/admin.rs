//! `kura clean` and `kura rm`: by the socket in the data directory, without a token, and by the server's address with one. What they remove is gone at once, and
//! after a kill.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use support::{Ended, Served, nobody, run, run_in, run_with};

const FLAGS: &[&str] = &["--auth"];

/// A server, and tokens of an admin and of a writer, which it has read.
fn serving() -> (Served, String, String) {
    let kura = Served::with(FLAGS);
    let token = |role| kura.token(&["create", "--tenant", "acme", "--role", role]);
    let tokens = (token("admin"), token("writer"));
    // Each time is a process: that takes longer than the server takes to look.
    assert!((0..5000).any(|_| status(&kura, &tokens.1, "head", "ios/key") == 1), "it does not know the token");
    (kura, tokens.0, tokens.1)
}

fn status(kura: &Served, token: &str, command: &str, key: &str) -> i32 {
    run(&kura.address, &[command, key, "--token", token]).status
}

fn put(kura: &Served, token: &str, key: &str) {
    let put = run_in(kura.data(), &kura.address, &["put", key, "--token", token], b"body");
    assert_eq!(put.status, 0, "{put:?}");
}

/// Runs a command that finds its server by the directory.
fn here(kura: &Served, arguments: &[&str]) -> Ended {
    run_with(&[], "", &[arguments, &["--data-dir", kura.data().to_str().unwrap()]].concat())
}

#[test]
fn what_is_removed_through_the_data_directory_is_gone_at_once_and_after_a_kill() {
    let (mut kura, admin, writer) = serving();
    for key in ["ios/key", "ios/other", "web/key", "web/other"] {
        put(&kura, &writer, key);
    }
    let socket = kura.data().join("admin.sock");
    let found = socket.symlink_metadata().unwrap();
    assert!(found.file_type().is_socket() && found.permissions().mode() & 0o7777 == 0o600);
    let clean = &["clean", "--tenant", "acme", "--namespace", "ios"];
    assert_eq!(here(&kura, &["clean", "--namespace", "ios"]).status, 0, "of the default tenant");
    assert_eq!(status(&kura, &writer, "head", "ios/key"), 0);
    assert_eq!(here(&kura, clean).status, 0);
    assert_eq!(here(&kura, &["rm", "--tenant", "acme", "web/key"]).status, 0);
    let there =
        |kura: &Served| ["ios/key", "ios/other", "web/key", "web/other"].map(|key| status(kura, &admin, "head", key));
    assert_eq!(there(&kura), [1, 1, 1, 0]);
    // The environment names the directory where it names no address.
    let directory = [("KURA_DATA_DIR", kura.data().to_str().unwrap())];
    let ended = run_with(&directory, "", &["rm", "--tenant", "acme", "web/other"]);
    assert_eq!((ended.status, status(&kura, &admin, "head", "web/other")), (0, 1), "{ended:?}");
    let ended = run_with(&directory, &nobody(), clean);
    assert!(ended.status == 4 && ended.said.contains("nothing listens at"), "{ended:?}");

    let data = kura.stop();
    let socket = data.path().join("admin.sock");
    assert!(socket.exists(), "nobody was left to remove it");
    let place = data.path().to_str().unwrap();
    let ended = run_with(&[], "", &[&clean[..], &["--data-dir", place]].concat());
    assert!(ended.status == 4 && ended.said.contains("no server listens on"), "{ended:?}");
    let checked = run("", &["check", place]);
    assert_eq!(checked.status, 0, "{checked:?}");
    let kura = Served::again(data, FLAGS);
    assert_eq!(there(&kura), [1; 4]);
    assert_eq!(here(&kura, clean).status, 0, "the new one's socket is there");
}

#[test]
fn by_its_address_a_server_takes_admins_only() {
    let (kura, admin, writer) = serving();
    put(&kura, &writer, "ios/key");
    let clean = |token: &str| run(&kura.address, &["clean", "--namespace", "ios", "--token", token]);
    let refused = clean(&writer);
    assert!(refused.status == 3 && refused.said.contains("takes the role admin"), "{refused:?}");
    assert_eq!(run(&kura.address, &["clean", "--namespace", "ios"]).status, 3);
    let of_another = run(&kura.address, &["clean", "--namespace", "ios", "--tenant", "other", "--token", &admin]);
    assert!(of_another.status == 3 && of_another.said.contains("of the tenant acme"), "{of_another:?}");
    assert_eq!(status(&kura, &writer, "rm", "ios/key"), 3);
    assert_eq!(status(&kura, &writer, "head", "ios/key"), 0);
    assert_eq!(clean(&admin).status, 0);
    assert_eq!(status(&kura, &writer, "head", "ios/key"), 1);
    let other = run(&kura.address, &["rm", "--kind", "gradle", "ios/0123", "--token", &admin]);
    assert_eq!(other.status, 0, "what is not there is no failure: {other:?}");
    let both = run("", &["clean", "--namespace", "ios", "--server", "x", "--data-dir", "y"]);
    assert_eq!(both.status, 2, "{both:?}");
}

#[test]
fn an_overlay_is_dropped_and_what_it_lies_over_stays() {
    let (kura, admin, writer) = serving();
    let overlay = kura.token(&["create", "--tenant", "acme", "--role", "overlay", "--overlay", "pr/1"]);
    assert!((0..5000).any(|_| status(&kura, &overlay, "head", "ios/key") == 1), "it does not know the token");
    put(&kura, &writer, "ios/key");
    put(&kura, &overlay, "ios/own");
    let drop = ["clean", "--namespace", "ios", "--overlay", "pr/1", "--token"];
    assert_eq!(run(&kura.address, &[&drop[..], &[&overlay]].concat()).status, 3);
    assert_eq!(status(&kura, &overlay, "head", "ios/own"), 0);
    assert_eq!(run(&kura.address, &[&drop[..], &[&admin]].concat()).status, 0);
    assert_eq!((status(&kura, &overlay, "head", "ios/own"), status(&kura, &overlay, "head", "ios/key")), (1, 0));
}
