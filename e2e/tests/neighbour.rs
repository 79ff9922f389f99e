//! A filesystem filled by somebody else while writes run: clean refusals, nothing leaked, what is there is served, and writes go on once there is room.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::ops::Range;

use kura_e2e::{Kura, Mount, Neighbour, until};

const FILESYSTEM_MEBIBYTES: u64 = 512;
const CAPACITY: u64 = 256 << 20;
const BODY: usize = 1 << 20;

/// Written while there is room: fewer bytes than the eight segments below which a cache gives nothing away.
const EARLIER: Range<usize> = 0..64;

/// Sent while there is none, more than the filesystem could hold.
const LATER: Range<usize> = 64..600;

/// Refusals after which a neighbour has shown what it does.
const ENOUGH: usize = 20;

/// `--min-free` where the cache is to give way: two segments.
const LEFT_FREE: u64 = 32 << 20;

/// Left by a neighbour that takes the rest at once: the filesystem needs some to say where it is.
const METADATA: u64 = 1 << 20;

#[test]
fn on_tmpfs_it_refuses_and_keeps_what_it_has() {
    refuses_and_keeps(&Mount::tmpfs(FILESYSTEM_MEBIBYTES));
}

#[test]
fn on_ext4_it_refuses_and_keeps_what_it_has() {
    refuses_and_keeps(&Mount::ext4(FILESYSTEM_MEBIBYTES));
}

fn refuses_and_keeps(mount: &Mount) {
    let bare = mount.used();
    let mut kura = start(mount, 0);
    write(&kura, EARLIER);
    let mut neighbour = Neighbour::new(mount);
    let newest = write_until_refused(&kura, &mut neighbour);
    assert_eq!(served(&kura, EARLIER), EARLIER.len(), "a full filesystem takes nothing away");
    assert_eq!(served(&kura, newest..newest + 1), 1, "the newest is served");
    neighbour.leave();
    until("writes to go on", || put(&kura, LATER.end) == 200);
    assert_eq!(served(&kura, LATER.end..LATER.end + 1), 1);
    assert!(mount.used() - bare <= kura.metrics().ledger(), "every byte has an owner");
    nothing_is_left_behind(&mut kura);
}

#[test]
fn it_gives_way_oldest_first_where_it_is_told_to_leave_room() {
    let mount = Mount::ext4(FILESYSTEM_MEBIBYTES);
    let kura = start(&mount, LEFT_FREE);
    let all = 0..150;
    write(&kura, all.clone());
    assert_eq!(kura.metrics().evictions(), 0, "alone, it has room for all of them");
    // In one step: a neighbour that went on taking would get what is given up, down to the last eight segments.
    Neighbour::new(&mount).take(mount.free() - METADATA);
    until("room to be left", || mount.free() >= LEFT_FREE);
    assert!(kura.metrics().evictions() > 0);
    let left = served(&kura, all.clone());
    assert!(left > 0 && left < all.len(), "{left} are left");
    assert_eq!(served(&kura, all.end - left..all.end), left, "the newest are left");
    until("writes to go on", || put(&kura, all.end) == 200);
}

fn start(mount: &Mount, min_free: u64) -> Kura {
    let (capacity, min_free) = (CAPACITY.to_string(), min_free.to_string());
    let flags = ["--capacity", &capacity, "--min-free", &min_free, "--room-wait", "200ms"];
    Kura::start_in(&mount.path().join("data"), &flags)
}

fn write(kura: &Kura, numbers: Range<usize>) {
    for number in numbers {
        assert_eq!(put(kura, number), 200);
    }
}

fn path(number: usize) -> String {
    format!("/http/e2e/{number}")
}

fn body(number: usize) -> Vec<u8> {
    vec![u8::try_from(number % 251).unwrap(); BODY]
}

fn put(kura: &Kura, number: usize) -> u16 {
    kura.put(&path(number), &body(number)).status
}

/// How many of these are served. The others are clean misses.
fn served(kura: &Kura, numbers: Range<usize>) -> usize {
    let is_served = |number: &usize| {
        let answer = kura.get(&path(*number));
        assert!(answer.status == 404 || answer.status == 200 && answer.body == body(*number), "{}", answer.status);
        answer.status == 200
    };
    numbers.filter(is_served).count()
}

/// Writes beside a neighbour that takes every byte that becomes free, until that has led to refusals. Returns the newest that was stored.
fn write_until_refused(kura: &Kura, neighbour: &mut Neighbour) -> usize {
    let mut newest = EARLIER.end - 1;
    let mut refused = 0;
    for number in LATER {
        neighbour.take_all();
        match put(kura, number) {
            200 => newest = number,
            429 | 507 => refused += 1,
            status => panic!("{status}"),
        }
        if refused == ENOUGH {
            return newest;
        }
    }
    panic!("with no byte left, writes have to be refused");
}

fn nothing_is_left_behind(kura: &mut Kura) {
    assert!(kura.stop().success());
    let files = std::fs::read_dir(kura.data().join("segments")).unwrap();
    let strays = files.filter(|file| !file.as_ref().unwrap().file_name().to_string_lossy().ends_with(".seg"));
    assert_eq!(strays.count(), 0, "nothing is left behind");
}
