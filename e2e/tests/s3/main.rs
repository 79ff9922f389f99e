//! S3 under real clients: Python's boto3 and Rust's object_store, each with every call that it makes to put, get, range, list, upload in parts and
//! delete, also after a restart and after `kill -9`. sccache over S3 is in `sccache`.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod object_store;

use std::process::Command;

use kura_e2e::{Kura, S3, run};

fn boto3(kura: &Kura, what: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/s3/client.py");
    let python = std::env::var_os("KURA_PYTHON").expect("KURA_PYTHON names a Python that has boto3: see .ci/run");
    let mut python = Command::new(python);
    python.env("AWS_ACCESS_KEY_ID", S3::ID).env("AWS_SECRET_ACCESS_KEY", S3::SECRET).env("AWS_REGION", "us-east-1");
    run(python.args([script, &kura.url("/s3"), what]))
}

#[test]
fn boto3_finds_what_it_stored() {
    let s3 = S3::new();
    let flags = [&["--capacity", "512MiB", "--memory", "256MiB", "--log-level", "trace"], &s3.flags()[..]].concat();
    let mut kura = Kura::start(&flags);
    println!("{}", boto3(&kura, "each call"));
    boto3(&kura, "store");
    kura.in_each_life(|kura| drop(boto3(kura, "find")));
    let logged = kura.logged();
    assert!(!logged.contains(S3::SECRET), "a secret in the log");
    assert!(!logged.contains("s3s::"), "the library that knows secrets has logged");
}

#[test]
fn who_has_another_secret_or_another_clock_is_refused() {
    let s3 = S3::new();
    let kura = Kura::start(&[&["--capacity", "256MiB"], &s3.flags()[..]].concat());
    boto3(&kura, "strangers");
}

#[test]
fn object_store_finds_what_it_stored() {
    let s3 = S3::new();
    let mut kura = Kura::start(&[&["--capacity", "512MiB"], &s3.flags()[..]].concat());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(object_store::each_call(&object_store::client(&kura.url("/s3"))));
    runtime.block_on(object_store::store(&object_store::client(&kura.url("/s3"))));
    kura.in_each_life(|kura| runtime.block_on(object_store::find(&object_store::client(&kura.url("/s3")))));
}
