//! governor: one limiter, one thread, always admitted; with its own clock, and with `now` given to it.
use governor::{clock, middleware::NoOpMiddleware, nanos::Nanos, state::NotKeyed, state::InMemoryState, Quota, RateLimiter};
use rivals::{case, pin};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::time::Instant;

static NOW_NS: AtomicU64 = AtomicU64::new(0);

/// A clock that says what it was told.
#[derive(Clone, Copy, Debug, Default)]
struct Given;
impl clock::Clock for Given {
    type Instant = Nanos;
    fn now(&self) -> Nanos { Nanos::new(NOW_NS.load(Relaxed)) }
}

fn quota() -> Quota {
    let much = NonZeroU32::new(1_000_000_000).unwrap();
    Quota::per_second(much).allow_burst(much)
}

fn used(count: u64) -> f64 {
    let limiter = RateLimiter::direct(quota());
    let from = Instant::now();
    let admitted = (0..count).filter(|_| limiter.check().is_ok()).count() as u64;
    let took = from.elapsed().as_secs_f64();
    assert!(admitted == count);
    took
}

fn given(count: u64) -> f64 {
    NOW_NS.store(1, Relaxed);
    let limiter: RateLimiter<NotKeyed, InMemoryState, Given, NoOpMiddleware<Nanos>> =
        RateLimiter::direct_with_clock(quota(), Given);
    let from = Instant::now();
    let mut admitted = 0u64;
    for i in 0..count {
        NOW_NS.store(i * 2 + 1, Relaxed);
        admitted += limiter.check().is_ok() as u64;
    }
    let took = from.elapsed().as_secs_f64();
    assert!(admitted == count);
    took
}

fn main() {
    pin(0);
    rivals::main(vec![case("bucket.used", "1/s", used), case("bucket.given", "1/s", given)]);
}
