//! Tokens of an issuer that signs here: all that may be wrong with one, and keys that come and go.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};

use super::{Issuer, Keys};
use crate::access::{Access, Unidentified};
use crate::authenticator::Authenticator;
use crate::role::Need;
use crate::rules::Rules;

const ISSUER: &str = "https://issuer";

const RULES: &str = r#"
    [[issuer]]
    issuer = "https://issuer"
    audience = ["kura", "cache"]
    skew = "30s"

    [[issuer.rule]]
    claims = { ref = "refs/heads/main" }
    role = "writer"
"#;

/// Made by `openssl genpkey` for this test.
const RSA: &[u8] = include_bytes!("test-rsa.pk8");

/// A key that signs.
enum Signer {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl Signer {
    fn p256() -> Signer {
        let (random, sort) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let made = EcdsaKeyPair::generate_pkcs8(sort, &random).unwrap();
        Signer::P256(EcdsaKeyPair::from_pkcs8(sort, made.as_ref(), &random).unwrap())
    }

    fn ed25519() -> Signer {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Signer::Ed25519(Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap())
    }

    fn rsa() -> Signer {
        Signer::Rsa(Box::new(RsaKeyPair::from_pkcs8(RSA).unwrap()))
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Signer::P256(_) => "ES256",
            Signer::Ed25519(_) => "EdDSA",
            Signer::Rsa(_) => "RS256",
        }
    }

    fn jwk(&self, kid: &str) -> Value {
        match self {
            Signer::P256(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": encoded(x), "y": encoded(y)})
            }
            Signer::Ed25519(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": encoded(key.public_key().as_ref())})
            }
            Signer::Rsa(key) => {
                let ring::rsa::PublicKeyComponents::<Vec<u8>> { n, e } = key.public().into();
                json!({"kty": "RSA", "kid": kid, "alg": "RS256", "use": "sig", "n": encoded(n), "e": encoded(e)})
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Signer::P256(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Signer::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Signer::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    fn token(&self, kid: &str, claims: &Value) -> String {
        self.token_with(&json!({"alg": self.algorithm(), "typ": "JWT", "kid": kid}), claims)
    }

    fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        let signature = encoded(self.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn keys(keys: &[Value]) -> Keys {
    Keys::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the library has this clock too")]
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "kura", "exp": now() + 300, "sub": "repo:acme", "ref": "refs/heads/main"})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn trusting() -> (Authenticator, Arc<Issuer>) {
    let authenticator = Authenticator::default();
    let mut issuers = authenticator.replace_rules(Rules::parse(RULES).unwrap());
    (authenticator, issuers.remove(0))
}

async fn identify(authenticator: &Authenticator, token: &str) -> Result<Access, Unidentified> {
    authenticator.identify(token, SystemTime::UNIX_EPOCH + Duration::from_secs(now())).await
}

#[tokio::test]
async fn a_good_token_is_taken_whatever_sort_of_key_signed_it() {
    for signer in [Signer::p256(), Signer::ed25519(), Signer::rsa()] {
        let (authenticator, issuer) = trusting();
        issuer.found(keys(&[signer.jwk("k1")]));
        let token = signer.token("k1", &claims());
        // Twice: verified, and remembered.
        for _ in 0..2 {
            let access = identify(&authenticator, &token).await.unwrap();
            assert!(access.permits(Need::Write).is_ok() && access.permits(Need::Administer).is_err());
            assert_eq!(access.name().map(|name| &**name), Some("repo:acme"));
        }
        let unnamed = signer.token_with(&json!({"alg": signer.algorithm()}), &claims());
        assert!(identify(&authenticator, &unnamed).await.is_ok(), "a token need not name its key");
        assert!(identify(&authenticator, &signer.token("k1", &with("aud", json!(["x", "cache"])))).await.is_ok());
    }
}

#[tokio::test]
async fn what_is_wrong_with_claims_is_refused_and_named() {
    let (authenticator, issuer) = trusting();
    let signer = Signer::p256();
    issuer.found(keys(&[signer.jwk("k1")]));
    for (claims, why) in [
        (with("exp", json!(now() - 31)), Unidentified::Expired),
        (with("nbf", json!(now() + 300)), Unidentified::NotYet),
        (with("aud", json!("other")), Unidentified::Audience),
        (with("aud", json!(["other"])), Unidentified::Audience),
        (without("aud"), Unidentified::Audience),
        (with("iss", json!("https://other")), Unidentified::Issuer),
        (with("iss", json!(["https://issuer"])), Unidentified::Unknown),
        (without("iss"), Unidentified::Unknown),
        (without("exp"), Unidentified::Unknown),
        (with("exp", json!("never")), Unidentified::Unknown),
        (with("ref", json!("refs/heads/main2")), Unidentified::NoRule),
        (without("ref"), Unidentified::NoRule),
    ] {
        let refused = identify(&authenticator, &signer.token("k1", &claims)).await.err();
        assert_eq!(refused, Some(why), "{claims}");
    }
    // Clocks may differ by as much as the rules say.
    for claims in [with("exp", json!(now() - 20)), with("nbf", json!(now() + 20))] {
        assert!(identify(&authenticator, &signer.token("k1", &claims)).await.is_ok(), "{claims}");
    }
}

#[tokio::test]
async fn a_signature_that_is_none_or_of_another_key_is_refused() {
    let (authenticator, issuer) = trusting();
    let (signer, other) = (Signer::p256(), Signer::p256());
    let secret = b"secret";
    let symmetric = json!({"kty": "oct", "kid": "k2", "k": encoded(secret)});
    issuer.found(keys(&[signer.jwk("k1"), symmetric, Signer::ed25519().jwk("k3")]));
    let good = signer.token("k1", &claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let none = |algorithm: &str| {
        let header = encoded(json!({"alg": algorithm, "kid": "k1"}).to_string());
        format!("{header}.{}.", encoded(claims().to_string()))
    };
    let hmac = |kid: &str, key: &[u8]| {
        let header = encoded(json!({"alg": "HS256", "kid": kid}).to_string());
        let message = format!("{header}.{}", encoded(claims().to_string()));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
        format!("{message}.{}", encoded(ring::hmac::sign(&key, message.as_bytes())))
    };
    let public = match &signer {
        Signer::P256(key) => key.public_key().as_ref().to_vec(),
        _ => unreachable!(),
    };
    let head = |header: Value| signer.token_with(&header, &claims());
    for (what, token) in [
        ("no algorithm", none("none")),
        ("no signature", none("ES256")),
        ("another key", other.token("k1", &claims())),
        ("a key of another type under the same name", Signer::ed25519().token("k1", &claims())),
        ("the same of RSA", Signer::rsa().token("k1", &claims())),
        ("the name of another key", signer.token("k3", &claims())),
        ("a symmetric key that is in the set", hmac("k2", secret)),
        ("the public key as a secret", hmac("k1", &public)),
        ("an algorithm that the key is not for", head(json!({"alg": "ES384", "kid": "k1"}))),
        ("what has to be understood", head(json!({"alg": "ES256", "kid": "k1", "crit": ["b64"], "b64": false}))),
        ("other claims", format!("{}.{signature}", message.replace('.', ".e"))),
        ("half a signature", good[..good.len() - 10].to_owned()),
        ("no token", "a.b.c".to_owned()),
        ("too long", format!("{good}{}", "A".repeat(20_000))),
    ] {
        assert!(identify(&authenticator, &token).await.is_err(), "{what}: {token}");
    }
    assert!(identify(&authenticator, &good).await.is_ok());
}

#[tokio::test]
async fn no_token_is_taken_where_no_issuer_is_trusted() {
    let token = Signer::p256().token("k1", &claims());
    assert_eq!(identify(&Authenticator::default(), &token).await.err(), Some(Unidentified::Unknown));
    let (authenticator, issuer) = trusting();
    let signer = Signer::p256();
    issuer.found(keys(&[signer.jwk("k1")]));
    let token = signer.token("k1", &claims());
    assert!(identify(&authenticator, &token).await.is_ok());
    authenticator.replace_rules(Rules::default());
    assert_eq!(identify(&authenticator, &token).await.err(), Some(Unidentified::Unknown));
}

#[tokio::test(start_paused = true)]
async fn keys_are_looked_for_when_a_token_names_one_that_is_not_there() {
    let (authenticator, issuer) = trusting();
    let (old, new) = (Signer::p256(), Signer::p256());
    let first = old.token("k1", &claims());
    // Somebody fetches, once they are asked to.
    let (answer, _) = tokio::join!(identify(&authenticator, &first), async {
        issuer.wanted().await;
        issuer.found(keys(&[old.jwk("k1")]));
    });
    assert_eq!(answer.err(), Some(Unidentified::NoKeys), "who waits is answered before those who are slow");
    assert!(identify(&authenticator, &first).await.is_ok());
    let rotated = new.token("k2", &claims());
    assert_eq!(identify(&authenticator, &rotated).await.err(), Some(Unidentified::Unknown), "they are new");
    tokio::time::sleep(Duration::from_secs(11)).await;
    let (answer, ()) = tokio::join!(identify(&authenticator, &rotated), async {
        issuer.found(keys(&[new.jwk("k2")]));
    });
    assert!(answer.is_ok());
    // The old key is gone, and so is what it vouched for.
    assert_eq!(identify(&authenticator, &first).await.err(), Some(Unidentified::Unknown));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_down_keeps_nobody_waiting_for_long_and_its_keys_are_good_for_a_day() {
    let (authenticator, issuer) = trusting();
    let signer = Signer::p256();
    let token = signer.token("k1", &claims());
    assert_eq!(identify(&authenticator, &token).await.err(), Some(Unidentified::NoKeys), "nobody answers at all");
    issuer.failed();
    assert_eq!(identify(&authenticator, &token).await.err(), Some(Unidentified::NoKeys));
    issuer.found(keys(&[signer.jwk("k1")]));
    tokio::time::sleep(Duration::from_secs(23 * 3600)).await;
    issuer.failed();
    assert!(identify(&authenticator, &token).await.is_ok());
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    issuer.failed();
    let fresh = signer.token("k1", &with("jti", json!("another")));
    assert_eq!(identify(&authenticator, &fresh).await.err(), Some(Unidentified::NoKeys));
}

#[test]
fn sets_of_keys_that_verify_nothing_are_refused() {
    for text in ["", "{}", "{\"keys\": []}", "{\"keys\": [{\"kty\": \"oct\", \"k\": \"AAAA\"}]}", "{\"keys\": 1}"] {
        assert!(Keys::parse(text.as_bytes()).is_err(), "{text}");
    }
    let mut for_encryption = Signer::p256().jwk("k1");
    for_encryption["use"] = json!("enc");
    assert!(Keys::parse(json!({ "keys": [for_encryption] }).to_string().as_bytes()).is_err());
    let many = vec![Signer::p256().jwk("k1"); 101];
    assert!(Keys::parse(json!({ "keys": many }).to_string().as_bytes()).is_err());
}
