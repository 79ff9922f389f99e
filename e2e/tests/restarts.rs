//! Restarts are cheap: two hundred of them, half by `kill -9`, each after one small write, evict nothing from a store that is three quarters full.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use kura_e2e::Kura;

const RESTARTS: usize = 200;
const CAPACITY: u64 = 512 << 20;
const BODY: usize = 256 << 10;

#[test]
fn two_hundred_restarts_evict_nothing_from_a_store_that_is_three_quarters_full() {
    let mut kura = Kura::start(&["--capacity", &CAPACITY.to_string()]);
    let large = usize::try_from(CAPACITY / 4 * 3).unwrap() / BODY;
    let body = |number: usize| vec![u8::try_from(number % 251).unwrap(); BODY];
    for number in 0..large {
        assert_eq!(kura.put(&format!("/http/e2e/large/{number}"), &body(number)).status, 200);
    }
    assert!(kura.metrics().of("kura_store_live_bytes") >= CAPACITY / 4 * 3, "it is three quarters full");
    for restart in 0..RESTARTS {
        assert_eq!(kura.put(&format!("/http/e2e/small/{restart}"), restart.to_string().as_bytes()).status, 200);
        // The counter starts anew with the process.
        assert_eq!(kura.metrics().evictions(), 0, "before restart {restart}");
        if restart % 2 == 0 {
            kura.kill();
        } else {
            assert!(kura.stop().success());
        }
        kura.start_again();
        assert_eq!(kura.metrics().evictions(), 0, "after restart {restart}");
    }
    for number in 0..large {
        assert!(kura.get(&format!("/http/e2e/large/{number}")).body == body(number), "large {number}");
    }
    for restart in 0..RESTARTS {
        assert_eq!(kura.get(&format!("/http/e2e/small/{restart}")).text(), restart.to_string());
    }
}
