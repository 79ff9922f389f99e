//! What each tenant may take of the server: so many requests a second, so many uploads at a time. Asked once a request, of HTTP and gRPC alike, when it is
//! known who makes it.
//! Promise: what one tenant asks for costs no other its turn. Who is too fast is slowed down first, since builds take that better than a refusal: a
//! request waits for its turn for up to [`PATIENCE`], and beyond that it is told to come back.
//! Not limited: who asks whether the server is well, and who removes.
//! Bounds: of each tenant as many requests wait as it may make in that time, as many uploads as it may have under way, and [`WAITING`] of either at most; so
//! many tenants are remembered as [`REMEMBERED`] says. What holds may be changed while the server runs.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kura_auth::Need;
use kura_cache::Tenant;
use kura_disk::Runtime;
use parking_lot::RwLock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::metrics::Exposition;

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most requests of a tenant that wait for their turns, and the most uploads that wait for others: each takes memory, which all share.
const WAITING: u32 = 1000;

/// What a tenant has not used of its requests is kept for so long: a build begins with many.
const SAVED: Duration = Duration::from_secs(1);

/// When to come back, where that depends on how long others take.
const COME_BACK: Duration = Duration::from_secs(1);

/// Tenants that are remembered. Beyond, those are forgotten that do nothing.
const REMEMBERED: usize = 10_000;

/// What a tenant may take. What is not said is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Requests a second.
    pub requests: Option<NonZeroU32>,
    /// Uploads at a time.
    pub uploads: Option<NonZeroU32>,
}

/// What tenants may take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Each of which nothing is said.
    pub each: Quota,
    /// Those of which something is.
    pub named: HashMap<Tenant, Quota>,
}

/// A tenant has what it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess {
    /// What its client is told.
    pub message: &'static str,
    /// When to come back.
    pub retry_after: Duration,
}

/// A request that may be carried out. An upload is under way until this is dropped.
#[must_use]
#[derive(Debug, Default)]
pub struct Admitted {
    _upload: Option<OwnedSemaphorePermit>,
}

/// All tenants, and what they take.
pub struct Tenants {
    runtime: Arc<dyn Runtime>,
    /// Whether anything is said of any: where nothing is, nothing is looked up.
    are_limited: AtomicBool,
    table: RwLock<Table>,
}

#[derive(Default)]
struct Table {
    quotas: Quotas,
    tenants: HashMap<Tenant, Arc<Share>>,
    /// Of those that are named, and under no name of all others.
    counts: HashMap<Option<Tenant>, Arc<Counts>>,
}

/// One tenant's.
struct Share {
    rate: Option<Rate>,
    uploads: Option<Uploads>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    slowed: AtomicU64,
    refused: AtomicU64,
}

impl Tenants {
    /// Nothing is limited until [`Tenants::replace`].
    #[must_use]
    pub fn new(runtime: Arc<dyn Runtime>) -> Arc<Tenants> {
        Arc::new(Tenants { runtime, are_limited: AtomicBool::new(false), table: RwLock::default() })
    }

    /// From here on this holds. What is under way goes on, and is not counted any more.
    pub fn replace(&self, quotas: Quotas) {
        let mut table = self.table.write();
        if table.quotas == quotas {
            return;
        }
        let names = quotas.named.keys().cloned().map(Some).chain([None]);
        let counts = names.map(|name| {
            let counts = table.counts.get(&name).cloned().unwrap_or_default();
            (name, counts)
        });
        let counts = counts.collect();
        self.are_limited.store(quotas != Quotas::default(), Ordering::Relaxed);
        *table = Table { quotas, tenants: HashMap::new(), counts };
    }

    /// Waits for the turn of a request that needs that and is the tenant's; of nobody in particular it is the default one's.
    ///
    /// # Errors
    /// Where that would take too long.
    pub async fn admit(&self, tenant: Option<&Tenant>, need: Need) -> Result<Admitted, Excess> {
        let is_limited = matches!(need, Need::Read | Need::Write) && self.are_limited.load(Ordering::Relaxed);
        if !is_limited {
            return Ok(Admitted::default());
        }
        let share = match tenant {
            Some(tenant) => self.of(tenant),
            None => self.of(&Tenant::default()),
        };
        let wait = share.rate.as_ref().map_or(Ok(Duration::ZERO), |rate| rate.turn(self.runtime.monotonic()));
        let wait = wait.map_err(|retry_after| {
            share.counts.refused.fetch_add(1, Ordering::Relaxed);
            Excess { message: "this tenant makes more requests a second than it may", retry_after }
        })?;
        if wait.is_zero() && (need != Need::Write || share.uploads.is_none()) {
            return Ok(Admitted::default());
        }
        // Few wait: other requests do not carry their state.
        Box::pin(self.wait(share, need, wait)).await
    }

    async fn wait(&self, share: Arc<Share>, need: Need, wait: Duration) -> Result<Admitted, Excess> {
        if !wait.is_zero() {
            share.counts.slowed.fetch_add(1, Ordering::Relaxed);
            self.runtime.sleep(wait).await;
        }
        let Some(uploads) = share.uploads.as_ref().filter(|_| need == Need::Write) else {
            return Ok(Admitted::default());
        };
        let permit = uploads.begin(&share.counts).await.ok_or_else(|| {
            share.counts.refused.fetch_add(1, Ordering::Relaxed);
            Excess { message: "this tenant has as many uploads under way as it may", retry_after: COME_BACK }
        })?;
        Ok(Admitted { _upload: Some(permit) })
    }

    fn of(&self, tenant: &Tenant) -> Arc<Share> {
        if let Some(known) = self.table.read().tenants.get(tenant) {
            return Arc::clone(known);
        }
        self.table.write().add(tenant)
    }

    /// What became of those who were too fast, for each tenant that is named and for all others together.
    pub(crate) fn expose(&self, to: &mut Exposition) {
        let table = self.table.read();
        let mut counts: Vec<_> = table.counts.iter().collect();
        counts.sort_by_key(|(name, _)| name.as_ref().map_or("", Tenant::as_str));
        type Read = fn(&Counts) -> &AtomicU64;
        let families: [(&str, &str, Read); 2] = [
            ("kura_tenant_slowed_total", "Requests that waited for their tenant's turn.", |of| &of.slowed),
            ("kura_tenant_refused_total", "Requests beyond what their tenant may take.", |of| &of.refused),
        ];
        for (name, help, read) in families {
            to.head(name, "counter", help);
            for (tenant, of) in &counts {
                let tenant = tenant.as_ref().map_or("", Tenant::as_str).replace('\\', "\\\\").replace('"', "\\\"");
                to.labelled(name, &format!("tenant=\"{tenant}\""), read(of).load(Ordering::Relaxed));
            }
        }
    }
}

impl Table {
    fn add(&mut self, tenant: &Tenant) -> Arc<Share> {
        if self.tenants.len() >= REMEMBERED {
            self.tenants.retain(|_, share| Arc::strong_count(share) > 1);
        }
        let named = self.quotas.named.get(tenant);
        let counts = self.counts.get(&named.map(|_| tenant.clone())).cloned().unwrap_or_default();
        let quota = *named.unwrap_or(&self.quotas.each);
        let share = self.tenants.entry(tenant.clone()).or_insert_with(|| Arc::new(Share::of(quota, counts)));
        Arc::clone(share)
    }
}

impl Share {
    fn of(quota: Quota, counts: Arc<Counts>) -> Share {
        Share { rate: quota.requests.map(Rate::of), uploads: quota.uploads.map(Uploads::of), counts }
    }
}

/// Requests take turns, which come at even intervals; those of late that nobody took can be taken still.
struct Rate {
    /// Between two turns, in nanoseconds.
    interval: u64,
    /// How long anybody waits.
    patience: Duration,
    /// When the next turn is, in nanoseconds.
    next: AtomicU64,
}

impl Rate {
    fn of(a_second: NonZeroU32) -> Rate {
        let interval = 1_000_000_000 / u64::from(a_second.get());
        let patience = PATIENCE.min(WAITING * Duration::from_nanos(interval));
        Rate { interval, patience, next: AtomicU64::new(0) }
    }

    /// Takes the next turn; how long it is until then.
    ///
    /// # Errors
    /// That time, where it is more than anybody waits: the turn is not taken.
    fn turn(&self, now: Duration) -> Result<Duration, Duration> {
        let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let now = nanoseconds(now);
        let from = |next: u64| next.max(now.saturating_sub(nanoseconds(SAVED)));
        let wait = |next: u64| Duration::from_nanos(from(next).saturating_sub(now));
        let take = |next: u64| (wait(next) <= self.patience).then(|| from(next) + self.interval);
        let taken = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map(wait).map_err(wait)
    }
}

/// Uploads that are under way, and that wait for others to end.
struct Uploads {
    running: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Uploads {
    fn of(at_a_time: NonZeroU32) -> Uploads {
        let most = usize::try_from(at_a_time.get()).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Uploads { running: Arc::new(Semaphore::new(most)), waiting: Semaphore::new(most.min(WAITING as usize)) }
    }

    /// One more, once there may be one; nothing where that takes too long, or too many wait.
    async fn begin(&self, counts: &Counts) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.running).try_acquire_owned() {
            return Some(permit);
        }
        let _waiting = self.waiting.try_acquire().ok()?;
        counts.slowed.fetch_add(1, Ordering::Relaxed);
        timeout(PATIENCE, Arc::clone(&self.running).acquire_owned()).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use kura_disk::TokioRuntime;
    use proptest::prelude::*;

    use super::*;

    fn tenant(name: &str) -> Tenant {
        Tenant::parse(name.to_owned()).unwrap()
    }

    fn quota(requests: u32, uploads: u32) -> Quota {
        Quota { requests: NonZeroU32::new(requests), uploads: NonZeroU32::new(uploads) }
    }

    fn tenants(each: Quota, named: &[(&str, Quota)]) -> Arc<Tenants> {
        let tenants = Tenants::new(Arc::new(TokioRuntime::current()));
        tenants.replace(quotas(each, named));
        tenants
    }

    fn quotas(each: Quota, named: &[(&str, Quota)]) -> Quotas {
        Quotas { each, named: named.iter().map(|(name, quota)| (tenant(name), *quota)).collect() }
    }

    #[test]
    fn who_is_too_fast_is_slowed_down_and_then_told_when_to_come_back() {
        let (rate, now) = (Rate::of(NonZeroU32::new(10).unwrap()), Duration::from_secs(1000));
        let turns = |now: Duration| (0..100).map(|_| rate.turn(now)).collect::<Vec<_>>();
        let first = turns(now);
        assert!(
            first[..11].iter().all(|turn| *turn == Ok(Duration::ZERO)),
            "a second's worth, and the one that is due"
        );
        for (at, turn) in first[11..31].iter().enumerate() {
            assert_eq!(*turn, Ok(Duration::from_millis(100 * (at as u64 + 1))));
        }
        assert!(first[31..].iter().all(|turn| *turn == Err(Duration::from_millis(2100))), "{:?}", &first[31..]);
        // Those who were refused took nobody's turn.
        assert_eq!(turns(now + Duration::from_millis(100)).iter().filter(|turn| turn.is_ok()).count(), 1);
        assert_eq!(
            turns(now + Duration::from_secs(3600))[..12].iter().filter(|turn| **turn == Ok(Duration::ZERO)).count(),
            11
        );
    }

    #[test]
    fn no_more_wait_than_there_is_memory_for() {
        let rate = Rate::of(NonZeroU32::new(100_000).unwrap());
        let turns = (0..200_000).map(|_| rate.turn(Duration::from_secs(1000)));
        assert_eq!(turns.filter(|turn| turn.is_ok_and(|wait| !wait.is_zero())).count(), WAITING as usize);
    }

    proptest! {
        /// Milliseconds from one request to the next.
        #[test]
        fn no_more_requests_have_their_turn_in_any_time_than_are_allowed(
            gaps in prop::collection::vec(0..300_u64, 1..300),
            a_second in 1..200_u32,
        ) {
            let rate = Rate::of(NonZeroU32::new(a_second).unwrap());
            let (mut now, mut turns) = (Duration::from_secs(10), Vec::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                if let Ok(wait) = rate.turn(now) {
                    prop_assert!(wait <= PATIENCE);
                    turns.push(now + wait);
                }
            }
            prop_assert!(turns.is_sorted(), "who comes first is served first");
            for (at, from) in turns.iter().enumerate() {
                let within = turns[at..].iter().take_while(|turn| **turn < *from + Duration::from_secs(1)).count();
                prop_assert!(within <= 2 * a_second as usize + 2, "{within} in a second");
            }
        }

        /// In a time that is simulated: three tenants, of which two keep to what they may do, and one sends as much as it can.
        #[test]
        fn whoever_keeps_to_what_it_may_do_is_not_slowed_down_by_one_that_floods(
            flood in 1..2000_u64,
            gaps in prop::collection::vec(10..100_u64, 1..200),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let _entered = runtime.enter();
            let tenants = tenants(quota(100, 1), &[]);
            let turn = |name: &str, now| tenants.of(&tenant(name)).rate.as_ref().unwrap().turn(now);
            let start = Duration::from_secs(10);
            let (mut now, mut let_in) = (start, 0);
            for gap in gaps {
                now += Duration::from_millis(gap);
                let_in += (0..flood).filter(|_| turn("flood", now).is_ok()).count();
                prop_assert_eq!((turn("one", now), turn("other", now)), (Ok(Duration::ZERO), Ok(Duration::ZERO)));
            }
            let time = now - start + SAVED + PATIENCE;
            prop_assert!(let_in as u128 <= time.as_millis() / 10 + 2, "{} of it in {:?}", let_in, time);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn uploads_wait_for_each_other_and_not_for_those_of_others() {
        let tenants = tenants(quota(0, 1), &[("busy", quota(0, 2))]);
        let busy = tenant("busy");
        let begin = || tenants.admit(Some(&busy), Need::Write);
        let (first, _second) = (begin().await.unwrap(), begin().await.unwrap());
        let refused = begin().await.unwrap_err();
        assert!(refused.message.contains("uploads") && refused.retry_after == COME_BACK);
        let (third, ()) = tokio::join!(begin(), async { drop(first) });
        assert!(third.is_ok());
        // Two wait, and a third would be one too many: it is told at once.
        let (waited, _, at_once) = tokio::join!(begin(), begin(), timeout(Duration::from_millis(1), begin()));
        assert!(waited.is_err() && matches!(at_once, Ok(Err(_))));
        assert!(tenants.admit(Some(&tenant("other")), Need::Write).await.is_ok());
        assert!(tenants.admit(Some(&busy), Need::Read).await.is_ok(), "that is no upload");
    }

    #[tokio::test(start_paused = true)]
    async fn what_holds_may_be_changed_and_nobody_is_kept_from_removing_or_asking_whether_all_is_well() {
        let tenants = tenants(quota(1, 0), &[]);
        let ask = |need| tenants.admit(None, need);
        let mut refused = 0;
        for _ in 0..20 {
            refused +=
                usize::from(timeout(Duration::from_millis(1), ask(Need::Read)).await.is_ok_and(|turn| turn.is_err()));
        }
        assert!(refused > 10, "{refused}");
        assert!(ask(Need::Administer).await.is_ok() && ask(Need::Nothing).await.is_ok());
        assert!(tenants.admit(Some(&Tenant::default()), Need::Read).await.is_err(), "nobody is of the default tenant");
        tenants.replace(quotas(quota(1, 0), &[]));
        assert!(ask(Need::Read).await.is_err(), "that changed nothing");
        tenants.replace(quotas(quota(1, 0), &[("default", Quota::default())]));
        assert!(ask(Need::Read).await.is_ok());
        tenants.replace(Quotas::default());
        assert!(tenants.admit(Some(&tenant("other")), Need::Read).await.is_ok());
    }

    #[tokio::test]
    async fn tenants_that_do_nothing_are_forgotten_and_those_that_wait_are_not() {
        let tenants = tenants(quota(1, 1), &[]);
        let _waits = tenants.of(&tenant("waits"));
        for number in 0..2 * REMEMBERED {
            tenants.of(&tenant(&format!("{number}")));
        }
        let table = tenants.table.read();
        assert!(table.tenants.len() <= REMEMBERED && table.tenants.contains_key(&tenant("waits")));
    }
}
