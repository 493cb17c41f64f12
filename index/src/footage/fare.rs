//! How a volume fares, judged by what its disk does: rules without a clock or a disk of their own.
//!
//! - A commit that takes longer than [`STALL`], or commits that take longer than [`LONG`] for [`SLOW_FOR`], make it *suspect*: what
//!   was recorded there goes elsewhere as long as there is an elsewhere. Quick ones between them change nothing, unless they last for
//!   [`CALM`]: a disk that stands still for seconds and then answers for a moment is slow. A refused write makes it suspect too, and moves
//!   the stream concerned.
//! - A refused sync, the third refused write, a read-only file system, or no answer for [`SILENT`] make it *draining*: it is read, and
//!   written only if no other volume is left. After a refused sync nothing that the disk says about itself counts.
//! - A disk that cannot even be read has *failed*.
//! - Only suspicion passes: after [`HEALED`] of quick commits. From draining it comes back when someone asks for it, from failed
//!   when its directory can be written again.

use super::types::{Trouble, VolumeState};
use crate::model::UtcMicros;
use std::{io, time::Duration};

/// A commit that takes longer stands still.
pub(super) const STALL: Duration = Duration::from_secs(2);
/// A commit that takes longer is slow.
const LONG: Duration = Duration::from_secs(1);
/// A commit that stood still for longer than [`STALL`] by this was seen to, or nobody was running who could see.
const UNSEEN: Duration = Duration::from_secs(3);
/// A volume whose commits are all slow for so long is.
const SLOW_FOR: Duration = Duration::from_secs(10);
/// Quick commits for so long say that slow ones before them were single ones.
const CALM: Duration = Duration::from_secs(3);
/// A disk that does not answer for so long is not waited for.
const SILENT: Duration = Duration::from_secs(30);
/// Quick commits for so long end a suspicion.
const HEALED: Duration = Duration::from_secs(60);
/// Refused writes after which a volume is only used if there is no other.
const ERRORS_TO_DRAIN: u32 = 3;

/// What was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    Write,
    Sync,
}

/// A volume's fare. Instants are spans of any one monotonic clock.
pub(super) struct Fare {
    state: VolumeState,
    trouble: Option<Trouble>,
    since: Option<UtcMicros>,
    last_error: Option<String>,
    errors: u32,
    /// A commit is under way that does not return.
    standing: bool,
    slow_since: Option<Duration>,
    /// Since when all commits were quick.
    quick_since: Option<Duration>,
    well_since: Option<Duration>,
}

impl Fare {
    pub(super) fn new() -> Self {
        Self {
            state: VolumeState::Ok,
            trouble: None,
            since: None,
            last_error: None,
            errors: 0,
            standing: false,
            slow_since: None,
            quick_since: None,
            well_since: None,
        }
    }

    /// Of a volume whose disk is not there.
    pub(super) fn away(error: String, since: UtcMicros) -> Self {
        let (state, trouble) = (VolumeState::Failed, Some(Trouble::Away));
        Self { state, trouble, since: Some(since), last_error: Some(error), ..Self::new() }
    }

    pub(super) fn state(&self) -> VolumeState {
        self.state
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.trouble
    }

    /// Since when it is not well.
    pub(super) fn since(&self) -> Option<UtcMicros> {
        self.since
    }

    /// What the disk said last, if it ever refused.
    pub(super) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Whether the disk does what it is asked, for better or worse.
    pub(super) fn answers(&self) -> bool {
        !self.standing
    }

    /// Whether the streams that are recorded there stay.
    pub(super) fn keeps(&self) -> bool {
        match self.state {
            VolumeState::Ok => true,
            VolumeState::Suspect => !matches!(self.trouble, Some(Trouble::Slow | Trouble::Stalled)),
            VolumeState::Draining | VolumeState::Failed => false,
        }
    }

    /// A commit was made at `at` that took so long. Gives the state if it changed, as all of these do.
    pub(super) fn committed(&mut self, at: Duration, took: Duration, now: UtcMicros) -> Option<VolumeState> {
        let seen = std::mem::take(&mut self.standing);
        if took >= STALL + UNSEEN && !seen {
            // Whoever watches the volumes did not see it stand still: it was the whole process that did.
            return None;
        }
        let silent = self.state == VolumeState::Draining && self.trouble == Some(Trouble::Stalled);
        if silent {
            // It answers after all.
            self.state = VolumeState::Suspect;
            self.well_since = None;
            return Some(self.state);
        }
        if took > LONG {
            (self.well_since, self.quick_since) = (None, None);
            let since = *self.slow_since.get_or_insert(at.saturating_sub(took));
            return (at.saturating_sub(since) >= SLOW_FOR).then(|| self.fall(VolumeState::Suspect, Trouble::Slow, now)).flatten();
        }
        let quick_since = *self.quick_since.get_or_insert(at);
        self.slow_since = self.slow_since.filter(|_| at.saturating_sub(quick_since) < CALM);
        if self.state != VolumeState::Suspect {
            return None;
        }
        let since = *self.well_since.get_or_insert(at);
        (at.saturating_sub(since) >= HEALED).then(|| {
            *self = Self { last_error: self.last_error.take(), ..Self::new() };
            self.state
        })
    }

    /// A commit has been under way for so long.
    pub(super) fn busy(&mut self, busy: Duration, now: UtcMicros) -> Option<VolumeState> {
        self.well_since = None;
        self.standing = busy >= STALL;
        match busy {
            _ if busy >= SILENT => self.fall(VolumeState::Draining, Trouble::Stalled, now),
            _ if busy >= STALL => self.fall(VolumeState::Suspect, Trouble::Stalled, now),
            _ => None,
        }
    }

    /// The disk refused.
    pub(super) fn refused(&mut self, what: Refused, error: &io::Error, now: UtcMicros) -> Option<VolumeState> {
        self.errors += 1;
        self.standing = false;
        self.well_since = None;
        self.last_error = Some(error.to_string());
        let many = self.errors >= ERRORS_TO_DRAIN;
        match (Trouble::of(error), what) {
            (trouble @ (Trouble::ReadOnly | Trouble::Away), _) => self.fall(VolumeState::Draining, trouble, now),
            (_, Refused::Sync) => self.fall(VolumeState::Draining, Trouble::Unsynced, now),
            (trouble, Refused::Write) if many => self.fall(VolumeState::Draining, trouble, now),
            (trouble, Refused::Write) => self.fall(VolumeState::Suspect, trouble, now),
        }
    }

    /// Not even its own name can be read.
    pub(super) fn unreadable(&mut self, error: &io::Error, now: UtcMicros) -> Option<VolumeState> {
        self.last_error = Some(error.to_string());
        self.fall(VolumeState::Failed, Trouble::Away, now)
    }

    fn fall(&mut self, state: VolumeState, trouble: Trouble, now: UtcMicros) -> Option<VolumeState> {
        (state > self.state).then(|| {
            self.state = state;
            self.trouble = Some(trouble);
            self.since.get_or_insert(now);
            state
        })
    }
}

impl Trouble {
    /// What an error says about a disk.
    pub(super) fn of(error: &io::Error) -> Self {
        use rustix::io::Errno;
        let gone = [Errno::NODEV, Errno::NXIO, Errno::NOENT, Errno::SHUTDOWN, Errno::NOTCONN, Errno::STALE];
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::ROFS) => Self::ReadOnly,
            Some(Errno::NOSPC | Errno::DQUOT) => Self::NoSpace,
            Some(errno) if gone.contains(&errno) => Self::Away,
            _ if error.kind() == io::ErrorKind::StorageFull => Self::NoSpace,
            _ => Self::Refuses,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UtcMicros = UtcMicros::from_micros(0);

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn errno(errno: rustix::io::Errno) -> io::Error {
        errno.into()
    }

    #[test]
    fn a_disk_that_stands_still_gives_up_its_streams_and_gets_trust_back_by_a_minute_of_quick_commits() {
        let mut fare = Fare::new();
        assert_eq!(fare.busy(Duration::from_millis(1900), NOW), None);
        assert_eq!(fare.busy(seconds(2), NOW), Some(VolumeState::Suspect));
        assert!(!fare.keeps() && !fare.answers());
        assert_eq!(fare.busy(seconds(29), NOW), None);
        assert_eq!(fare.busy(seconds(30), NOW), Some(VolumeState::Draining));
        assert_eq!(fare.committed(seconds(40), seconds(31), NOW), Some(VolumeState::Suspect), "it answered after all");
        assert!(fare.answers());
        for at in 41..101 {
            assert_eq!(fare.committed(seconds(at), Duration::from_millis(20), NOW), None);
        }
        assert_eq!(fare.committed(seconds(101), Duration::from_millis(20), NOW), Some(VolumeState::Ok));
        assert!(fare.keeps() && fare.trouble().is_none());
    }

    #[test]
    fn commits_that_are_slow_for_ten_seconds_make_a_disk_suspect_and_a_single_slow_one_does_not() {
        let mut fare = Fare::new();
        assert_eq!(fare.committed(seconds(1), Duration::from_millis(1500), NOW), None);
        assert_eq!(fare.committed(seconds(2), Duration::from_millis(50), NOW), None);
        let slow: Vec<_> = (3..20).filter_map(|at| fare.committed(seconds(at), Duration::from_millis(1100), NOW)).collect();
        assert_eq!((slow, fare.trouble(), fare.keeps()), (vec![VolumeState::Suspect], Some(Trouble::Slow), false));
    }

    #[test]
    fn a_disk_that_is_quick_only_for_a_moment_between_slow_commits_is_slow_and_one_that_was_slow_now_and_then_is_not() {
        let judge = |quick: u64| {
            let mut fare = Fare::new();
            for round in 0..40 {
                let at = round * (quick + 2);
                fare.committed(seconds(at + 2), Duration::from_millis(1700), NOW);
                for more in 1..=quick {
                    fare.committed(seconds(at + 2 + more), Duration::from_millis(6), NOW);
                }
            }
            fare.trouble()
        };
        assert_eq!((judge(1), judge(5)), (Some(Trouble::Slow), None));
    }

    #[test]
    fn a_commit_that_nobody_saw_stand_still_was_stopped_with_the_whole_process() {
        let mut fare = Fare::new();
        assert_eq!(fare.committed(seconds(20), seconds(15), NOW), None);
        assert_eq!((fare.state(), fare.trouble()), (VolumeState::Ok, None));
        fare.busy(seconds(3), NOW);
        fare.committed(seconds(40), seconds(15), NOW);
        assert_eq!(fare.state(), VolumeState::Suspect);
    }

    #[test]
    fn refusals_are_judged_by_what_was_refused_and_how_often() {
        use rustix::io::Errno;
        let after = |refusals: &[(Refused, Errno)]| {
            let mut fare = Fare::new();
            for (what, error) in refusals {
                fare.refused(*what, &errno(*error), NOW);
            }
            (fare.state(), fare.trouble(), fare.keeps())
        };
        let write = |error| (Refused::Write, error);
        assert_eq!(after(&[write(Errno::IO)]), (VolumeState::Suspect, Some(Trouble::Refuses), true));
        assert_eq!(after(&[write(Errno::IO); 3]), (VolumeState::Draining, Some(Trouble::Refuses), false));
        assert_eq!(after(&[(Refused::Sync, Errno::IO)]), (VolumeState::Draining, Some(Trouble::Unsynced), false));
        assert_eq!(after(&[write(Errno::ROFS)]), (VolumeState::Draining, Some(Trouble::ReadOnly), false));
        assert_eq!(after(&[write(Errno::NODEV)]), (VolumeState::Draining, Some(Trouble::Away), false));
        assert_eq!(after(&[write(Errno::NOSPC)]), (VolumeState::Suspect, Some(Trouble::NoSpace), true));
    }

    #[test]
    fn a_disk_that_refused_a_sync_is_not_trusted_again_however_well_it_does() {
        let mut fare = Fare::new();
        fare.refused(Refused::Sync, &errno(rustix::io::Errno::IO), NOW);
        assert!((1..500).all(|at| fare.committed(seconds(at), Duration::from_millis(5), NOW).is_none()));
        assert_eq!(fare.state(), VolumeState::Draining);
        assert_eq!(fare.unreadable(&errno(rustix::io::Errno::IO), NOW), Some(VolumeState::Failed));
    }
}
