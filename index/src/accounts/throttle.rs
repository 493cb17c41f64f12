//! How often somebody may try a password. Pure: the caller tells the time.
//!
//! Each try counts when it begins, so that a thousand at once are a thousand; a success takes its own back. Five in a
//! minute, for a name or an address, bar it for a minute, then two, four, … at most fifteen. Names that do not exist are
//! counted like others: the answer must not tell which do.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

/// Tries in [`SPAN`] that bring a bar.
const TRIES: usize = 5;
const SPAN: Duration = Duration::from_secs(60);
const FIRST_BAR: Duration = Duration::from_secs(60);
const LONGEST_BAR: Duration = Duration::from_secs(15 * 60);
/// Names, and addresses, remembered: a flood of invented ones costs a megabyte, not the node.
const REMEMBERED: usize = 8192;

/// The tries of late, per name and per address.
#[derive(Default, Debug)]
pub struct Throttle {
    names: Tally<String>,
    addresses: Tally<IpAddr>,
}

/// A try is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wait {
    /// How long to wait before the next try, more than zero.
    pub retry_after: Duration,
    /// Whether this very try brought the bar: worth an event, once.
    pub just_barred: bool,
}

impl Throttle {
    /// Counts a try before the password is looked at.
    ///
    /// # Errors
    /// How long to wait, if the name or the address is barred. The password must not be looked at then.
    pub fn begin(&mut self, name: &str, from: IpAddr, now: Instant) -> Result<(), Wait> {
        let (name, from) = (key(name), network(from));
        if let Some(retry_after) = self.names.bar(&name, now).max(self.addresses.bar(&from, now)) {
            return Err(Wait { retry_after, just_barred: false });
        }
        let barred = self.names.count(name, now).max(self.addresses.count(from, now));
        barred.map_or(Ok(()), |retry_after| Err(Wait { retry_after, just_barred: true }))
    }

    /// The password was right: the name's slate is clean, and the address gets this try back. An address keeps its other
    /// tries, or an attacker would clear them with an account of his own.
    pub fn succeeded(&mut self, name: &str, from: IpAddr) {
        self.names.entries.remove(&key(name));
        if let Some(tries) = self.addresses.entries.get_mut(&network(from)) {
            tries.recent.pop();
        }
    }
}

/// The part of a name that counts: a longer one exists nowhere.
fn key(name: &str) -> String {
    name.chars().take(64).collect()
}

/// Whoever has one IPv6 address has 2^64 of them.
fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & !0 << 64)),
        four => four,
    }
}

#[derive(Debug)]
struct Tally<K> {
    entries: HashMap<K, Tries>,
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self { entries: HashMap::new() }
    }
}

#[derive(Default, Debug)]
struct Tries {
    /// Within the last [`SPAN`], oldest first, at most [`TRIES`].
    recent: Vec<Instant>,
    /// How often barred in a row.
    bars: u32,
    barred_until: Option<Instant>,
}

impl<K: Hash + Eq> Tally<K> {
    /// How long this one is barred yet.
    fn bar(&self, key: &K, now: Instant) -> Option<Duration> {
        let until = self.entries.get(key)?.barred_until?;
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// Counts a try; answers with the bar if it is one too many.
    fn count(&mut self, key: K, now: Instant) -> Option<Duration> {
        if self.entries.len() >= REMEMBERED && !self.entries.contains_key(&key) {
            self.forget(now);
        }
        let tries = self.entries.entry(key).or_default();
        if tries.is_forgotten(now) {
            *tries = Tries::default();
        }
        tries.recent.retain(|at| now.saturating_duration_since(*at) < SPAN);
        if tries.recent.len() < TRIES {
            tries.recent.push(now);
            return None;
        }
        let bar = FIRST_BAR.saturating_mul(1 << tries.bars.min(8)).min(LONGEST_BAR);
        tries.bars += 1;
        tries.barred_until = Some(now + bar);
        tries.recent.clear();
        Some(bar)
    }

    /// Makes room: those of long ago, or else the half whose last tries are oldest, so that a flood pays for it rarely.
    fn forget(&mut self, now: Instant) {
        self.entries.retain(|_, tries| !tries.is_forgotten(now));
        if self.entries.len() >= REMEMBERED {
            let mut lasts: Vec<_> = self.entries.values().map(Tries::last).collect();
            let (_, &mut median, _) = lasts.select_nth_unstable(REMEMBERED / 2);
            self.entries.retain(|_, tries| tries.last() > median);
        }
    }
}

impl Tries {
    fn last(&self) -> Option<Instant> {
        self.recent.last().copied().max(self.barred_until)
    }

    /// Whether all is so long ago that it no longer counts.
    fn is_forgotten(&self, now: Instant) -> bool {
        self.last().is_none_or(|last| now.saturating_duration_since(last) >= LONGEST_BAR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `seconds: name address` lines with an expected answer: `ok`, or the seconds to wait, `!` if this try brought
    /// the bar. `win` instead of a try is a right password.
    fn check(script: &str) {
        let start = Instant::now();
        let mut throttle = Throttle::default();
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [at, name, from, expected] = words[..] else { panic!("{line}") };
            let now = start + Duration::from_secs(at.parse().expect(line));
            let from = from.parse().expect(line);
            if expected == "win" {
                throttle.succeeded(name, from);
                continue;
            }
            let answer = match throttle.begin(name, from, now) {
                Ok(()) => "ok".to_owned(),
                Err(wait) => format!("{}{}", wait.retry_after.as_secs(), if wait.just_barred { "!" } else { "" }),
            };
            assert_eq!(answer, expected, "{line}");
        }
    }

    #[test]
    fn the_sixth_try_in_a_minute_bars_the_name_for_longer_each_time() {
        check(
            "0 li 10.0.0.1 ok\n 1 li 10.0.0.2 ok\n 2 li 10.0.0.3 ok\n 3 li 10.0.0.4 ok\n 4 li 10.0.0.5 ok
             5 li 10.0.0.6 60!\n 6 li 10.0.0.7 59\n 6 wang 10.0.0.8 ok
             65 li 10.0.0.1 ok\n 65 li 10.0.0.2 ok\n 65 li 10.0.0.3 ok\n 65 li 10.0.0.4 ok\n 65 li 10.0.0.5 ok
             66 li 10.0.0.6 120!",
        );
    }

    #[test]
    fn an_address_is_barred_whatever_names_it_invents() {
        check(
            "0 a 10.0.0.1 ok\n 0 b 10.0.0.1 ok\n 0 c 10.0.0.1 ok\n 0 d 10.0.0.1 ok\n 0 e 10.0.0.1 ok\n 0 f 10.0.0.1 60!
             1 g 10.0.0.1 59\n 1 a ::ffff:10.0.0.1 59\n 1 g 10.0.0.2 ok",
        );
        check(
            "0 a 2001:db8::1 ok\n 0 b 2001:db8::2 ok\n 0 c 2001:db8::3 ok\n 0 d 2001:db8::4 ok\n 0 e 2001:db8::5 ok
             0 f 2001:db8::6 60!\n 0 f 2001:db8:0:1::6 ok",
        );
    }

    #[test]
    fn a_right_password_clears_the_name_and_gives_the_address_one_try_back() {
        check(
            "0 li 10.0.0.1 ok\n 0 li 10.0.0.1 ok\n 0 li 10.0.0.1 ok\n 0 li 10.0.0.1 ok\n 0 li 10.0.0.1 ok\n 0 li 10.0.0.1 win
             1 li 10.0.0.1 ok\n 1 li 10.0.0.1 60!\n 2 li 10.0.0.2 ok",
        );
    }

    #[test]
    fn slow_tries_are_never_barred() {
        let script: String = (0..200).map(|n| format!("{} li 10.0.0.1 ok\n", n * 13)).collect();
        check(&script);
    }

    #[test]
    fn a_flood_of_invented_names_and_addresses_stays_bounded() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..20_000_u32 {
            let _ = throttle.begin(&format!("name{n}"), IpAddr::from(n.to_be_bytes()), now + Duration::from_millis(u64::from(n)));
        }
        assert!(throttle.names.entries.len() <= REMEMBERED && throttle.addresses.entries.len() <= REMEMBERED);
    }
}
