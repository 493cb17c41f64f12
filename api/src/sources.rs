//! Analytics boxes that report events: who they are, by a token, which cameras they may speak of, and how fast.

use index::{
    access::Scope,
    model::{Camera, Secret},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// A box as the configuration names it.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// What its events are filed under.
    pub name: String,
    /// What it shows with every request.
    pub token: Secret,
    /// The cameras that it may speak of: the union of these.
    pub scopes: Vec<Scope>,
    /// Events a second, over any minute.
    pub rate_per_s: u32,
}

/// A box at work.
pub struct Source {
    /// What its events are filed under.
    pub name: String,
    token: blake3::Hash,
    scopes: Vec<Scope>,
    rate_per_s: f64,
    /// Events that it may still send, and when that was so.
    allowance: Mutex<(f64, Instant)>,
}

/// The boxes of a node.
#[derive(Default)]
pub struct Sources(Vec<Arc<Source>>);

/// How many seconds' worth of events a box may send at once, after silence: what it gathered while it was cut off.
const BURST_S: f64 = 60.0;

impl Sources {
    /// The configured boxes.
    #[must_use]
    pub fn new(configured: &[SourceConfig]) -> Self {
        let source = |config: &SourceConfig| {
            let rate_per_s = f64::from(config.rate_per_s);
            Arc::new(Source {
                name: config.name.clone(),
                token: blake3::hash(config.token.expose().as_bytes()),
                scopes: config.scopes.clone(),
                rate_per_s,
                allowance: Mutex::new((rate_per_s * BURST_S, Instant::now())),
            })
        };
        Self(configured.iter().map(source).collect())
    }

    /// The box of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<Arc<Source>> {
        self.0.iter().find(|source| source.name == name).cloned()
    }

    /// Whose token it is. Comparing digests takes the same time wherever they differ.
    #[must_use]
    pub fn find(&self, token: &str) -> Option<Arc<Source>> {
        let shown = blake3::hash(token.as_bytes());
        self.0.iter().find(|source| source.token == shown).cloned()
    }
}

impl Source {
    /// Whether it may speak of this camera.
    #[must_use]
    pub fn reaches(&self, camera: &Camera) -> bool {
        self.scopes.iter().any(|scope| scope.contains(camera))
    }

    /// How many events it may send at once, after silence: more in one batch never come in.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        (self.rate_per_s * BURST_S) as usize
    }

    /// Takes so many events off its allowance.
    ///
    /// # Errors
    /// The whole seconds to wait until there is room.
    pub fn spend(&self, events: usize, now: Instant) -> Result<(), u64> {
        let mut allowance = self.allowance.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, then) = *allowance;
        let left = (left + now.duration_since(then).as_secs_f64() * self.rate_per_s).min(self.rate_per_s * BURST_S);
        let after = left - events as f64;
        *allowance = (if after < 0.0 { left } else { after }, now);
        if after < 0.0 { Err((-after / self.rate_per_s).ceil().max(1.0) as u64) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_box_is_known_by_its_token_and_kept_to_its_rate() {
        let config =
            SourceConfig { name: "box1".into(), token: Secret::new("t-1"), scopes: vec![Scope::Everything], rate_per_s: 2 };
        let sources = Sources::new(&[config]);
        assert!(sources.find("t-2").is_none());
        let source = sources.find("t-1").expect("known");
        let begin = Instant::now();
        assert_eq!(source.spend(120, begin), Ok(()));
        assert_eq!(source.spend(10, begin), Err(5));
        assert_eq!(source.spend(10, begin + Duration::from_secs(5)), Ok(()));
        assert!(source.spend(1, begin + Duration::from_secs(5)).is_err());
    }
}
