//! Tokens of an issuer that runs here: its keys are found by what it says of itself, and its tokens may do what the rules say.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData, SigningKey};
use serde_json::{Value, json};
use support::{Served, answering, nobody, run};

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn token(key: &KeyPair, issuer: &str, audience: &str, branch: &str) -> String {
    token_of("k1", key, issuer, audience, branch)
}

fn token_of(kid: &str, key: &KeyPair, issuer: &str, audience: &str, branch: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the server has this clock too")]
    let soon = SystemTime::now() + Duration::from_secs(300);
    let expires = soon.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let header = json!({"alg": "EdDSA", "kid": kid});
    let claims = json!({"iss": issuer, "aud": audience, "exp": expires, "sub": "job", "ref": branch});
    let message = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
    format!("{message}.{}", encoded(key.sign(message.as_bytes()).unwrap()))
}

/// The keys that an issuer tells of: that one.
fn keys(kid: &str, key: &KeyPair) -> Value {
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": encoded(key.der_bytes())}]})
}

/// An issuer with that key.
fn issuer(key: &KeyPair) -> String {
    rotating(Arc::new(Mutex::new(keys("k1", key))))
}

/// An issuer whose keys may change.
fn rotating(keys: Arc<Mutex<Value>>) -> String {
    let address = answering(move |head| {
        let said: Value = match head.split(' ').nth(1).unwrap() {
            "/keys" => keys.lock().unwrap().clone(),
            _ => {
                let own = head.lines().find_map(|line| line.to_lowercase().strip_prefix("host: ").map(str::to_owned));
                let own = format!("http://{}", own.unwrap().trim());
                json!({"issuer": own, "jwks_uri": format!("{own}/keys")})
            }
        };
        let said = said.to_string();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{said}", said.len()).into()
    });
    format!("http://{address}")
}

fn rules(directory: &std::path::Path, issuer: &str) -> String {
    let file = directory.join("rules.toml");
    let rules = format!(
        "[[issuer]]\nissuer = '{issuer}'\naudience = 'kura'\n\
         [[issuer.rule]]\nclaims = {{ ref = 'main' }}\nrole = 'writer'\n\
         [[issuer.rule]]\nclaims = {{ ref = 'pr-*' }}\nrole = 'overlay'\noverlay = '{{ref}}'\n"
    );
    std::fs::write(&file, rules).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn the_jobs_of_an_issuer_do_what_the_rules_say_and_a_pull_request_changes_nothing() {
    let (key, directory) = (KeyPair::generate_for(&PKCS_ED25519).unwrap(), tempfile::tempdir().unwrap());
    let issuer = issuer(&key);
    let kura = Served::with(&["--auth", "--auth-rules", &rules(directory.path(), &issuer)]);
    let put = |token: &str, body: &[u8]| {
        support::run_in(directory.path(), &kura.address, &["put", "ns/key", "-", "--token", token], body).status
    };
    let get = |token: &str| run(&kura.address, &["get", "ns/key", "--token", token]).printed;
    let [main, one, two] = ["main", "pr-1", "pr-2"].map(|branch| token(&key, &issuer, "kura", branch));
    assert_eq!((put(&main, b"trusted"), put(&one, b"poisoned")), (0, 0));
    assert_eq!((get(&main), get(&one), get(&two)), (b"trusted".to_vec(), b"poisoned".to_vec(), b"trusted".to_vec()));
    for (token, says) in [
        (token(&key, &issuer, "other", "main"), "another audience"),
        (token(&key, &issuer, "kura", "feature"), "no rule"),
        (token(&key, "http://other", "kura", "main"), "not trusted"),
        (token(&KeyPair::generate_for(&PKCS_ED25519).unwrap(), &issuer, "kura", "main"), "not known"),
    ] {
        let ended = run(&kura.address, &["get", "ns/key", "--token", &token]);
        assert!(ended.status == 3 && ended.said.contains(says), "{ended:?}");
    }
}

#[test]
fn while_an_issuer_is_down_its_jobs_are_told_to_come_back() {
    let (key, directory) = (KeyPair::generate_for(&PKCS_ED25519).unwrap(), tempfile::tempdir().unwrap());
    let issuer = format!("http://{}", nobody());
    let kura = Served::with(&["--auth", "--auth-rules", &rules(directory.path(), &issuer)]);
    let ended = run(&kura.address, &["get", "ns/key", "--token", &token(&key, &issuer, "kura", "main")]);
    assert!(ended.status == 4 && ended.said.contains("keys of the token's issuer"), "{ended:?}");
}

#[test]
fn when_an_issuer_changes_its_keys_the_new_ones_count_and_the_old_ones_do_not() {
    let [old, new] = [(); 2].map(|()| KeyPair::generate_for(&PKCS_ED25519).unwrap());
    let (told, directory) = (Arc::new(Mutex::new(keys("k1", &old))), tempfile::tempdir().unwrap());
    let issuer = rotating(Arc::clone(&told));
    let kura = Served::with(&["--auth", "--auth-rules", &rules(directory.path(), &issuer)]);
    let head = |token: &str| run(&kura.address, &["head", "ns/key", "--token", token]).status;
    let before = token(&old, &issuer, "kura", "main");
    assert_eq!(head(&before), 1, "a miss: somebody who may ask");
    *told.lock().unwrap() = keys("k2", &new);
    assert_eq!(head(&before), 1, "nobody has asked for others");
    // A key that is not there is looked for, ten seconds after the last look. Each time is a process.
    let after = token_of("k2", &new, &issuer, "kura", "main");
    assert!((0..50_000).any(|_| head(&after) == 1), "the new key is not taken");
    assert_ne!(head(&before), 1);
    assert_ne!(head(&token(&old, &issuer, "kura", "pr-1")), 1);
    // Of the name that the new one has, too.
    assert_ne!(head(&token_of("k2", &old, &issuer, "kura", "main")), 1);
    assert_eq!(head(&after), 1);
}
