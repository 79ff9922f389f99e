//! A bit that flips on the disk: `kura check` names it while nothing runs, and a server finds it before a client asks.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;

use kura_e2e::{Kura, kura_binary, run_for_status, until};

/// Above a quarter of a segment: it has a file of its own, which is sealed.
const LARGE: usize = 6 << 20;

#[test]
fn a_flipped_bit_is_named_by_a_check_and_found_by_a_server_that_nobody_asks() {
    let mut kura = Kura::start(&["--capacity", "200MiB"]);
    assert_eq!(kura.put("/http/e2e/large", &[7; LARGE]).status, 200);
    assert_eq!(kura.put("/http/e2e/small", b"small").status, 200);
    assert!(kura.stop().success());
    let segments = std::fs::read_dir(kura.data().join("segments")).unwrap().map(|entry| entry.unwrap().path());
    let mut solos = segments.filter(|path| path.metadata().unwrap().len() < 2 * LARGE as u64);
    let solo = solos.next().unwrap();
    File::options().write(true).open(&solo).unwrap().write_all_at(&[8], LARGE as u64 / 2).unwrap();
    let (status, said) = run_for_status(Command::new(kura_binary()).env_clear().arg("check").arg(kura.data()));
    let number = solo.file_stem().unwrap().to_str().unwrap();
    assert!(status.code() == Some(1) && said.contains(&format!("segment {number}: damaged at 4096")), "{said}");
    // Its last pass was over; without that it begins one at once.
    std::fs::remove_file(kura.data().join("scrub")).unwrap();
    kura.start_again();
    until("the server to find it", || kura.metrics().of("kura_store_scrub_damaged_total") == 1);
    assert_eq!((kura.get("/http/e2e/large").status, kura.get("/http/e2e/small").text()), (404, "small".to_owned()));
    assert!(kura.logged().contains(number), "the log says where");
}
