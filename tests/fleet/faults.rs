//! What goes wrong with cameras, on a script or on command.
//!
//! A [`Rule`] says which fault befalls whom, when and for how long. All faults that hold for a camera fold into one
//! [`Effects`]: the server asks it at the few places where a fault can act, and knows no fault by name.

use crate::{
    dice::Dice,
    quirks::{self, Act, Habit, Quirk},
};
use serde::Serialize;
use std::{fmt, str::FromStr, time::Duration};

/// Something that goes wrong with a camera.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Fault {
    /// Every connection is reset, once.
    Drop,
    /// Requests are answered, but no packet is sent.
    Silent,
    /// Nothing is read and nothing is sent, but the connection stays: the camera lost its power.
    HalfOpen,
    /// Connections are closed as soon as they ask for anything, as behind a switch that is down.
    Offline,
    /// The device service takes connections and says nothing, while the pictures go on; when it is back it has forgotten everybody.
    DeviceDead,
    /// Foreign bytes stand between interleaved frames.
    Garbage,
    /// RTP timestamps jump by so many seconds, once.
    TimestampJump(i32),
    /// The media clock runs fast (or slow, below 0) by so many millionths.
    Drift(i32),
    /// The camera's wall clock, in sender reports and metadata, is ahead by so many seconds.
    ClockOffset(i32),
    /// Other parameter sets, from the next key unit on; the old ones return afterwards.
    NewParameters,
    /// No password is right any more.
    WrongPassword,
    /// So many milliseconds pass before the first packet.
    SlowStart(u32),
    /// Packets are held back and go out together, every so many milliseconds: a radio link that stalls.
    Bursts(u32),
    /// No sender reports.
    NoRtcp,
    /// At most so many sessions; more are refused with 453.
    SessionLimit(u32),
    /// One of the catalogued oddities.
    Odd(&'static Quirk),
}

/// Which cameras.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Who {
    /// Every camera.
    All,
    /// These, by number.
    Cameras(Vec<u32>),
    /// So many percent of them, chosen by the fleet's seed and the rule's place in the script.
    Percent(u32),
}

/// One line of a script: `FAULT[=NUMBER][@SECONDS][+SECONDS][:WHO]`.
///
/// `drop@30:10%` resets the connections of a tenth of the cameras after 30 s; `silent@5+20:3` lets camera 3 send nothing
/// for 20 s; `drift=200` holds for all cameras from the start.
#[derive(Clone, PartialEq, Debug)]
pub struct Rule {
    /// What.
    pub fault: Fault,
    /// When, since the fleet started.
    pub at: Duration,
    /// For how long; `None`: until cleared.
    pub lasting: Option<Duration>,
    /// To whom.
    pub who: Who,
}

/// Why a rule is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RuleError {
    /// No such fault.
    #[error(
        "unknown fault `{0}`; known are drop, silent, half-open, offline, device-dead, garbage, timestamp-jump=S, drift=PPM, \
             clock-offset=S, new-parameters, wrong-password, slow-start=MS, bursts=MS, no-rtcp, session-limit=N and the quirks Q01…"
    )]
    Fault(String),
    /// A number is missing or makes no sense.
    #[error("`{0}` needs a number")]
    Number(String),
    /// Neither `all`, nor numbers with commas, nor a percentage.
    #[error("`{0}` names no cameras: write all, 3, 1,2,7 or 10%")]
    Who(String),
}

impl FromStr for Rule {
    type Err = RuleError;
    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (what, who) = text.split_once(':').unwrap_or((text, "all"));
        let (what, lasting) = what.split_once('+').map_or((what, None), |(what, lasting)| (what, Some(lasting)));
        let (what, at) = what.split_once('@').unwrap_or((what, "0"));
        let seconds = |text: &str| {
            let value = text.trim_end_matches('s').parse::<f64>().ok().filter(|value| (0.0..1e9).contains(value));
            value.map(Duration::from_secs_f64).ok_or_else(|| RuleError::Number(text.to_owned()))
        };
        let (at, lasting) = (seconds(at)?, lasting.map(seconds).transpose()?);
        Ok(Self { fault: what.parse()?, at, lasting, who: who.parse()? })
    }
}

impl FromStr for Fault {
    type Err = RuleError;
    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (word, value) = text.split_once('=').map_or((text, None), |(word, value)| (word, Some(value)));
        let signed = || value.and_then(|v| v.parse::<i32>().ok()).ok_or_else(|| RuleError::Number(text.to_owned()));
        let unsigned = || value.and_then(|v| v.parse::<u32>().ok()).ok_or_else(|| RuleError::Number(text.to_owned()));
        Ok(match word {
            "drop" => Self::Drop,
            "silent" => Self::Silent,
            "half-open" => Self::HalfOpen,
            "offline" => Self::Offline,
            "garbage" => Self::Garbage,
            "timestamp-jump" => Self::TimestampJump(signed()?),
            "device-dead" => Self::DeviceDead,
            "drift" => Self::Drift(signed()?),
            "clock-offset" => Self::ClockOffset(signed()?),
            "new-parameters" => Self::NewParameters,
            "wrong-password" => Self::WrongPassword,
            "slow-start" => Self::SlowStart(unsigned()?),
            "bursts" => Self::Bursts(unsigned()?),
            "no-rtcp" => Self::NoRtcp,
            "session-limit" => Self::SessionLimit(unsigned()?),
            id => Self::Odd(quirks::find(id).ok_or_else(|| RuleError::Fault(id.to_owned()))?),
        })
    }
}

impl FromStr for Who {
    type Err = RuleError;
    fn from_str(text: &str) -> Result<Self, RuleError> {
        let wrong = || RuleError::Who(text.to_owned());
        if text == "all" {
            return Ok(Self::All);
        }
        if let Some(percent) = text.strip_suffix('%') {
            return percent.parse().ok().filter(|p| *p <= 100).map(Self::Percent).ok_or_else(wrong);
        }
        text.split(',').map(|n| n.parse().ok().filter(|n| *n > 0)).collect::<Option<_>>().map(Self::Cameras).ok_or_else(wrong)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drop => f.write_str("drop"),
            Self::Silent => f.write_str("silent"),
            Self::HalfOpen => f.write_str("half-open"),
            Self::Offline => f.write_str("offline"),
            Self::DeviceDead => f.write_str("device-dead"),
            Self::Garbage => f.write_str("garbage"),
            Self::TimestampJump(seconds) => write!(f, "timestamp-jump={seconds}"),
            Self::Drift(ppm) => write!(f, "drift={ppm}"),
            Self::ClockOffset(seconds) => write!(f, "clock-offset={seconds}"),
            Self::NewParameters => f.write_str("new-parameters"),
            Self::WrongPassword => f.write_str("wrong-password"),
            Self::SlowStart(millis) => write!(f, "slow-start={millis}"),
            Self::Bursts(millis) => write!(f, "bursts={millis}"),
            Self::NoRtcp => f.write_str("no-rtcp"),
            Self::SessionLimit(sessions) => write!(f, "session-limit={sessions}"),
            Self::Odd(quirk) => f.write_str(quirk.id),
        }
    }
}

impl Who {
    /// The numbers of the cameras it means, of a fleet of `cameras`. The same seed and rule number choose the same ones.
    #[must_use]
    pub fn cameras(&self, cameras: u32, seed: u64, rule: u64) -> Vec<u32> {
        match self {
            Self::All => (1..=cameras).collect(),
            Self::Cameras(numbers) => numbers.iter().copied().filter(|n| *n <= cameras).collect(),
            Self::Percent(percent) => {
                let mut order: Vec<u32> = (1..=cameras).collect();
                let mut dice = Dice::new(seed, 1000 + rule);
                for last in (1..order.len()).rev() {
                    order.swap(last, dice.below(last as u64 + 1) as usize);
                }
                order.truncate((u64::from(cameras) * u64::from(*percent)).div_ceil(100) as usize);
                order.sort_unstable();
                order
            }
        }
    }
}

/// All that is wrong with one camera now. The default: nothing.
#[derive(Clone, Default, Debug)]
pub struct Effects {
    /// Goes up with each reset: a connection older than it goes.
    pub drops: u64,
    /// Send no packets.
    pub silent: bool,
    /// Neither read nor write.
    pub half_open: bool,
    /// Close on any request.
    pub offline: bool,
    /// Say nothing at the device service.
    pub device_dead: bool,
    /// Foreign bytes before each access unit.
    pub garbage: bool,
    /// What is added to RTP timestamps, in 1/90 000 s.
    pub offset: i64,
    /// How fast the media clock runs too fast, in millionths, and since when, in microseconds of the fleet's time.
    pub drift: (i32, i64),
    /// What is added to the camera's wall clock, in microseconds.
    pub clock_offset: i64,
    /// Send the other parameter sets.
    pub new_parameters: bool,
    /// Refuse every password.
    pub wrong_password: bool,
    /// Wait before the first packet.
    pub slow_start: Duration,
    /// Hold packets back, and send what is due together this often. Zero: never.
    pub bursts: Duration,
    /// Send no sender reports.
    pub no_rtcp: bool,
    /// How many sessions there may be.
    pub session_limit: Option<u32>,
    /// Oddities of protocol and payload.
    pub quirks: Vec<&'static Quirk>,
}

impl Effects {
    /// Lets a fault begin at `now`, microseconds of the fleet's time.
    pub fn begin(&mut self, fault: Fault, now: i64) {
        match fault {
            Fault::Drop => self.drops += 1,
            Fault::Silent => self.silent = true,
            Fault::HalfOpen => self.half_open = true,
            Fault::Offline => {
                self.offline = true;
                self.drops += 1;
            }
            Fault::DeviceDead => self.device_dead = true,
            Fault::Garbage => self.garbage = true,
            Fault::TimestampJump(seconds) => self.offset += i64::from(seconds) * 90_000,
            Fault::Drift(ppm) => {
                self.settle_drift(now);
                self.drift = (ppm, now);
            }
            Fault::ClockOffset(seconds) => self.clock_offset = i64::from(seconds) * 1_000_000,
            Fault::NewParameters => self.new_parameters = true,
            Fault::WrongPassword => self.wrong_password = true,
            Fault::SlowStart(millis) => self.slow_start = Duration::from_millis(u64::from(millis)),
            Fault::Bursts(millis) => self.bursts = Duration::from_millis(u64::from(millis)),
            Fault::NoRtcp => self.no_rtcp = true,
            Fault::SessionLimit(sessions) => self.session_limit = Some(sessions),
            Fault::Odd(quirk) => self.quirks.push(quirk),
        }
    }

    /// Lets a fault end. What happened once (a reset, a jump) stays as it is.
    pub fn end(&mut self, fault: Fault, now: i64) {
        match fault {
            Fault::Drop | Fault::TimestampJump(_) => {}
            Fault::Silent => self.silent = false,
            Fault::HalfOpen => self.half_open = false,
            Fault::Offline => self.offline = false,
            Fault::DeviceDead => self.device_dead = false,
            Fault::Garbage => self.garbage = false,
            Fault::Drift(_) => {
                self.settle_drift(now);
                self.drift = (0, now);
            }
            Fault::ClockOffset(_) => self.clock_offset = 0,
            Fault::NewParameters => self.new_parameters = false,
            Fault::WrongPassword => self.wrong_password = false,
            Fault::SlowStart(_) => self.slow_start = Duration::ZERO,
            Fault::Bursts(_) => self.bursts = Duration::ZERO,
            Fault::NoRtcp => self.no_rtcp = false,
            Fault::SessionLimit(_) => self.session_limit = None,
            Fault::Odd(quirk) => self.quirks.retain(|known| known.id != quirk.id),
        }
    }

    /// Lets every fault end.
    pub fn clear(&mut self, now: i64) {
        self.settle_drift(now);
        *self = Self { drops: self.drops, offset: self.offset, ..Self::default() };
    }

    /// Every single act of the oddities, in the order in which they began.
    pub fn acts(&self) -> impl Iterator<Item = &'static Act> + '_ {
        self.quirks.iter().flat_map(|quirk| quirk.acts.each())
    }

    /// Whether an odd habit is among what is wrong.
    #[must_use]
    pub fn has(&self, habit: Habit) -> bool {
        self.acts().any(|act| matches!(act, Act::Habit(has) if *has == habit))
    }

    /// What the camera adds to the RTP time that is due at `at`, in 1/90 000 s.
    #[must_use]
    pub fn media_offset(&self, at: i64) -> i64 {
        let (ppm, since) = self.drift;
        // Nine ticks in 100 µs, times millionths.
        let drifted = i128::from(at - since) * i128::from(ppm) * 9 / 100_000_000;
        self.offset + drifted as i64
    }

    fn settle_drift(&mut self, now: i64) {
        self.offset = self.media_offset(now);
        self.drift = (0, now);
    }
}

/// One active fault, as reported.
#[derive(Clone, Debug, Serialize)]
pub struct Active {
    /// Which camera.
    pub camera: u32,
    /// Which fault, as scripts write it.
    pub fault: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_line_says_what_when_how_long_and_to_whom() {
        let rule: Rule = "silent@5+20.5:1,7".parse().expect("a rule");
        assert_eq!((rule.fault, rule.at, rule.who), (Fault::Silent, Duration::from_secs(5), Who::Cameras(vec![1, 7])));
        assert_eq!(rule.lasting, Some(Duration::from_millis(20_500)));
        let rule: Rule = "timestamp-jump=-9800@3s:10%".parse().expect("a rule");
        assert_eq!((rule.fault, rule.who), (Fault::TimestampJump(-9800), Who::Percent(10)));
        for bad in ["", "explode", "drift", "drift=fast", "drop@later", "drop:0", "drop:101%", "drop:a", "Q999"] {
            assert!(bad.parse::<Rule>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_percentage_chooses_the_same_cameras_for_the_same_seed() {
        let who = Who::Percent(10);
        assert_eq!(who.cameras(50, 7, 0), who.cameras(50, 7, 0));
        assert_eq!(who.cameras(50, 7, 0).len(), 5);
        assert_ne!(who.cameras(50, 7, 0), who.cameras(50, 8, 0));
    }

    #[test]
    fn a_clock_that_drifted_stays_where_it_came_to() {
        let mut effects = Effects::default();
        effects.begin(Fault::Drift(500), 0);
        assert_eq!(effects.media_offset(100_000_000), 4500);
        effects.end(Fault::Drift(500), 100_000_000);
        assert_eq!(effects.media_offset(900_000_000), 4500);
        effects.begin(Fault::TimestampJump(2), 0);
        effects.clear(900_000_000);
        assert_eq!(effects.media_offset(900_000_000), 4500 + 180_000);
    }
}
