use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::{Disk, File};

const ENOSPC: i32 = 28;
const EIO: i32 = 5;
const EMFILE: i32 = 24;

async fn durable_file(disk: Arc<SimDisk>, path: &str, length: u64) -> Arc<dyn File> {
    let file = disk.create(path).await.unwrap();
    file.allocate(length).await.unwrap();
    file.sync("test: a new file").await.unwrap();
    disk.sync_directory("", "test: its name").await.unwrap();
    file
}

fn sectors(byte: u8, count: usize) -> Vec<Bytes> {
    vec![Bytes::from(vec![byte; 512 * count])]
}

#[test]
fn the_same_seed_runs_the_same() {
    let run = |seed| {
        let mut world = World::new(seed);
        let (disk, runtime) = (world.disk(), world.runtime());
        world.block_on(async {
            for task in 0..4 {
                let disk = Arc::clone(&disk);
                runtime.spawn(
                    "writer",
                    Box::pin(async move {
                        let file = disk.create(&format!("{task}")).await.unwrap();
                        file.write_at(0, sectors(task, 2)).await.unwrap();
                    }),
                );
            }
            runtime.sleep(std::time::Duration::from_secs(1)).await;
        });
        world.trace()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_power_cut_loses_tears_and_keeps_what_was_not_synced_and_nothing_else() {
    let (mut lost, mut kept, mut torn) = (0, 0, 0);
    for seed in 0..200 {
        let mut world = World::new(seed);
        let disk = world.disk();
        world.block_on(async {
            let file = durable_file(Arc::clone(&disk), "f", 8192).await;
            file.write_at(0, sectors(1, 4)).await.unwrap();
            file.sync("test: data").await.unwrap();
            file.write_at(2048, sectors(2, 4)).await.unwrap();
        });
        world.crash(Crash::Power);
        let content = disk.content("f").unwrap();
        assert!(content[..2048].iter().all(|byte| *byte == 1));
        let survived = (4..8).filter(|sector| content[sector * 512] == 2).count();
        match survived {
            0 => lost += 1,
            4 => kept += 1,
            _ => torn += 1,
        }
    }
    assert!(lost > 10 && kept > 10 && torn > 10, "{lost} {kept} {torn}");
}

#[test]
fn a_killed_process_loses_nothing_that_completed() {
    let mut world = World::new(3);
    let disk = world.disk();
    world.block_on(async {
        let file = disk.create("f").await.unwrap();
        file.write_at(0, sectors(7, 1)).await.unwrap();
    });
    world.crash(Crash::Process);
    assert_eq!(disk.content("f"), Some(vec![7; 512]));
}

#[test]
fn names_that_no_sync_separates_survive_in_any_combination() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let mut world = World::new(seed);
        let disk = world.disk();
        world.block_on(async {
            for name in ["a", "b"] {
                durable_file(Arc::clone(&disk), name, 0).await;
            }
            disk.unlink("a").await.unwrap();
            disk.unlink("b").await.unwrap();
        });
        world.crash(Crash::Power);
        seen.insert(disk.paths());
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

fn fails_once(operation: Operation) -> Rule {
    Rule { operation: Some(operation), path: "f", after: 0, times: 1, errno: EIO }
}

/// Sectors of a file of four that show what was written, over many seeds.
fn written_sectors(write: impl AsyncFn(Arc<SimDisk>, Arc<dyn File>)) -> std::collections::BTreeSet<usize> {
    let sectors_of = |seed| {
        let mut world = World::new(seed);
        let disk = world.disk();
        world.block_on(async {
            let file = durable_file(Arc::clone(&disk), "f", 2048).await;
            write(Arc::clone(&disk), file).await;
            disk.content("f").unwrap().chunks(512).filter(|sector| sector[0] == 9).count()
        })
    };
    (0..100).map(sectors_of).collect()
}

#[test]
fn a_failed_sync_loses_any_part_of_what_waited_though_reads_show_it_until_the_cache_is_let_go() {
    let found = written_sectors(async |disk, file| {
        file.write_at(0, sectors(9, 4)).await.unwrap();
        disk.faults(|faults| faults.fail(fails_once(Operation::Sync)));
        let error = file.sync("test: fails").await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(EIO));
        file.sync("test: lies").await.unwrap();
        assert_eq!(disk.content("f"), Some(vec![9; 2048]));
        file.forget_cached().await.unwrap();
    });
    assert_eq!(found, (0..=4).collect());
}

#[test]
fn a_failed_write_may_have_written_any_part() {
    let found = written_sectors(async |disk, file| {
        disk.faults(|faults| faults.fail(fails_once(Operation::Write)));
        assert!(file.write_at(0, sectors(9, 4)).await.is_err());
    });
    assert_eq!(found, (0..=4).collect());
}

#[test]
fn no_more_files_are_open_than_may_be() {
    let mut world = World::new(1);
    let disk = world.disk();
    disk.faults(|faults| faults.most_open_files = Some(1));
    world.block_on(async {
        let first = disk.create("a").await.unwrap();
        assert_eq!(disk.open("a").await.err().unwrap().raw_os_error(), Some(EMFILE));
        drop(first);
        assert!(disk.open("a").await.is_ok());
    });
}

#[test]
fn chances_hit_what_they_name_and_nothing_else() {
    let mut world = World::new(1);
    let disk = world.disk();
    disk.faults(|faults| {
        faults.sometimes(Chance { operation: Some(Operation::Create), path: "a", one_in: 3, errno: ENOSPC });
    });
    let failed = world.block_on(async {
        let mut failed = 0;
        for at in 0..300 {
            failed += u32::from(disk.create(&format!("a{at}")).await.is_err());
            disk.create(&format!("b{at}")).await.unwrap();
        }
        failed
    });
    assert!((60..140).contains(&failed), "{failed} of 300");
}

#[test]
fn a_full_filesystem_refuses_to_grow_but_not_to_write_what_was_allocated() {
    let mut world = World::new(1);
    let disk = world.disk();
    disk.set_capacity(16_384);
    world.block_on(async {
        let file = durable_file(Arc::clone(&disk), "f", 8192).await;
        disk.set_neighbour(8192);
        assert_eq!(disk.space().await.unwrap().available, 0);
        file.write_at(0, sectors(1, 16)).await.unwrap();
        assert_eq!(file.allocate(8193).await.unwrap_err().raw_os_error(), Some(ENOSPC));
        disk.unlink("f").await.unwrap();
        assert_eq!(disk.allocated(), 8192, "open, so not given back");
        file.close().await.unwrap();
        assert_eq!(disk.allocated(), 0);
    });
}

#[test]
fn an_ignored_sync_reports_success_and_does_nothing() {
    let mut world = World::new(1);
    let disk = world.disk();
    disk.faults(|faults| faults.ignore_sync("test: data"));
    world.block_on(async {
        let file = durable_file(Arc::clone(&disk), "f", 512).await;
        file.write_at(0, sectors(1, 1)).await.unwrap();
        file.sync("test: data").await.unwrap();
    });
    world.crash(Crash::PowerKeeping(0));
    assert_eq!(disk.content("f"), Some(vec![0; 512]));
}

#[test]
fn the_world_stops_after_the_operation_that_it_was_told() {
    let mut world = World::new(1);
    let disk = world.disk();
    let stopped = world.block_on_for(3, async {
        for name in 0..9 {
            disk.create(&name.to_string()).await.unwrap();
        }
    });
    assert_eq!((stopped, world.operations()), (None, 3));
}
