//! `kura token` beside a running server: what it makes is good at once, and what it revokes is not, within a second.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use support::{Ended, Served, run, run_in, run_with};

fn head(kura: &Served, token: &str) -> Ended {
    run(&kura.address, &["head", "ns/key", "--token", token])
}

/// Asks until that is the answer. Each time is a process: that takes longer than the server takes to look.
fn until(kura: &Served, token: &str, is_it: fn(i32) -> bool) {
    let mut answers = (0..5000).map(|_| head(kura, token));
    assert!(answers.any(|ended| is_it(ended.status)), "the answer has stayed the same");
}

#[test]
fn tokens_are_made_listed_and_revoked_while_the_server_runs() {
    let kura = Served::with(&["--auth"]);
    assert_eq!(run(&kura.address, &["head", "ns/key"]).status, 3, "nobody may do anything yet");
    let token = kura.token(&["create", "--role", "writer", "--expires", "90d"]);
    // A miss: somebody who may ask.
    until(&kura, &token, |status| status == 1);
    let reader =
        kura.token(&["create", "--role", "reader", "--tenant", "acme", "--namespace", "ios", "--namespace", "web"]);
    let listed = kura.token(&["list"]);
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!(lines.len(), 2, "{listed}");
    assert!(lines[0].contains("writer") && lines[0].contains("default/*") && lines[0].contains("until 20"), "{listed}");
    assert!(
        lines[1].contains("reader") && lines[1].contains("acme/ios,web") && lines[1].contains("until revoked"),
        "{listed}"
    );
    let secret = |token: &str| token.rsplit_once('_').unwrap().1.to_owned();
    assert!(!listed.contains(&secret(&token)) && !listed.contains(&secret(&reader)), "{listed}");
    let id = lines[0].split(' ').next().unwrap();
    assert!(token.contains(id));
    kura.token(&["revoke", id]);
    // Refused, or told to come back after so many that were.
    until(&kura, &token, |status| status != 1);
    let refused = head(&kura, &reader);
    assert_eq!(refused.status, 3, "ns is none of its namespaces: {refused:?}");
}

#[test]
fn the_file_has_no_secret_and_is_for_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("deeper/tokens");
    let place = ["--auth-tokens", file.to_str().unwrap()];
    let made = run("", &[&["token", "create", "--role", "admin"][..], &place].concat());
    let token = String::from_utf8(made.printed).unwrap();
    assert!(made.said.contains("shown once") && made.said.contains(file.to_str().unwrap()), "{}", made.said);
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains(token.trim().rsplit_once('_').unwrap().1), "{text}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    for (arguments, says) in [
        (&["token", "revoke", "0123456789abcdef"][..], "no token 0123456789abcdef"),
        (&["token", "revoke", "x"], "expected the id"),
        (&["token", "create", "--role", "owner"], "reader, overlay, writer, admin"),
        (&["token", "create", "--role", "reader", "--tenant", "a/b"], "a tenant has"),
        (&["token", "create"], "--role"),
    ] {
        let ended = run("", &[arguments, &place].concat());
        assert!(ended.status != 0 && ended.said.contains(says), "{ended:?}");
    }
}

#[test]
fn a_broken_file_stops_a_start_and_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens");
    fs::write(&file, "{}").unwrap();
    let data = directory.path().join("data");
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--auth", "--auth-tokens"];
    let ended = run("", &[&arguments[..], &[file.to_str().unwrap(), "--data-dir", data.to_str().unwrap()]].concat());
    assert!(ended.status != 0 && ended.said.contains(file.to_str().unwrap()), "{ended:?}");
}

#[test]
fn who_stored_an_artifact_is_kept_beside_it() {
    let mut kura = Served::with(&["--auth"]);
    let token = kura.token(&["create", "--role", "writer"]);
    let id = token.split('_').nth(1).unwrap().to_owned();
    until(&kura, &token, |status| status == 1);
    let directory = tempfile::tempdir().unwrap();
    let put = run_in(directory.path(), &kura.address, &["put", "ns/key", "-", "--token", &token], b"body");
    assert_eq!(put.status, 0, "{put:?}");
    let pair = kura.token(&["s3", &id]);
    assert!((0..5000).any(|_| check_s3(&kura, &pair, &[]).status == 0));
    let data = kura.stop();
    let inspect = |more: &[&str]| {
        let ended = run("", &[&["inspect", data.path().to_str().unwrap()], more].concat());
        String::from_utf8(ended.printed).unwrap()
    };
    let segments = inspect(&[]);
    let records: Vec<_> =
        segments.lines().map(|line| inspect(&["--segment", line.split(' ').next().unwrap()])).collect();
    let records = records.concat();
    for stored in ["default/ns/http/key", "default/kura-setup/s3/"] {
        let line = records.lines().find(|line| line.contains(stored)).expect("it is there");
        assert!(line.ends_with(&format!(", by {id}")), "{line}");
    }
}

/// Checks a client of S3 with a pair as it was printed.
fn check_s3(kura: &Served, pair: &str, flags: &[&str]) -> Ended {
    let variables: Vec<_> = pair.lines().map(|line| line.split_once('=').unwrap()).collect();
    run_with(&variables, &kura.address, &[&["setup", "--check", "s3"], flags].concat())
}

#[test]
fn a_tokens_key_pair_is_good_beside_a_running_server_for_as_long_as_the_token() {
    let kura = Served::with(&["--auth"]);
    let [writer, reader] = ["writer", "reader"].map(|role| kura.token(&["create", "--role", role]));
    let id = |token: &str| token.split('_').nth(1).unwrap().to_owned();
    let pair = kura.token(&["s3", &id(&writer)]);
    assert_eq!(kura.token(&["s3", &id(&writer)]), pair, "it is the same each time");
    let until = |is_good: bool| {
        let mut ended = (0..5000).map(|_| check_s3(&kura, &pair, &[]).status);
        assert!(ended.any(|status| is_good == (status == 0)), "the answer has stayed the same");
    };
    until(true);
    // A token beside it changes nothing.
    assert_eq!(check_s3(&kura, &pair, &["--token", &writer]).status, 0);
    let refused = check_s3(&kura, &kura.token(&["s3", &id(&reader)]), &[]);
    assert!(refused.status == 3 && refused.said.contains("role writer"), "{refused:?}");
    let swapped = pair.replace(&id(&writer), &id(&reader));
    // Refused, or told to come back after so many that were.
    assert_ne!(check_s3(&kura, &swapped, &[]).status, 0);
    kura.token(&["revoke", &id(&writer)]);
    until(false);
    let data = kura.data_directory();
    let (tokens, key) = (data.join("tokens"), data.join("tokens.s3"));
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let secret = pair.rsplit_once('=').unwrap().1;
    for file in [tokens, key] {
        assert!(!fs::read_to_string(file).unwrap().contains(secret));
    }
    let place = ["--data-dir", data.to_str().unwrap()];
    let gone = run("", &[&["token", "s3", &id(&writer)][..], &place].concat());
    assert!(gone.status != 0 && gone.said.contains("no token"), "{gone:?}");
}
