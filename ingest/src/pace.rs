//! Turns for dialling: a switch that brings 290 cameras back must not bring 580 connects in the same instant.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Connects a second in the long run: a room of 290 cameras with sub-streams is back within 4 s.
const PER_SECOND: f64 = 150.0;
/// Connects that need not wait after a quiet time.
const BURST: f64 = 50.0;

/// A token bucket; those who come when it is empty get turns one after another.
#[derive(Debug)]
pub(crate) struct Pace(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    /// Negative: so many wait.
    tokens: f64,
    filled: Instant,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self(Mutex::new(Bucket { tokens: BURST, filled: now }))
    }

    /// Waits for this caller's turn.
    pub(crate) async fn turn(&self) {
        let wait = self.reserve(Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    fn reserve(&self, now: Instant) -> Duration {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gained = now.saturating_duration_since(bucket.filled).as_secs_f64() * PER_SECOND;
        bucket.tokens = (bucket.tokens + gained).min(BURST) - 1.0;
        bucket.filled = now;
        Duration::from_secs_f64((-bucket.tokens / PER_SECOND).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_herd_is_spread_and_a_single_camera_does_not_wait() {
        let now = Instant::now();
        let pace = Pace::new(now);
        let waits: Vec<Duration> = (0..580).map(|_| pace.reserve(now)).collect();
        assert!(waits[..50].iter().all(Duration::is_zero));
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]));
        let last = waits[579].as_secs_f64();
        assert!((3.0..4.0).contains(&last), "the last waits {last} s");
        assert_eq!(pace.reserve(now + Duration::from_secs(60)), Duration::ZERO);
    }
}
