//! Short scenarios that are killed after each single operation of the disk: by a crash of the process, and by power cuts that keep each subset of what no
//! sync has covered, up to a bound. What is found is held against the model, also where the recovery is killed in its turn.

use std::panic::catch_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use kura_disk::sim::{Crash, World};
use kura_disk::{Runtime, SyncReason};
use kura_store::geometry::Geometry;
use kura_store::{Durability, Settings, Store};
use parking_lot::Mutex;

use crate::calls;
use crate::model::{Model, NAMESPACES, key, namespace};
use crate::oracle::{check, check_files};
use crate::plan::{Plan, SEGMENT};

/// With so many changes that no sync has covered, each subset of them is tried; with more, each alone, each left out, all and none.
const EVERY_SUBSET_OF: usize = 4;

/// In how many places a recovery is killed.
const KILLED_RECOVERIES: u64 = 3;

/// A body that is as large as one in a shared segment can be.
const LARGE: usize = 16_000;

/// A body with a segment of its own.
const SOLO: usize = 30_000;

type Step = for<'a> fn(&'a Script) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

struct Scenario {
    name: &'static str,
    /// The budget in segments: while it is prepared, and then. Where they differ, the store is stopped and opened again.
    segments: (u64, u64),
    prepare: Step,
    act: Step,
    /// A sync that the disk only pretends to do.
    ignored: Option<SyncReason>,
}

/// A store that is used by the model's book.
struct Script {
    store: Store,
    runtime: Arc<dyn Runtime>,
    model: Arc<Mutex<Model>>,
}

impl Script {
    async fn put(&self, at: usize, length: usize) {
        self.put_to(0, at, length, true).await;
    }

    async fn put_to(&self, namespace: usize, at: usize, length: usize, known: bool) {
        let key = key(namespace, at);
        let (write, body) = self.model.lock().begin_put(&key, length);
        let put = calls::put(&self.store, &key, &body, known, 4096).await;
        put.expect("a put");
        self.model.lock().answered_put(&key, write, true);
    }

    async fn get(&self, at: usize) {
        let least = self.model.lock().least(&key(0, at));
        if let Some(body) = calls::get(&self.store, &key(0, at)).await.expect("a read") {
            self.model.lock().shown(&key(0, at), least, &body);
        }
    }

    async fn delete(&self, at: usize) {
        let ends = self.model.lock().begin_end(|other| *other == key(0, at));
        self.store.delete(&key(0, at)).await.expect("a delete");
        self.model.lock().ended(ends);
    }

    async fn clean(&self) {
        let ends = self.model.lock().begin_clean(NAMESPACES[0]);
        self.store.clean(&namespace(0)).await.expect("a clean");
        self.model.lock().end_clean(NAMESPACES[0]);
        self.model.lock().ended(ends);
    }

    async fn wait(&self) {
        self.runtime.sleep(Duration::from_secs(2)).await;
    }

    /// Writes to the other namespace until `enough`.
    async fn fill(&self, first: usize, enough: impl Fn(&Store) -> bool) {
        for at in first.. {
            if enough(&self.store) {
                return;
            }
            self.put_to(1, at, LARGE, true).await;
            self.runtime.sleep(Duration::from_millis(1)).await;
        }
    }

    /// Fills the budget, short of the first eviction.
    async fn fill_up(&self, first: usize) {
        self.fill(first, |store| {
            let stats = store.stats();
            stats.used.iter().map(|(_, bytes)| bytes).sum::<u64>() + SEGMENT > stats.budget
        })
        .await;
        self.wait().await;
    }
}

fn scenarios() -> Vec<Scenario> {
    let nothing: Step = |_| Box::pin(async {});
    let on = |name, prepare: Step, act: Step| Scenario { name, segments: (10, 10), prepare, act, ignored: None };
    vec![
        on("a put", nothing, |script| Box::pin(script.put(0, 3000))),
        on("a put of a large body", nothing, |script| Box::pin(script.put(0, LARGE))),
        on("a put of a solo", nothing, |script| {
            Box::pin(async {
                script.put(0, SOLO).await;
                script.wait().await;
            })
        }),
        on("a put of a solo of unknown length", nothing, |script| Box::pin(script.put_to(0, 0, SOLO, false))),
        on("a put of unknown length that ends short", nothing, |script| Box::pin(script.put_to(0, 0, 9000, false))),
        on("an upload that is abandoned", nothing, |script| {
            Box::pin(async {
                let (write, body) = script.model.lock().begin_put(&key(0, 0), SOLO);
                script.model.lock().abandoned(&key(0, 0), write);
                let mut upload = calls::begin(&script.store, &key(0, 0), Some(SOLO)).await.expect("room");
                upload.write(body.slice(..SOLO / 2)).await.expect("a write");
                drop(upload);
                script.wait().await;
            })
        }),
        on("an overwrite", |script| Box::pin(script.put(0, 300)), |script| Box::pin(script.put(0, 700))),
        on(
            "an overwrite of a solo",
            |script| Box::pin(script.put(0, SOLO)),
            |script| {
                Box::pin(async {
                    script.put(0, 700).await;
                    script.wait().await;
                })
            },
        ),
        on("a delete", |script| Box::pin(script.put(0, 300)), |script| Box::pin(script.delete(0))),
        on(
            "a clean in front of a solo",
            |script| {
                Box::pin(async {
                    script.put(1, 300).await;
                    script.put(0, SOLO).await;
                })
            },
            |script| {
                Box::pin(async {
                    script.clean().await;
                    script.put(1, 300).await;
                })
            },
        ),
        on(
            "a rotation, and a seal",
            |script| Box::pin(script.fill(100, |store| store.stats().live_bytes > SEGMENT / 2)),
            |script| {
                Box::pin(async {
                    script.fill(200, |store| store.stats().rotations > 1).await;
                    script.wait().await;
                })
            },
        ),
        on(
            "a reclaim with a rescue",
            |script| {
                Box::pin(async {
                    script.put(0, 3000).await;
                    script.put(1, LARGE).await;
                    script.get(0).await;
                    script.put(2, SOLO).await;
                    script.delete(2).await;
                    script.fill_up(100).await;
                })
            },
            |script| Box::pin(script.fill(200, |store| store.stats().evictions > 1)),
        ),
        on(
            "a promotion",
            |script| {
                Box::pin(async {
                    script.put(1, 300).await;
                    script.put(0, SOLO).await;
                    script.get(0).await;
                    script.fill_up(100).await;
                })
            },
            |script| Box::pin(script.fill(200, |store| store.stats().promotions > 0)),
        ),
        on(
            "a compaction",
            |script| {
                Box::pin(async {
                    script.put(1, 700).await;
                    for at in 2..6 {
                        script.put(at, 15_000).await;
                    }
                    script.wait().await;
                })
            },
            |script| {
                Box::pin(async {
                    for at in 2..6 {
                        script.put(at, 300).await;
                    }
                    script.wait().await;
                    assert!(script.store.stats().compactions > 0);
                })
            },
        ),
        Scenario {
            name: "a start with a lower budget",
            segments: (12, 9),
            prepare: |script| {
                Box::pin(async {
                    script.put(1, 300).await;
                    script.put(0, SOLO).await;
                    script.clean().await;
                    script.fill_up(100).await;
                })
            },
            act: |script| Box::pin(script.put(0, 300)),
            ignored: None,
        },
    ]
}

fn plan(segments: u64) -> Plan {
    Plan {
        quotas: false,
        budget: segments * SEGMENT,
        durability: Durability::Always,
        lives: 1,
        operations: 0,
        largest: 0,
        lease: Duration::ZERO,
        trouble: None,
    }
}

/// A machine on which a scenario was played up to some operation.
struct Stage {
    world: World,
    model: Arc<Mutex<Model>>,
    /// The store that runs, where one was opened.
    store: Arc<Mutex<Option<Store>>>,
}

impl Stage {
    /// Prepares a scenario, and plays so many operations of it, or all. Returns how many there were.
    fn play(scenario: &Scenario, operations: Option<u64>) -> (Stage, u64) {
        let mut stage = Stage { world: World::new(7), model: Arc::default(), store: Arc::default() };
        stage.world.disk().set_capacity(64 << 20);
        stage.world.disk().faults(|faults| scenario.ignored.into_iter().for_each(|why| faults.ignore_sync(why)));
        let (before, after) = scenario.segments;
        let script = stage.world.block_on(stage.open(before));
        stage.world.block_on(async {
            (scenario.prepare)(&script).await;
            script.wait().await;
        });
        let script = if before == after {
            Some(script)
        } else {
            stage.world.block_on(script.store.shutdown()).expect("a clean stop");
            stage.is_over();
            stage.world.crash(Crash::Process);
            // A start that is killed tells nobody what it evicts to fit.
            stage.model.lock().lost = u64::from(u32::MAX);
            None
        };
        let first = stage.world.operations();
        let act = stage.act(scenario, script);
        stage.world.block_on_for(operations.unwrap_or(u64::MAX), act);
        let played = stage.world.operations() - first;
        (stage, played)
    }

    fn act<'a>(&self, scenario: &'a Scenario, script: Option<Script>) -> impl Future<Output = ()> + use<'a> {
        let opened = self.open(scenario.segments.1);
        async move {
            let script = match script {
                Some(script) => script,
                None => opened.await,
            };
            (scenario.act)(&script).await;
        }
    }

    fn open(&self, segments: u64) -> impl Future<Output = Script> + use<> {
        let (disk, runtime) = (self.world.disk(), self.world.runtime());
        let (model, running) = (Arc::clone(&self.model), Arc::clone(&self.store));
        async move {
            let store = calls::open(&disk, &runtime, settings(segments)).await.expect("a store opens after any crash");
            *running.lock() = Some(store.clone());
            Script { store, runtime, model }
        }
    }

    /// The process is over: what it evicted is remembered.
    fn is_over(&self) {
        if let Some(store) = self.store.lock().take() {
            self.model.lock().lost += store.stats().shed_records;
        }
    }

    fn crash(&mut self, crash: Crash) {
        self.is_over();
        self.world.crash(crash);
        self.model.lock().crashed();
    }

    /// Starts again and checks. Returns how many operations the start took.
    fn recover(&mut self, scenario: &Scenario) -> u64 {
        let segments = scenario.segments.1;
        let first = self.world.operations();
        let script = self.world.block_on(self.open(segments));
        let took = self.world.operations() - first;
        let disk = self.world.disk();
        let shrinks = scenario.segments.0 != segments;
        if shrinks {
            // What was found is more than the budget, until the start is over.
            disk.take_peak();
        }
        self.world.block_on(async {
            check(&script.store, &disk, &script.model, &plan(segments)).await;
            script.wait().await;
            check_files(&script.store, &disk, false);
        });
        took
    }
}

fn settings(segments: u64) -> Settings {
    let mut settings = Settings::new(Geometry::simulation(segments * SEGMENT));
    settings.lease = Duration::ZERO;
    settings
}

/// The crashes that are tried where so many changes are not synced.
fn crashes(unsynced: usize) -> Vec<Crash> {
    let all = 1u64.checked_shl(u32::try_from(unsynced).unwrap()).unwrap_or(0).wrapping_sub(1);
    let masks: Vec<u64> = if unsynced <= EVERY_SUBSET_OF {
        (0..=all).collect()
    } else {
        let alone = (0..unsynced.min(64)).map(|bit| 1 << bit);
        alone.clone().chain(alone.map(|bit| all & !bit)).chain([0, all]).collect()
    };
    masks.into_iter().map(Crash::PowerKeeping).chain([Crash::Process, Crash::Power]).collect()
}

#[derive(Default)]
struct Counts {
    operations: u64,
    crashes: u64,
    killed_recoveries: u64,
}

fn kill_everywhere(scenario: &Scenario) -> Counts {
    let mut counts = Counts { operations: Stage::play(scenario, None).1, ..Counts::default() };
    // After the last one what it did is not acknowledged yet: so also when all is over.
    for operations in (1..=counts.operations).map(Some).chain([None]) {
        let unsynced = Stage::play(scenario, operations).0.world.disk().unsynced();
        for crash in crashes(unsynced) {
            let again = || {
                let (mut stage, _) = Stage::play(scenario, operations);
                stage.crash(crash);
                stage
            };
            tracing::debug!(scenario = scenario.name, ?operations, ?crash);
            let took = again().recover(scenario);
            counts.crashes += 1;
            if !matches!(crash, Crash::Process | Crash::PowerKeeping(0)) {
                continue;
            }
            for part in 0..KILLED_RECOVERIES {
                let mut stage = again();
                let opening = stage.open(scenario.segments.1);
                // Spread over the recovery, and other places of it at the next operation.
                let killed_at = 1 + (part * took / KILLED_RECOVERIES + operations.unwrap_or(0)) % took.max(1);
                stage.world.block_on_for(killed_at, opening);
                stage.crash(if part % 2 == 0 { Crash::Power } else { Crash::Process });
                stage.recover(scenario);
                counts.killed_recoveries += 1;
            }
        }
    }
    counts
}

#[test]
fn whichever_operation_is_the_last_the_next_start_finds_what_was_acknowledged_and_nothing_older() {
    let queue = Mutex::new(scenarios());
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some(scenario) = queue.lock().pop() else { return };
                    let Counts { operations, crashes, killed_recoveries } = kill_everywhere(&scenario);
                    let name = scenario.name;
                    println!(
                        "{name}: {operations} operations, {crashes} crashes, {killed_recoveries} killed recoveries"
                    );
                }
            });
        }
    });
}

#[test]
fn without_the_sync_of_a_commit_some_crash_point_shows_what_is_lost() {
    for name in ["a put", "an overwrite", "a delete"] {
        let scenario = scenarios().into_iter().find(|scenario| scenario.name == name).unwrap();
        let scenario = Scenario { ignored: Some("records of a commit"), ..scenario };
        assert!(catch_unwind(|| kill_everywhere(&scenario)).is_err(), "{name}");
    }
}
