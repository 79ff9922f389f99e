//! Segments that a start cannot read: they keep their place, nothing that they hold comes back where it was replaced or ended, and they go in their turn.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use kura_disk::sim::{Crash, Operation, Rule};
use support::{
    BUDGET, EIO, Life, Machine, PAGE, SEGMENT, bytes_on_disk, captured::captured, has_artifacts, key, names, segment,
    with_artifacts,
};

#[test]
fn a_segment_that_cannot_be_read_is_left_alone_and_named() {
    let mut machine = with_artifacts();
    let disk = machine.disk();
    let path = bytes_on_disk::find(&disk, &key("shared")).unwrap().path;
    machine.fail(Rule {
        operation: Some(Operation::Read),
        path: path.clone().leak(),
        after: 0,
        times: u64::MAX,
        errno: EIO,
    });
    let log = captured(|| {
        machine.live(|life| async move {
            assert!(life.has("solo", 30_000).await && !life.has("shared", 300).await);
            assert_eq!((life.store.stats().swept, life.used_by("foreign")), (0, SEGMENT));
        });
    });
    assert!(log.contains("could not be read") && log.contains(&path), "{log}");
    machine.crash(Crash::Process);
    disk.faults(|faults| faults.heal());
    machine.live(|life| async move { assert!(has_artifacts(&life).await, "nothing was lost") });
}

/// A store that has worked for ten hours; then its clock falls back by a day, and one of its segments cannot be read. What is said and done then holds
/// when it can be read again. Returns that machine, and the segment's path.
fn with_an_unread_segment(name: &'static str) -> (Machine, String) {
    let mut machine = with_artifacts();
    machine.live(async |life: Life| {
        life.wait(10 * 3600).await;
        life.keep("shared", 300).await;
        life.keep("solo", 30_000).await;
        life.wait(2).await;
    });
    machine.crash(Crash::Process);
    machine.world.shift_wall_clock(-24 * 3600 * 1000);
    let path = bytes_on_disk::find(&machine.disk(), &key(name)).unwrap().path;
    let unread =
        |times| Rule { operation: Some(Operation::Read), path: path.clone().leak(), after: 0, times, errno: EIO };
    machine.fail(unread(u64::MAX));
    (machine, path)
}

#[test]
fn what_is_written_while_a_segment_cannot_be_read_is_newer_than_all_that_it_holds() {
    for (name, length) in [("shared", 300), ("solo", 30_000)] {
        for crash in [Crash::Process, Crash::PowerKeeping(0), Crash::Power] {
            let (mut machine, _) = with_an_unread_segment(name);
            machine.live(async |life: Life| {
                assert!(!life.has(name, length).await);
                life.keep(name, length + 1).await;
            });
            machine.crash(crash);
            machine.disk().faults(|faults| faults.heal());
            machine.live(async |life: Life| assert!(life.has(name, length + 1).await, "{name} after {crash:?}"));
        }
    }
}

#[test]
fn what_is_ended_while_a_segment_cannot_be_read_does_not_come_back_with_it() {
    for name in ["shared", "solo"] {
        let (mut machine, _) = with_an_unread_segment(name);
        machine.live(async |life: Life| life.store.delete(&key(name)).await.unwrap());
        machine.crash(Crash::Power);
        machine.disk().faults(|faults| faults.heal());
        machine.live(async |life: Life| assert_eq!(life.get(name).await, None, "{name}"));
    }
}

#[test]
fn a_segment_that_cannot_be_read_goes_when_it_is_the_oldest_and_not_after_what_replaced_its_records() {
    for name in ["shared", "solo"] {
        let (mut machine, path) = with_an_unread_segment(name);
        let disk = machine.disk();
        machine.live(async |life: Life| {
            life.keep(name, 200).await;
            while life.store.contains(&key(name)).is_some() {
                // Asking vouches for it for a minute.
                life.wait(120).await;
                life.fill(1).await;
            }
            assert!(!names(&disk).contains(&path));
            life.wait(2).await;
            life.check(BUDGET);
            assert_eq!(life.used_by("foreign"), 0);
        });
        machine.crash(Crash::Power);
        machine.disk().faults(|faults| faults.heal());
        machine.live(async |life: Life| assert_eq!(life.get(name).await, None, "{name} shows what had been replaced"));
    }
}

#[test]
fn a_number_that_no_store_gave_is_left_alone_where_it_cannot_be_read() {
    let mut machine = with_artifacts();
    let path = segment(u64::MAX);
    machine.disk().plant(&path, &[0xab; 9000]);
    let unread =
        Rule { operation: Some(Operation::Read), path: path.clone().leak(), after: 0, times: u64::MAX, errno: EIO };
    machine.fail(unread);
    machine.live(async |life: Life| {
        life.fill(12).await;
        assert_eq!(life.used_by("foreign"), 3 * PAGE);
        life.keep("shared", 400).await;
    });
    machine.crash(Crash::Process);
    assert!(names(&machine.disk()).contains(&path));
    machine.live(async |life: Life| assert!(life.has("shared", 400).await));
}
