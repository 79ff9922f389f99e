//! Logins that failed, by where they came from. Whoever fails too often is told to come back later, also with what would be wrong again; who is known is
//! never kept waiting for those beside them, who may share an address. Secrets are too long to be guessed: what this bounds is noise.
//! Bound: so many addresses, of which the one goes that failed least recently.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;

/// Failures that are answered as such in each [`WINDOW`].
const MOST: u32 = 30;

const WINDOW: Duration = Duration::from_secs(60);

/// Addresses that are remembered.
const ADDRESSES: NonZeroUsize = NonZeroUsize::new(4096).expect("it is not zero");

/// All failures of late.
pub(crate) struct Attempts(Mutex<LruCache<IpAddr, Failures>>);

struct Failures {
    since: Duration,
    count: u32,
}

impl Default for Attempts {
    fn default() -> Attempts {
        Attempts(Mutex::new(LruCache::new(ADDRESSES)))
    }
}

impl Attempts {
    /// Counts a failure at that time; whether there were too many.
    pub(crate) fn failed(&self, address: IpAddr, now: Duration) -> bool {
        let mut all = self.0.lock();
        let of_address = all.get_or_insert_mut(network(address), || Failures { since: now, count: 0 });
        if now.saturating_sub(of_address.since) >= WINDOW {
            *of_address = Failures { since: now, count: 0 };
        }
        of_address.count = of_address.count.saturating_add(1);
        if of_address.count == MOST + 1 {
            tracing::warn!(%address, "too many logins failed: further ones are told to come back later");
        }
        of_address.count > MOST
    }
}

/// Who has one IPv6 address has all of its network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_too_often_is_told_to_come_back_until_the_window_is_over() {
        let (attempts, now) = (Attempts::default(), Duration::from_secs(1000));
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        assert!((0..MOST).all(|_| !attempts.failed(one, now)));
        assert!(attempts.failed(one, now) && attempts.failed("::ffff:192.0.2.1".parse().unwrap(), now));
        assert!(!attempts.failed("192.0.2.2".parse().unwrap(), now), "others are not meant");
        assert!(!attempts.failed(one, now + WINDOW));
    }

    #[test]
    fn a_network_of_ipv6_is_one_and_the_table_is_bounded() {
        let attempts = Attempts::default();
        for host in 0..MOST {
            attempts.failed(format!("2001:db8::{host:x}").parse().unwrap(), Duration::ZERO);
        }
        assert!(attempts.failed("2001:db8::ffff".parse().unwrap(), Duration::ZERO));
        assert!(!attempts.failed("2001:db8:0:1::1".parse().unwrap(), Duration::ZERO));
        for number in 0..10_000_u32 {
            attempts.failed(std::net::Ipv4Addr::from(number).into(), Duration::ZERO);
        }
        assert_eq!(attempts.0.lock().len(), ADDRESSES.get());
    }
}
