//! One camera's pull point as a state machine: what to ask the camera next, and when. Answers and time in, questions out; no
//! socket and no clock of its own.
//!
//! A camera forgets: subscriptions end at their term, at a reboot, or for no reason that it tells (Q119), and some firmwares go on
//! answering for one that hears nothing any more. So a subscription is renewed at half its term; whatever a camera says against it
//! makes a new one; and every [`SYNCHRONISE_EVERY`] it is asked to tell the states that hold: one that told some before and now
//! tells none is dead, however politely it answers.

use std::time::{Duration, Instant};

/// How long a subscription is asked to live.
pub(super) const TERM: Duration = Duration::from_secs(120);
/// How long a camera may keep a question for events open. ONVIF asks cameras for 60 s at least.
pub(super) const PULL: Duration = Duration::from_secs(30);
/// The same for a camera that cuts connections earlier (Q117).
pub(super) const SHORT_PULL: Duration = Duration::from_secs(5);
/// A question that was cut off after so long was a long poll that the camera did not like; before, it is a failure.
const CUT_AFTER: Duration = Duration::from_secs(6);
/// How often the states that hold are asked for.
pub(super) const SYNCHRONISE_EVERY: Duration = Duration::from_secs(600);
/// How long states that were asked for may take to come.
const TELLS_WITHIN: Duration = Duration::from_secs(60);
/// The first and the longest wait after failures.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(120));
/// How long a camera that has no events, or refuses the password, is left alone: many lock an account after a few wrong ones.
const LEFT_ALONE: Duration = Duration::from_secs(600);

/// What to ask the camera.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ask {
    /// What time it has: signing in with a time of ours that it does not share is refused (Q83).
    Clock,
    /// Where its event service is.
    Find,
    /// For a subscription of all topics, for [`TERM`].
    Subscribe,
    /// To tell all states that hold.
    Synchronise,
    /// For what happened, waiting so long for it.
    Pull(Duration),
    /// For another [`TERM`].
    Renew,
}

/// What came of a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// It was answered; so many states were told as holding (to [`Ask::Pull`] only).
    Good { states: usize },
    /// The camera knows the question and says no to it: the subscription is not there, or cannot be renewed.
    Fault,
    /// The connection ended without an answer.
    Cut,
    /// Nobody answered, or nothing that can be read.
    Failed,
    /// The user or the password is wrong.
    Unauthorised,
    /// It has no event service.
    NoEvents,
}

/// How far a pull point is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Clock,
    Find,
    Subscribe,
    /// The camera hears for us.
    Subscribed,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Core {
    step: Step,
    not_before: Option<Instant>,
    failures: u32,
    asked: Option<(Ask, Instant)>,
    pull: Duration,
    renew_at: Option<Instant>,
    synchronise_at: Option<Instant>,
    /// States are awaited until then, since they were asked for.
    awaits_states: Option<Instant>,
    /// Whether this camera ever told states when asked: only of such a one is silence a sign.
    tells_states: bool,
    /// Whether renewing works; where it does not (401 to some, Q119), a new subscription is made in time.
    renews: bool,
    /// Between 0 and 1, the camera's own: 290 cameras do not ask all at once.
    spread: f64,
}

impl Core {
    /// A pull point of which nothing is known. `spread`, 0 to 1, is this camera's place among others.
    pub(super) fn new(now: Instant, spread: f64) -> Self {
        Self {
            step: Step::Clock,
            not_before: Some(now + RETRY.0.mul_f64(spread.clamp(0.0, 1.0))),
            failures: 0,
            asked: None,
            pull: PULL,
            renew_at: None,
            synchronise_at: None,
            awaits_states: None,
            tells_states: false,
            renews: true,
            spread: spread.clamp(0.0, 1.0),
        }
    }

    /// Whether the camera has a subscription of ours.
    pub(super) fn is_subscribed(&self) -> bool {
        self.step == Step::Subscribed
    }

    /// What to ask now, or until when to wait.
    pub(super) fn next(&mut self, now: Instant) -> Result<Ask, Instant> {
        if let Some(until) = self.not_before.filter(|until| *until > now) {
            return Err(until);
        }
        let ask = match self.step {
            Step::Clock => Ask::Clock,
            Step::Find => Ask::Find,
            Step::Subscribe => Ask::Subscribe,
            Step::Subscribed if self.is_deaf(now) => {
                self.again();
                Ask::Subscribe
            }
            Step::Subscribed if is_due(self.synchronise_at, now) => Ask::Synchronise,
            Step::Subscribed if is_due(self.renew_at, now) => {
                if self.renews {
                    Ask::Renew
                } else {
                    self.again();
                    Ask::Subscribe
                }
            }
            Step::Subscribed => Ask::Pull(self.pull),
        };
        self.asked = Some((ask, now));
        Ok(ask)
    }

    /// Takes what came of the question that [`Core::next`] gave last.
    pub(super) fn heard(&mut self, answer: Answer, now: Instant) {
        let Some((ask, asked)) = self.asked.take() else { return };
        match answer {
            Answer::Good { states } => self.good(ask, states, now),
            Answer::Cut if matches!(ask, Ask::Pull(_)) && now.duration_since(asked) >= CUT_AFTER => self.pull = SHORT_PULL,
            Answer::Unauthorised | Answer::NoEvents => {
                self.again();
                self.step = Step::Clock;
                self.not_before = Some(now + LEFT_ALONE.mul_f64(0.9 + self.spread * 0.2));
            }
            // Asking for the states, and renewing, are what some cameras cannot do: they tell what happens all the same.
            Answer::Fault if ask == Ask::Synchronise => self.synchronise_at = None,
            Answer::Fault if ask == Ask::Renew => {
                self.renews = false;
                self.again();
            }
            Answer::Fault if matches!(ask, Ask::Pull(_)) && self.failures == 0 => {
                self.failures = 1;
                self.again();
            }
            // The clock is only a help.
            Answer::Fault if ask == Ask::Clock => self.step = Step::Find,
            Answer::Fault | Answer::Cut | Answer::Failed => self.failed(now),
        }
    }

    fn good(&mut self, ask: Ask, states: usize, now: Instant) {
        match ask {
            Ask::Clock => self.step = Step::Find,
            Ask::Find => self.step = Step::Subscribe,
            Ask::Subscribe => {
                self.step = Step::Subscribed;
                self.renew_at = Some(now + TERM / 2);
                self.synchronise_at = Some(now);
            }
            Ask::Synchronise => {
                self.synchronise_at = Some(now + SYNCHRONISE_EVERY);
                self.awaits_states = Some(now + TELLS_WITHIN);
            }
            Ask::Renew => self.renew_at = Some(now + TERM / 2),
            Ask::Pull(_) => {
                self.failures = 0;
                if states > 0 {
                    self.tells_states = true;
                    self.awaits_states = None;
                }
            }
        }
    }

    /// Whether a camera that tells states when asked has told none.
    fn is_deaf(&self, now: Instant) -> bool {
        self.tells_states && is_due(self.awaits_states, now)
    }

    /// Another subscription, of the same event service.
    fn again(&mut self) {
        self.step = Step::Subscribe;
        (self.renew_at, self.synchronise_at, self.awaits_states) = (None, None, None);
    }

    /// Waits, longer each time, and looks for everything anew: after a reboot the camera may answer elsewhere.
    fn failed(&mut self, now: Instant) {
        self.again();
        self.step = Step::Clock;
        let wait = (RETRY.0 * 2u32.saturating_pow(self.failures.min(10))).min(RETRY.1);
        self.failures += 1;
        self.not_before = Some(now + wait.mul_f64(0.75 + self.spread * 0.5));
    }
}

fn is_due(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| now >= at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Answer = Answer::Good { states: 0 };

    /// A camera that answers `script` in order, and the rest well after [`PULL`]; what it was asked until `for_s` seconds are over.
    fn asked(script: &[(Answer, u64)], for_s: u64) -> Vec<(u64, Ask)> {
        let begin = Instant::now();
        let (mut core, mut now, mut script) = (Core::new(begin, 0.0), begin, script.iter());
        let mut asked = Vec::new();
        while now - begin < Duration::from_secs(for_s) {
            match core.next(now) {
                Err(until) => now = until,
                Ok(ask) => {
                    asked.push(((now - begin).as_secs(), ask));
                    let usual = if let Ask::Pull(wait) = ask { (GOOD, wait.as_secs()) } else { (GOOD, 0) };
                    let (answer, after) = script.next().copied().unwrap_or(usual);
                    now += Duration::from_secs(after);
                    core.heard(answer, now);
                }
            }
        }
        asked
    }

    fn times(asked: &[(u64, Ask)], wanted: Ask) -> Vec<u64> {
        asked.iter().filter(|(_, ask)| *ask == wanted).map(|(at, _)| *at).collect()
    }

    #[test]
    fn a_subscription_is_made_once_and_renewed_before_it_ends() {
        let asked = asked(&[], 600);
        let order: Vec<Ask> = asked.iter().take(5).map(|(_, ask)| *ask).collect();
        assert_eq!(order, [Ask::Clock, Ask::Find, Ask::Subscribe, Ask::Synchronise, Ask::Pull(PULL)]);
        assert_eq!(times(&asked, Ask::Subscribe), [0]);
        let renewed = times(&asked, Ask::Renew);
        assert!(renewed.windows(2).all(|two| two[1] - two[0] < TERM.as_secs()), "{renewed:?}");
        assert_eq!(renewed.len(), 9);
    }

    #[test]
    fn q119_a_subscription_that_the_camera_does_not_know_is_made_anew_at_once_and_told_the_states() {
        let asked = asked(&[(GOOD, 0), (GOOD, 0), (GOOD, 0), (GOOD, 0), (GOOD, 30), (Answer::Fault, 0)], 31);
        let order: Vec<Ask> = asked.iter().skip(5).map(|(_, ask)| *ask).collect();
        assert_eq!(order[..3], [Ask::Pull(PULL), Ask::Subscribe, Ask::Synchronise]);
    }

    #[test]
    fn a_camera_that_cannot_renew_gets_a_new_subscription_in_time() {
        let mut script = vec![(GOOD, 0); 4];
        script.extend([(GOOD, 30), (GOOD, 30), (Answer::Fault, 0)]);
        let asked = asked(&script, 300);
        assert_eq!(times(&asked, Ask::Renew), [60], "it is not asked again");
        let made = times(&asked, Ask::Subscribe);
        assert!(made.windows(2).all(|two| two[1] - two[0] < TERM.as_secs()), "{made:?}");
        assert!(made.len() >= 4, "{made:?}");
    }

    #[test]
    fn q117_a_camera_that_cuts_long_questions_is_asked_short_ones_and_keeps_its_subscription() {
        let mut script = vec![(GOOD, 0); 4];
        script.push((Answer::Cut, 10));
        let asked = asked(&script, 50);
        assert_eq!(times(&asked, Ask::Subscribe), [0]);
        assert_eq!(times(&asked, Ask::Pull(PULL)).len(), 1);
        assert!(times(&asked, Ask::Pull(SHORT_PULL)).len() >= 7);
    }

    #[test]
    fn a_camera_that_tells_no_states_any_more_when_asked_is_subscribed_anew() {
        let mut script = vec![(GOOD, 0); 4];
        script.push((Answer::Good { states: 3 }, 1));
        let asked = asked(&script, 1400);
        let again = times(&asked, Ask::Synchronise)[1];
        let made = times(&asked, Ask::Subscribe);
        assert!(made[1] > again && made[1] <= again + 90, "asked for states at {again}, new at {made:?}");
    }

    #[test]
    fn a_camera_that_never_told_states_is_not_suspected_for_telling_none() {
        assert_eq!(times(&asked(&[], 3600), Ask::Subscribe), [0]);
    }

    #[test]
    fn a_camera_that_is_away_is_asked_less_and_less_often_but_never_given_up() {
        let away = vec![(Answer::Failed, 1); 40];
        let tries = times(&asked(&away, 3600), Ask::Clock);
        assert!(tries[1] <= 4, "{tries:?}");
        assert!(tries.windows(2).all(|two| two[1] - two[0] <= 151), "{tries:?}");
        assert!((20..=45).contains(&tries.len()), "{tries:?}");
    }

    #[test]
    fn a_wrong_password_is_not_tried_until_the_camera_locks() {
        let tries = times(
            &asked(&[(GOOD, 0), (GOOD, 0), (Answer::Unauthorised, 0), (GOOD, 0), (GOOD, 0), (Answer::Unauthorised, 0)], 1300),
            Ask::Subscribe,
        );
        assert_eq!(tries.len(), 3, "{tries:?}");
        assert!(tries[1] >= 500, "{tries:?}");
    }
}
