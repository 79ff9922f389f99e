//! Makes a history that fails shorter: leaves out operations for as long as it still fails.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use crate::history;
use crate::plan::{Plan, Tale};

/// Histories tried for one that is to be shrunk.
const MOST_TRIES: usize = 4000;

/// The same history without as many operations as can be left out.
pub(crate) fn shrink(tale: &Tale) -> Tale {
    let say = take_hook();
    set_hook(Box::new(|_| {}));
    let shrunk = leave_out(tale, fails);
    set_hook(say);
    shrunk
}

fn fails(tale: &Tale) -> bool {
    catch_unwind(AssertUnwindSafe(|| history::run(tale))).is_err()
}

fn leave_out(tale: &Tale, fails: impl Fn(&Tale) -> bool) -> Tale {
    let all = Plan::draw(tale).all_operations();
    let mut kept: Vec<usize> = (0..all).filter(|operation| tale.does(*operation)).collect();
    let mut piece = kept.len().div_ceil(2);
    let mut tries = 0;
    while piece > 0 && tries < MOST_TRIES {
        let mut at = 0;
        let before = kept.len();
        while at < kept.len() && tries < MOST_TRIES {
            let mut fewer = kept.clone();
            fewer.drain(at..(at + piece).min(kept.len()));
            tries += 1;
            if fails(&Tale { dropped: without(&fewer, all), ..tale.clone() }) {
                kept = fewer;
            } else {
                at += piece;
            }
        }
        if piece > 1 || kept.len() == before {
            piece /= 2;
        }
    }
    Tale { dropped: without(&kept, all), ..tale.clone() }
}

/// Everything but these, which are in order, as ranges.
fn without(kept: &[usize], all: usize) -> Vec<Range<usize>> {
    let starts = std::iter::once(0).chain(kept.iter().map(|operation| operation + 1));
    let ends = kept.iter().copied().chain([all]);
    starts.zip(ends).filter(|(start, end)| start < end).map(|(start, end)| start..end).collect()
}

#[test]
fn what_does_not_make_it_fail_is_left_out() {
    let tale = Tale { seed: 1, ..Tale::default() };
    let all = Plan::draw(&tale).all_operations();
    let shrunk = leave_out(&tale, |tale| tale.does(1) && tale.does(all - 2));
    assert_eq!((0..all).filter(|operation| shrunk.does(*operation)).collect::<Vec<_>>(), [1, all - 2]);
}
