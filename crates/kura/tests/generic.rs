//! `kura put`, `get`, `head`, `rm` and `ls`, as scripts use them: what they print, with which status they exit, what they leave behind.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::fs;
use std::path::Path;

use support::{Served, answering, nobody, run, run_in};

const BODY: &[u8] = b"what was built, with a zero \0 in it";

#[test]
fn what_was_put_is_there_until_it_is_removed() {
    let (kura, directory) = (Served::start(), tempfile::tempdir().unwrap());
    let kura_at = |arguments: &[&str], input: &[u8]| run_in(directory.path(), &kura.address, arguments, input);
    fs::write(directory.path().join("in"), BODY).unwrap();
    assert_eq!(kura_at(&["put", "tools/a b/c", "in"], &[]).status, 0);
    assert_eq!(kura_at(&["put", "tools/piped", "-"], b"piped").status, 0);

    let got = kura_at(&["get", "tools/a b/c"], &[]);
    assert_eq!((got.status, got.printed.as_slice(), got.said.as_str()), (0, BODY, ""));
    assert_eq!(kura_at(&["get", "tools/piped"], &[]).printed, b"piped");
    assert_eq!(kura_at(&["get", "tools/a b/c", "out"], &[]).status, 0);
    assert_eq!(fs::read(directory.path().join("out")).unwrap(), BODY);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing is left beside it");

    let head = String::from_utf8(kura_at(&["head", "tools/a b/c"], &[]).printed).unwrap();
    assert!(head.contains(&format!("content-length: {}\n", BODY.len())) && head.contains("etag: "), "{head}");
    assert_eq!(kura_at(&["rm", "tools/a b/c"], &[]).status, 0);
    assert_eq!(kura_at(&["rm", "tools/a b/c"], &[]).status, 0, "it is gone, as was asked for");
    let missed = kura_at(&["get", "tools/a b/c", "again"], &[]);
    assert_eq!(missed.status, 1, "{missed:?}");
    assert_eq!(kura_at(&["head", "tools/a b/c"], &[]).status, 1);
    assert!(!directory.path().join("again").exists() && !directory.path().join("again.part").exists());
}

#[test]
fn what_is_listed_can_be_fetched_by_the_names_that_are_printed() {
    let kura = Served::start();
    for key in ["b", "a b/ü", "a b/c", "100%"] {
        assert_eq!(run_in(Path::new("/"), &kura.address, &["put", &format!("tools/{key}")], BODY).status, 0);
    }
    run(&kura.address, &["put", "other/x"]);
    let listed = |name: &str| {
        let ended = run(&kura.address, &["ls", name]);
        assert_eq!((ended.status, ended.said.as_str()), (0, ""), "{ended:?}");
        String::from_utf8(ended.printed).unwrap()
    };
    let names = |printed: &str| {
        let name = |line: &str| {
            let [size, stored, name] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            assert_eq!((size.parse(), stored.len()), (Ok(BODY.len()), "2030-01-31T00:00:00Z".len()), "{line}");
            name.to_owned()
        };
        printed.lines().map(name).collect::<Vec<_>>()
    };
    let all = names(&listed("tools"));
    assert_eq!(all, ["tools/100%", "tools/a b/c", "tools/a b/ü", "tools/b"]);
    for name in &all {
        assert_eq!(run(&kura.address, &["get", name]).printed, BODY, "{name}");
    }
    assert_eq!(names(&listed("tools/a ")), ["tools/a b/c", "tools/a b/ü"]);
    for none in ["tools/none", "nobodys"] {
        assert_eq!(listed(none), "", "an empty list is one");
    }
}

#[test]
fn a_list_goes_on_over_its_pages() {
    let paged = answering(|head| {
        let (name, next) = if head.contains("&page=more%3D") { ("b", "") } else { ("a", ",\"next\":\"more=\"") };
        assert!(head.starts_with("GET /http/tools?prefix=x%26/"), "{head}");
        let body = format!("{{\"artifacts\":[{{\"path\":\"/http/tools/{name}\",\"size\":1,\"stored\":0}}]{next}}}");
        answer("200 OK", "", body.as_bytes())
    });
    let ended = run(&paged, &["ls", "tools/x&/"]);
    let line = |name: &str| format!("1\t1970-01-01T00:00:00Z\ttools/{name}\n");
    assert_eq!(String::from_utf8(ended.printed).unwrap(), line("a") + &line("b"));
}

#[test]
fn each_failure_has_its_status() {
    let directory = tempfile::tempdir().unwrap();
    let refusing = answering(|_| answer("403 Forbidden", "", b"{\"message\":\"not yours\"}"));
    let other = answering(|_| answer("200 OK", "", b"<html>"));
    let busy = answering(|_| answer("429 Too Many Requests", "", b""));
    let table = [
        (nobody(), &["get", "tools/a"][..], 4, "nothing listens at"),
        ("ftp://cache".to_owned(), &["get", "tools/a"], 2, "expected http://HOST:PORT"),
        (busy.clone(), &["get", "tools"], 2, "expected NAMESPACE/KEY"),
        (busy, &["get", "tools/a"], 4, "429"),
        (refusing.clone(), &["get", "tools/a"], 3, "not yours"),
        (refusing.clone(), &["put", "tools/a"], 3, "not yours"),
        (refusing.clone(), &["rm", "tools/a"], 3, "not yours"),
        (refusing.clone(), &["ls", "tools"], 3, "not yours"),
        (nobody(), &["ls", "tools"], 4, "nothing listens at"),
        (nobody(), &["ls", "/tools"], 2, "expected NAMESPACE"),
        (other, &["ls", "tools"], 3, "no list"),
        (refusing, &["put", "tools/a", "absent"], 5, "absent: No such file"),
    ];
    for (server, arguments, status, sentence) in table {
        let ended = run_in(directory.path(), &server, arguments, b"input");
        assert_eq!(ended.status, status, "{arguments:?}: {ended:?}");
        assert!(ended.said.starts_with("kura: ") && ended.said.contains(sentence), "{arguments:?}: {ended:?}");
        assert_eq!(ended.said.lines().count(), 1, "{ended:?}");
    }
    assert_eq!(run("", &["get"]).status, 2, "what clap refuses has the same status");
}

#[test]
fn a_put_or_a_list_that_nothing_serves_is_refused_and_no_miss() {
    let nginx = answering(|_| answer("404 Not Found", "server: nginx\r\n", b"<html>"));
    for arguments in [&["put", "tools/a"], &["ls", "tools"]] {
        let ended = run(&nginx, arguments);
        assert_eq!(ended.status, 3, "{ended:?}");
    }
}

#[test]
fn a_download_that_broke_off_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let (out, part) = (directory.path().join("out"), directory.path().join("out.part"));
    let get = |server: &str| run_in(directory.path(), server, &["get", "tools/a", "out"], &[]);

    let broken = get(&answering(|_| cut(&answer("200 OK", "etag: \"1\"\r\n", BODY), 10)));
    assert_eq!(broken.status, 4, "{broken:?}");
    assert_eq!(fs::read(&part).unwrap(), &BODY[..BODY.len() - 10]);

    let have = BODY.len() - 10;
    let rest = get(&answering(move |head| {
        assert!(head.contains(&format!("range: bytes={have}-\r\n")) && head.contains("if-range: \"1\"\r\n"), "{head}");
        let range = format!("content-range: bytes {have}-{}/{}\r\netag: \"1\"\r\n", BODY.len() - 1, BODY.len());
        answer("206 Partial Content", &range, &BODY[have..])
    }));
    assert_eq!(rest.status, 0, "{rest:?}");
    assert_eq!(fs::read(&out).unwrap(), BODY);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn what_changed_meanwhile_is_fetched_anew() {
    let (kura, directory) = (Served::start(), tempfile::tempdir().unwrap());
    let kura_at = |arguments: &[&str], input: &[u8]| run_in(directory.path(), &kura.address, arguments, input);
    assert_eq!(kura_at(&["put", "tools/a"], BODY).status, 0);
    for (left, tag) in
        [(&b"other"[..], "\"of another\""), (&[b'x'; 4096], "\"of another\""), (b"other", "W/\"weak\""), (b"other", "")]
    {
        fs::write(directory.path().join("out.part"), left).unwrap();
        fs::write(directory.path().join("out.part.etag"), tag).unwrap();
        let got = kura_at(&["get", "tools/a", "out"], &[]);
        assert_eq!(got.status, 0, "{tag}: {got:?}");
        assert_eq!(fs::read(directory.path().join("out")).unwrap(), BODY, "{tag}");
    }
    // As much as there is, of what is there: only the name was missing.
    let head = String::from_utf8(kura_at(&["head", "tools/a"], &[]).printed).unwrap();
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    for left in [&BODY[..5], BODY] {
        fs::write(directory.path().join("out.part"), left).unwrap();
        fs::write(directory.path().join("out.part.etag"), tag).unwrap();
        assert_eq!(kura_at(&["get", "tools/a", "out"], &[]).status, 0);
        assert_eq!(fs::read(directory.path().join("out")).unwrap(), BODY);
    }
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}connection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Without its last bytes.
fn cut(answer: &[u8], bytes: usize) -> Vec<u8> {
    answer[..answer.len() - bytes].to_vec()
}
