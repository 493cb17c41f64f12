use super::*;
use crate::AddressError;

/// Plays a script against a session and writes down what it did.
///
/// Words: `opened`, `unit` (recordable), `junk` (not), `stored`, `live:N` (N seconds of units that are stored), `idle:N`
/// (N seconds of units that are not stored), `+N` (N seconds pass in which the session is woken when it asks), and faults:
/// `down`, `401`, `404`, `garbled`, `codec`, `mute`.
struct Player {
    session: Session,
    start: Instant,
    now: Instant,
    wake: Option<Instant>,
    log: Vec<String>,
}

impl Player {
    fn new(choice: Choice) -> Self {
        let now = Instant::now();
        let mut player = Self { session: Session::new(choice, 7, now), start: now, now, wake: None, log: Vec::new() };
        player.give(Input::Tick);
        player
    }

    fn give(&mut self, input: Input) {
        for action in self.session.handle(input, self.now) {
            let word = match action {
                Action::Open(driver) => format!("{driver:?}").to_lowercase(),
                Action::Close => "close".to_owned(),
                Action::WakeAt(at) => {
                    self.wake = Some(at);
                    continue;
                }
                Action::Mark(fault) => format!("mark:{:?}", fault.cause()),
                Action::Tell(CameraEventKind::Recording { down_s }) => format!("recording({down_s})"),
                Action::Tell(event) => event.word().replace("camera.", "!"),
                Action::Remember(driver) => format!("remember:{driver:?}").to_lowercase(),
            };
            self.log.push(word);
        }
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(wake) = self.wake.filter(|wake| *wake <= end) {
            self.now = wake;
            self.wake = None;
            self.give(Input::Tick);
        }
        self.now = end;
    }

    fn word(&mut self, word: &str) {
        let fault = |fault| Input::Fault(fault);
        let input = match word {
            "opened" => Input::Opened,
            "unit" => Input::Units { recordable: true },
            "junk" => Input::Units { recordable: false },
            "stored" => Input::Stored,
            "down" => fault(Fault::Unreachable("reset".to_owned())),
            "401" => fault(Fault::Unauthorised),
            "404" => fault(Fault::Refused(404)),
            "garbled" => fault(Fault::Protocol("o=".to_owned())),
            "codec" => fault(Fault::UnsupportedCodec("jpeg".to_owned())),
            "mute" => fault(Fault::Silent),
            "forbidden" => fault(Fault::Address(AddressError::Forbidden([127, 0, 0, 1].into()))),
            other => return self.span(other),
        };
        self.give(input);
    }

    fn span(&mut self, word: &str) {
        if let Some(seconds) = word.strip_prefix('+') {
            return self.pass(Duration::from_secs_f64(seconds.parse().expect(word)));
        }
        let (what, seconds) = word.split_once(':').expect(word);
        for _ in 0..seconds.parse::<u32>().expect(word) {
            self.word(if what == "junk" { "junk" } else { "unit" });
            if what == "live" {
                self.word("stored");
            }
            self.pass(Duration::from_secs(1));
        }
    }
}

fn play(choice: Choice, script: &str) -> Player {
    let mut player = Player::new(choice);
    script.split_whitespace().for_each(|word| player.word(word));
    player
}

fn check_with(choice: Choice, script: &str, expected: &str) {
    assert_eq!(play(choice, script).log.join(" "), expected, "{script}");
}

/// With a camera whose driver is known.
fn check(script: &str, expected: &str) {
    check_with(Choice::Probe(Some(Driver::Native)), script, expected);
}

#[test]
fn a_session_is_up_when_units_are_stored() {
    check("opened unit", "native");
    check("opened unit stored", "native recording(0)");
}

#[test]
fn a_lost_session_leaves_a_gap_with_its_cause_and_is_dialled_again() {
    check(
        "opened live:20 down +1 opened unit stored",
        "native recording(0) close mark:CameraUnreachable !offline native recording(2)",
    );
}

#[test]
fn a_session_too_short_to_be_stored_still_leaves_its_own_gap() {
    check(
        "opened live:20 down +1 opened +0.1 unit down",
        "native recording(0) close mark:CameraUnreachable !offline native close mark:CameraUnreachable",
    );
}

#[test]
fn ten_seconds_without_a_picture_end_a_session() {
    check("opened live:20 +8", "native recording(0)");
    check("opened live:20 +9.1", "native recording(0) close mark:CameraSilent !offline");
}

#[test]
fn an_outage_is_told_once_and_marked_again_only_when_its_cause_changes() {
    check(
        "opened live:20 down +1 down +3 down +6 404",
        "native recording(0) close mark:CameraUnreachable !offline native close native close native close mark:CameraRefused",
    );
}

#[test]
fn units_that_are_not_stored_blame_the_disk_and_not_the_camera() {
    check("opened live:5 idle:30 live:1", "native recording(0) !not_stored !stored_again");
}

#[test]
fn pictures_that_nothing_can_decode_end_a_session_after_a_minute() {
    check("opened junk:59", "native");
    check("opened junk:60", "native close mark:CameraFault !offline");
}

#[test]
fn a_wrong_password_is_tried_twice_and_then_left_alone_for_minutes() {
    check("401 +2 401 +220", "native close mark:WrongPassword !offline native close !wrong_password");
    let log = play(Choice::Probe(Some(Driver::Native)), "401 +2 401 +376").log;
    assert!(log.iter().filter(|word| *word == "native").count() >= 3, "{log:?}");
}

#[test]
fn a_camera_that_cannot_be_read_is_given_to_the_other_driver_and_that_is_remembered() {
    check_with(
        Choice::Probe(None),
        "garbled +1 opened unit stored",
        "native close mark:CameraFault !offline libav recording(0) remember:libav !driver_chosen",
    );
    check_with(Choice::Probe(None), "opened unit stored", "native recording(0) remember:native !driver_chosen");
}

#[test]
fn a_remembered_driver_is_tried_first_and_gives_way_to_libav_and_then_to_our_own() {
    check_with(Choice::Probe(Some(Driver::Libav)), "opened unit stored", "libav recording(0)");
    check_with(
        Choice::Probe(Some(Driver::Retina)),
        "garbled +1 garbled +2",
        "retina close mark:CameraFault !offline libav close native",
    );
}

#[test]
fn an_unreachable_camera_or_a_wrong_password_says_nothing_about_the_driver() {
    check_with(Choice::Probe(None), "down +1 down +3", "native close mark:CameraUnreachable !offline native close native");
    check_with(Choice::Probe(None), "401 +1", "native close mark:WrongPassword !offline native");
}

#[test]
fn silence_blames_the_driver_only_the_second_time() {
    check_with(Choice::Probe(None), "mute +1 mute +3", "native close mark:CameraSilent !offline native close libav");
}

#[test]
fn a_driver_that_plays_and_keeps_failing_gives_way() {
    let round = "opened live:12 garbled +1 ";
    let log = play(Choice::Probe(Some(Driver::Native)), &round.repeat(3)).log;
    assert_eq!(log.iter().filter(|word| *word == "native").count(), 3);
    assert_eq!(log.last().map(String::as_str), Some("libav"));
}

#[test]
fn the_configured_driver_is_never_changed() {
    check_with(
        Choice::Fixed(Driver::Native),
        "garbled +1 garbled +2",
        "native close mark:CameraFault !offline native close native",
    );
}

#[test]
fn waits_double_to_half_a_minute_and_are_spread() {
    let mut player = Player::new(Choice::Probe(Some(Driver::Native)));
    let mut waits = Vec::new();
    for _ in 0..12 {
        player.word("down");
        let until = player.wake.expect("it waits");
        waits.push((until - player.now).as_secs_f64());
        player.pass(until - player.now);
    }
    for (wait, usual) in waits.iter().zip([0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 24.0, 24.0, 24.0, 24.0, 24.0, 24.0]) {
        assert!((usual * 0.75..=usual * 1.25).contains(wait), "{wait} s where {usual} s are usual: {waits:?}");
    }
    assert!(waits.windows(2).skip(6).any(|pair| (pair[0] - pair[1]).abs() > 0.1), "not spread: {waits:?}");
}

#[test]
fn a_session_that_breaks_at_once_does_not_reset_the_wait() {
    let log = play(Choice::Probe(Some(Driver::Native)), &"opened unit stored down +1 ".repeat(20)).log;
    assert!(log.iter().filter(|word| *word == "native").count() < 8, "{log:?}");
}

#[test]
fn dialling_that_never_ends_is_given_up() {
    check("+100", "native close mark:CameraUnreachable !offline native");
}

#[test]
fn a_thousand_random_days_never_stop_dialling() {
    let words = [
        "opened",
        "unit",
        "junk",
        "stored",
        "down",
        "401",
        "404",
        "garbled",
        "codec",
        "mute",
        "forbidden",
        "+1",
        "+20",
        "live:3",
    ];
    for seed in 0..1_000_u64 {
        let mut player = Player::new(Choice::Probe(None));
        let mut dice = Jitter(seed);
        for _ in 0..100 {
            let roll = dice.spread(Duration::from_secs(1)).as_nanos() as usize;
            player.word(words[roll % words.len()]);
        }
        let before = player.log.iter().filter(|word| ["native", "libav"].contains(&word.as_str())).count();
        player.pass(Duration::from_secs(1_000));
        let after = player.log.iter().filter(|word| ["native", "libav"].contains(&word.as_str())).count();
        assert!(after > before, "seed {seed}: stopped after {:?}: {:?}", player.now - player.start, player.session.state());
    }
}
