//! When a message is sent again, and when no more. Pure.

use std::time::Duration;

/// Attempts before a message is laid aside: with the waits between them about half an hour.
pub(super) const ATTEMPTS: u32 = 15;
/// A message that is older than this is laid aside after one attempt: nobody waits for it any more.
pub(super) const OLD: Duration = Duration::from_secs(3600);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    /// The receiver has it: a status of 200 to 299.
    Taken,
    /// The receiver said no, for good.
    Refused(u16),
    /// The receiver said no for now.
    Later(u16),
    /// There was no answer.
    NoAnswer,
}

impl Ended {
    /// What a status means.
    #[must_use]
    pub(super) fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Taken,
            // Too early, too many, took too long: the message itself is in order.
            408 | 425 | 429 => Self::Later(status),
            // A redirect is not followed: whoever is configured is who gets it.
            300..=499 => Self::Refused(status),
            _ => Self::Later(status),
        }
    }

    /// For people.
    #[must_use]
    pub(super) fn words(self) -> String {
        match self {
            Self::Taken => "taken".to_owned(),
            Self::Refused(status) | Self::Later(status) => format!("status {status}"),
            Self::NoAnswer => "no answer".to_owned(),
        }
    }
}

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// It is done with.
    Done,
    /// It is sent again after this.
    Again(Duration),
    /// It is laid aside.
    LaidAside,
}

/// After attempt number `attempts`, counted from 1, of a message that is so old. `chance` is 0 to 1.
#[must_use]
pub(super) fn after(ended: Ended, attempts: u32, age: Duration, chance: f64) -> Next {
    match ended {
        Ended::Taken => Next::Done,
        Ended::Refused(_) => Next::LaidAside,
        Ended::Later(_) | Ended::NoAnswer if attempts >= ATTEMPTS || age > OLD => Next::LaidAside,
        Ended::Later(_) | Ended::NoAnswer => {
            let wait = Duration::from_secs(1 << attempts.saturating_sub(1).min(10)).min(LONGEST_WAIT);
            Next::Again(wait.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_sent_again_with_longer_waits_and_laid_aside_after_half_an_hour() {
        let mut waited = Duration::ZERO;
        for attempts in 1..ATTEMPTS {
            let Next::Again(wait) = after(Ended::NoAnswer, attempts, waited, 1.0) else { panic!("attempt {attempts}") };
            assert!(wait <= LONGEST_WAIT);
            waited += wait;
        }
        assert!((1500..2400).contains(&waited.as_secs()), "{waited:?}");
        assert_eq!(after(Ended::Later(503), ATTEMPTS, waited, 1.0), Next::LaidAside);
        assert_eq!(after(Ended::Later(503), 1, Duration::ZERO, 0.0), Next::Again(Duration::from_millis(500)));
    }

    #[test]
    fn what_the_receiver_refuses_for_good_or_nobody_waits_for_is_not_sent_again() {
        assert_eq!(after(Ended::of(204), 1, Duration::ZERO, 0.5), Next::Done);
        for status in [301, 400, 401, 404, 410] {
            assert_eq!(after(Ended::of(status), 1, Duration::ZERO, 0.5), Next::LaidAside, "{status}");
        }
        for status in [408, 429, 500, 503] {
            assert!(matches!(after(Ended::of(status), 1, Duration::ZERO, 0.5), Next::Again(_)), "{status}");
        }
        assert_eq!(after(Ended::NoAnswer, 1, OLD + Duration::from_secs(1), 0.5), Next::LaidAside);
    }
}
