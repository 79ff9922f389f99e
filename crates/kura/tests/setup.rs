//! `kura setup --check`: for each client the sentence that it prints is right, whatever is wrong, and its status says that something is.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::sync::Arc;

use kura_disk::{Runtime, TokioRuntime};
use kura_http::{S3Key, Server, ServerSettings};
use kura_reapi::{Reapi, ReapiSettings};
use kura_store::Progress;
use support::{Authority, Ended, Served, answering, nobody, run, run_with};

const CLIENTS: [&str; 14] = [
    "bazel",
    "gradle",
    "ccache",
    "sccache",
    "turbo",
    "nx",
    "metro",
    "buildstream",
    "buck2",
    "pants",
    "moon",
    "xcode",
    "http",
    "s3",
];

/// Those that say who they are by a token: S3's clients sign.
const WITH_TOKENS: &[&str] = CLIENTS.split_at(13).0;

/// Clients that name the server by host and port, and no path.
const OVER_GRPC: [&str; 6] = ["bazel", "buildstream", "buck2", "pants", "moon", "xcode"];

/// The key pair of S3's clients.
const PAIR: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hush")];

fn check(server: &str, client: &str) -> Ended {
    run_with(&PAIR, server, &["setup", "--check", client])
}

/// A server that serves all of them.
fn serving() -> Served {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "hush\n").unwrap();
    // It has read it before it serves.
    Served::with(&["--s3-key-id", "AKID", "--s3-secret-file", secret.path().to_str().unwrap()])
}

/// Each client says this, and exits with that status.
fn each_says(server: &str, clients: &[&str], status: i32, sentence: &str) {
    each_says_with(&[], server, clients, status, sentence);
}

/// The same with more variables of its environment.
fn each_says_with(variables: &[(&str, &str)], server: &str, clients: &[&str], status: i32, sentence: &str) {
    let variables = [&PAIR[..], variables].concat();
    for client in clients {
        let ended = run_with(&variables, server, &["setup", "--check", client]);
        assert_eq!(ended.status, status, "{client}: {ended:?}");
        assert!(ended.said.contains(sentence), "{client}: {ended:?}");
        assert_eq!(ended.said.lines().count(), 1, "{client}: {ended:?}");
    }
}

#[test]
fn a_healthy_server_is_called_one_again_and_again() {
    let kura = serving();
    for client in [CLIENTS, CLIENTS].concat() {
        let ended = check(&kura.address, client);
        assert_eq!(ended.status, 0, "{client}: {ended:?}");
        let printed = String::from_utf8(ended.printed).unwrap();
        assert!(printed.ends_with(&format!("can store and fetch at http://{}\n", kura.address)), "{printed}");
    }
}

#[test]
fn where_nothing_listens_that_is_said() {
    let nobody = nobody();
    each_says(&nobody, &CLIENTS, 4, &format!("nothing listens at {nobody}: is Kura started there?"));
}

#[test]
fn a_wrong_path_is_named() {
    let kura = serving();
    let address = format!("http://{}/wrong/", kura.address);
    let sentence = format!("nothing is served under /wrong: the server's address is http://{}", kura.address);
    each_says(&address, &CLIENTS, 3, &sentence);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_ready_says_why() {
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current());
    let key = Some(S3Key::new("AKID".to_owned(), "hush".to_owned()));
    let (settings, progress) = (ServerSettings { s3: key, ..ServerSettings::default() }, Arc::new(Progress::default()));
    let address = "127.0.0.1:0".parse().unwrap();
    let server = Server::bind(address, settings, Arc::clone(&runtime), progress).unwrap();
    server.welcome(Reapi::new(ReapiSettings::default(), server.memory(), server.tenants(), runtime));
    let address = server.local_addr().unwrap().to_string();
    let serving = tokio::spawn(server.run());
    tokio::task::spawn_blocking(move || {
        each_says(
            &address,
            &CLIENTS,
            4,
            &format!("Kura at {address} is not ready: the data directory is being opened"),
        );
    })
    .await
    .unwrap();
    serving.abort();
}

#[test]
fn a_server_of_another_kind_is_called_by_its_name() {
    let nginx = answering(|head| {
        let status =
            if head.starts_with("GET") || head.starts_with("HEAD") { "404 Not Found" } else { "405 Not Allowed" };
        let status = if head.starts_with("PRI") { "400 Bad Request" } else { status };
        format!("HTTP/1.1 {status}\r\nserver: nginx/1.22.1\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>")
            .into()
    });
    each_says(&nginx, &CLIENTS, 3, &format!("what listens at {nginx} is not Kura: it calls itself nginx/1.22.1"));
}

#[test]
fn a_server_that_answers_everything_with_the_same_is_not_believed() {
    let page = answering(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello".into());
    each_says(&page, &CLIENTS, 3, &format!("what listens at {page} is not Kura"));
}

#[test]
fn a_full_disk_and_a_missing_token_are_told_apart_from_all_else() {
    let refusing = |status: &'static str| {
        answering(move |head| {
            let told = "{\"message\":\"no space\",\"ready\":true}";
            // Kura otherwise, that has nothing yet.
            let status = match head.split(' ').next().unwrap() {
                "GET" if head.contains("/ready") || head.contains("/status") => "200 OK",
                "GET" => "404 Not Found",
                "PROPFIND" => "207 Multi-Status",
                "MKCOL" => "201 Created",
                _ => status,
            };
            format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{told}", told.len()).into()
        })
    };
    let http: Vec<&str> = CLIENTS.into_iter().filter(|client| !OVER_GRPC.contains(client)).collect();
    let full = refusing("507 Insufficient Storage");
    each_says(&full, &http, 3, &format!("the disk of {full} is full, and no room could be made on it: no space"));
    let asking = refusing("401 Unauthorized");
    each_says(&asking, &http, 3, &format!("{asking} asks for a token: pass it with --token"));
    let forbidding = refusing("403 Forbidden");
    each_says(&forbidding, &http, 3, &format!("{forbidding} does not allow this"));
    let busy = refusing("429 Too Many Requests");
    each_says(&busy, &http, 4, &format!("{busy} has too much to do and says to come back"));
    let http1 = refusing("400 Bad Request");
    each_says(&http1, &OVER_GRPC, 3, &format!("Kura answers at {http1} over HTTP, but gRPC does not get through"));
}

#[test]
fn the_lines_are_those_for_the_server_that_was_named() {
    let told = |arguments: &[&str]| String::from_utf8(run("https://cache.example", arguments).printed).unwrap();
    for client in CLIENTS {
        assert!(told(&["setup", client]).contains("cache.example"), "{client}");
    }
    assert!(told(&["setup", "bazel", "--token", "secret"]).contains("Authorization=\"Bearer secret\""));
    assert!(told(&["setup", "s3"]).contains("AWS_ENDPOINT_URL_S3=https://cache.example/s3"));
    assert!(told(&["setup", "s3", "--token", "kura_0123_x"]).contains("AWS_ACCESS_KEY_ID=0123 "));
    let directory = tempfile::tempdir().unwrap();
    let ca = Authority::new().file(&directory);
    assert!(told(&["setup", "bazel", "--ca", &ca]).contains(&format!("--tls_certificate={ca}")));
}

#[test]
fn a_file_without_an_authority_is_not_taken_for_one() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "-----BEGIN NOTHING-----\n").unwrap();
    for (file, status, sentence) in
        [(empty.to_str().unwrap(), 2, "has no certificate"), ("/nowhere/ca.pem", 5, "/nowhere/ca.pem: No such file")]
    {
        let ended = run("https://cache.example", &["setup", "bazel", "--ca", file]);
        assert!(ended.status == status && ended.said.contains(sentence), "{ended:?}");
    }
}

#[test]
fn s3_is_checked_with_the_key_pair_of_the_environment() {
    let kura = serving();
    let check = |server: &str, id: &str, secret: &str| {
        let variables = [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)];
        run_with(&variables, server, &["setup", "--check", "s3"])
    };
    let healthy = check(&kura.address, "AKID", "hush");
    assert_eq!(healthy.status, 0, "{healthy:?}");
    let without = Served::start();
    let wrong = format!("http://{}/wrong", kura.address);
    for (server, id, secret, status, sentence) in [
        (&kura.address, "AKID", "rush", 3, "another secret"),
        (&kura.address, "OTHER", "hush", 3, "knows no key"),
        (&kura.address, "", "", 2, "set AWS_ACCESS_KEY_ID"),
        (&without.address, "AKID", "hush", 3, "--s3-key-id"),
        (&nobody(), "AKID", "hush", 4, "nothing listens"),
        (&wrong, "AKID", "hush", 3, "nothing is served under /wrong"),
    ] {
        let ended = check(server, id, secret);
        assert_eq!(ended.status, status, "{ended:?}");
        assert!(ended.said.contains(sentence) && ended.said.lines().count() == 1, "{sentence}: {ended:?}");
        assert!(!ended.said.contains("hush") && !ended.said.contains("rush"), "{ended:?}");
    }
}

#[test]
fn what_is_wrong_with_a_token_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let place = ["--auth-tokens", directory.path().join("tokens").to_str().unwrap()].map(str::to_owned);
    let place = place.each_ref().map(String::as_str);
    let create = |flags: &[&str]| {
        let ended = run("", &[&["token", "create", "--role"], flags, &place].concat());
        String::from_utf8(ended.printed).unwrap().trim_end().to_owned()
    };
    let (writer, reader) = (create(&["writer"]), create(&["reader"]));
    let expired = create(&["writer", "--expires", "0s"]);
    let elsewhere = create(&["writer", "--namespace", "elsewhere"]);
    let kura = Served::with(&[&["--auth"][..], &place].concat());
    let check = |client: &str, token: &str| run(&kura.address, &["setup", "--check", client, "--token", token]);
    for client in WITH_TOKENS {
        let ended = check(client, &writer);
        assert_eq!(ended.status, 0, "{client}: {ended:?}");
    }
    for (token, says) in [(&expired, "has expired"), (&reader, "takes the role writer")] {
        for client in WITH_TOKENS {
            let ended = check(client, token);
            assert!(ended.status == 3 && ended.said.contains(says), "{client}: {ended:?}");
            assert_eq!(ended.said.lines().count(), 1, "{client}: {ended:?}");
        }
    }
    for client in ["http", "turbo", "moon"] {
        let ended = check(client, &elsewhere);
        assert!(ended.status == 3 && ended.said.contains("is not for the namespace"), "{client}: {ended:?}");
    }
    for client in WITH_TOKENS {
        let ended = check(client, &format!("{writer}x"));
        assert!(ended.status == 3 && ended.said.contains("this token: the token is not known"), "{client}: {ended:?}");
        let ended = run(&kura.address, &["setup", "--check", client]);
        assert!(ended.status == 3 && ended.said.contains("asks for a token"), "{client}: {ended:?}");
    }
}

/// No certificate of these tests ends before.
const LATE: i32 = 2999;

#[test]
fn a_server_under_tls_is_reached_with_its_authority() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let ca = authority.file(&directory);
    let kura = Served::with(&strs(&authority.vouch_for(&directory, "127.0.0.1", LATE)));
    // SSL_CERT_FILE is what this machine trusts.
    for variable in ["KURA_CA", "SSL_CERT_FILE"] {
        for client in WITH_TOKENS.iter().filter(|client| **client != "ccache") {
            let ended = run_with(&[(variable, &ca)], &kura.url, &["setup", "--check", client]);
            assert_eq!(ended.status, 0, "{variable}, {client}: {ended:?}");
        }
    }
    each_says_with(&[("KURA_CA", &ca)], &kura.url, &["ccache"], 3, "ccache speaks no TLS by itself");
}

#[test]
fn what_is_wrong_with_tls_is_told_apart() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let ca = authority.file(&directory);
    let trusting = [("KURA_CA", ca.as_str())];
    let kura = Served::with(&strs(&authority.vouch_for(&directory, "127.0.0.1", LATE)));
    let at = &kura.address;
    each_says(at, &CLIENTS, 3, &format!("{at} speaks TLS: the server's address begins with https://"));
    let sentence =
        format!("nobody that this machine trusts vouches for {at}: name the file of its authority with --ca");
    each_says(&kura.url, &CLIENTS, 3, &sentence);
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Authority::new().file(&elsewhere);
    each_says_with(&[("KURA_CA", &other)], &kura.url, &CLIENTS, 3, &format!("nobody in {other} vouches for {at}"));

    let plain = Served::start();
    let sentence = format!("{} does not speak TLS: the server's address begins with http://", plain.address);
    each_says_with(&trusting, &format!("https://{}", plain.address), &CLIENTS, 3, &sentence);

    let kura = Served::with(&strs(&authority.vouch_for(&directory, "cache.example", LATE)));
    let sentence = format!("the certificate of {} is for another host", kura.address);
    each_says_with(&trusting, &kura.url, &CLIENTS, 3, &sentence);

    let kura = Served::with(&strs(&authority.vouch_for(&directory, "127.0.0.1", 1999)));
    each_says_with(&trusting, &kura.url, &CLIENTS, 3, &format!("the certificate of {} has expired", kura.address));
}

fn strs(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}
