//! A filesystem filled by somebody else while writes run: clean refusals, nothing leaked, what is there is served, and writes go on once there is room.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs::File;
use std::io::Write;
use std::path::Path;

use kura_e2e::{Kura, Mount, until};

const CAPACITY: u64 = 256 << 20;
const BODY: usize = 1 << 20;

fn body(number: usize) -> Vec<u8> {
    vec![u8::try_from(number % 251).unwrap(); BODY]
}

/// Takes what is free. Returns once the filesystem has refused a byte.
fn fill(file: &mut File) {
    let chunk = vec![1; 64 << 10];
    while file.write_all(&chunk).is_ok() {}
}

fn room_again(path: &Path) {
    std::fs::remove_file(path).unwrap();
}

#[test]
fn on_tmpfs() {
    survives_a_neighbour(&Mount::tmpfs(512));
}

#[test]
fn on_ext4() {
    survives_a_neighbour(&Mount::ext4(512));
}

fn survives_a_neighbour(mount: &Mount) {
    let mut kura =
        Kura::start_in(&mount.path().join("data"), &["--capacity", &CAPACITY.to_string(), "--room-wait", "200ms"]);
    for number in 0..64 {
        assert_eq!(kura.put(&format!("/http/e2e/{number}"), &body(number)).status, 200);
    }
    let neighbour = mount.path().join("neighbour");
    let mut file = File::create(&neighbour).unwrap();
    let mut refused = 0;
    let mut newest = 63;
    for number in 64..400 {
        fill(&mut file);
        match kura.put(&format!("/http/e2e/{number}"), &body(number)).status {
            200 => newest = number,
            429 | 507 => refused += 1,
            status => panic!("{status}"),
        }
        if refused > 20 {
            break;
        }
    }
    assert!(refused > 0, "with no byte left, something has to be refused");
    assert_eq!(kura.get(&format!("/http/e2e/{newest}")).body, body(newest), "the newest is served all the same");
    drop(file);
    room_again(&neighbour);
    until("writes to go on", || kura.put("/http/e2e/after", &body(1)).status == 200);
    assert_eq!(kura.get("/http/e2e/after").body, body(1));
    assert!(kura.stop().success());
    let files = std::fs::read_dir(kura.data().join("segments")).unwrap();
    let strays = files.filter(|file| !file.as_ref().unwrap().file_name().to_string_lossy().ends_with(".seg"));
    assert_eq!(strays.count(), 0, "nothing is left behind");
}
