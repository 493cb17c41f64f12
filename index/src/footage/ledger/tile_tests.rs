use super::{
    super::{merge, tally},
    *,
};
use proptest::prelude::*;
use std::time::Duration;

fn at(second: i64) -> UtcMicros {
    UtcMicros::from_micros(second * 1_000_000)
}

fn window(from: i64, to: i64) -> Window {
    Window::new(at(from), at(to))
}

/// A history as text: `rec 0..3`, `mark 3 camera_silent`, `lost 5..6 network`, `ended 5..6 restart`, `restart 7..9`, `gone 0..2`,
/// `waits 8`, `end 5..6`.
#[derive(Clone, Default, Debug)]
struct History {
    recorded: Vec<Window>,
    story: Story,
    restarts: Vec<Window>,
    waiting: Option<UtcMicros>,
    ends: Vec<Window>,
}

impl History {
    fn add(&mut self, word: &str, from: i64, to: i64, cause: GapCause) {
        match word {
            "rec" => spans::join(&mut self.recorded, window(from, to)),
            "mark" => drop(self.story.mark(Mark { at: at(from), cause, detail: String::new() }, None)),
            "lost" => self.story.lose(Loss { window: window(from, to), cause, units: 1 }),
            "ended" => self.story.lose(Loss { window: window(from, to), cause, units: 0 }),
            "end" => self.ends.push(window(from, to)),
            "waits" => self.waiting = Some(at(from)),
            "restart" => spans::join(&mut self.restarts, window(from, to)),
            _ => {
                let done = Window::new(at(1000), at(1000));
                self.story.remove(&Removed { window: window(from, to), cause: GapCause::Expired, rule: String::new(), done });
            }
        }
    }

    fn parse(text: &str) -> Self {
        let mut history = Self::default();
        for fact in text.split('|').map(str::trim) {
            let words: Vec<&str> = fact.split_whitespace().collect();
            let (from, to) = words[1].split_once("..").unwrap_or((words[1], words[1]));
            let seconds = |text: &str| text.parse().expect("a number of seconds");
            let cause = words.get(2).map_or(GapCause::Unexplained, |word| cause(word));
            history.add(words[0], seconds(from), seconds(to), cause);
        }
        history
    }

    fn tile(&self, window: Window, now: i64) -> Vec<Interval> {
        let (recorded, story, restarts, now) = (&self.recorded[..], &self.story, &self.restarts[..], at(now));
        let (waiting, ends) = (self.waiting, &self.ends[..]);
        tile(&Facts { window, recorded, story, restarts, ends, now, waiting })
    }
}

fn cause(word: &str) -> GapCause {
    serde_json::from_value(word.into()).expect("a cause")
}

fn show(tiles: &[Interval]) -> String {
    let second = |at: UtcMicros| at.as_micros() / 1_000_000;
    let state = |state: &IntervalState| match state {
        IntervalState::Recorded => "rec".to_owned(),
        IntervalState::Gap { cause, .. } => serde_json::to_value(cause).expect("a word").as_str().unwrap_or_default().to_owned(),
        IntervalState::Partial { cause, share, units } => format!("partial {cause:?} {share:.2} {units}"),
    };
    let tile = |tile: &Interval| format!("{} {}..{}", state(&tile.state), second(tile.window.from), second(tile.window.to));
    tiles.iter().map(tile).collect::<Vec<_>>().join(" | ")
}

fn check(history: &str, expected: &str) {
    assert_eq!(show(&History::parse(history).tile(window(0, 100), 100)), expected, "{history}");
}

#[test]
fn what_is_on_its_way_to_the_disk_is_not_called_missing_because_something_is_dated_later_that_was_lost() {
    check("mark 0 camera_silent | rec 2..97 | lost 300..310 disk", "camera_silent 0..2 | rec 2..97");
    check("mark 0 camera_silent | rec 2..50 | lost 300..310 disk", "camera_silent 0..2 | rec 2..50 | unexplained 50..100");
}

#[test]
fn time_in_which_nothing_ran_is_no_camera_s_fault_whatever_was_marked_in_it() {
    check(
        "rec 0..10 | restart 9..20 | mark 10 camera_silent | rec 25..100",
        "rec 0..10 | restart 10..20 | camera_silent 20..25 | rec 25..100",
    );
    check("rec 0..12 | restart 9..20 | rec 20..100", "rec 0..12 | restart 12..20 | rec 20..100");
    check("rec 0..12 | restart 9..20 | lost 12..20 network | rec 20..100", "rec 0..12 | restart 12..20 | rec 20..100");
    check(
        "rec 0..5 | mark 5 camera_unreachable | restart 9..20 | mark 20 camera_unreachable | rec 25..100",
        "rec 0..5 | camera_unreachable 5..9 | restart 9..20 | camera_unreachable 20..25 | rec 25..100",
    );
}

#[test]
fn a_hole_takes_the_cause_of_its_marks_also_before_the_first_was_made() {
    check("rec 0..3 | mark 3 camera_silent | rec 43..100", "rec 0..3 | camera_silent 3..43 | rec 43..100");
    check("rec 0..3 | mark 13 camera_silent | rec 43..100", "rec 0..3 | camera_silent 3..43 | rec 43..100");
    check(
        "rec 0..50 | mark 50 camera_silent | mark 60 camera_unreachable | mark 80 paused",
        "rec 0..50 | camera_silent 50..60 | camera_unreachable 60..80 | paused 80..100",
    );
}

#[test]
fn before_the_first_picture_nothing_was_configured_until_a_mark_says_otherwise() {
    check("mark 20 camera_refused | rec 50..100", "not_configured 0..20 | camera_refused 20..50 | rec 50..100");
    check("rec 50..100", "not_configured 0..50 | rec 50..100");
}

#[test]
fn a_mark_that_recording_went_on_after_explains_nothing_any_more() {
    check(
        "mark 0 camera_silent | rec 10..40 | rec 60..100",
        "camera_silent 0..10 | rec 10..40 | unexplained 40..60 | rec 60..100",
    );
}

#[test]
fn a_restart_is_a_cause_but_not_for_what_was_paused() {
    check("rec 0..20 | restart 21..40 | rec 45..100", "rec 0..20 | restart 20..45 | rec 45..100");
    check(
        "rec 0..20 | restart 21..23 | rec 23..30 | mark 29 camera_silent | rec 45..100",
        "rec 0..20 | restart 20..23 | rec 23..30 | camera_silent 30..45 | rec 45..100",
    );
    check("rec 0..20 | mark 20 paused | restart 30..40 | rec 45..100", "rec 0..20 | paused 20..45 | rec 45..100");
    check(
        "rec 0..20 | mark 20 camera_silent | restart 30..40 | mark 50 camera_refused | rec 60..100",
        "rec 0..20 | camera_silent 20..30 | restart 30..50 | camera_refused 50..60 | rec 60..100",
    );
}

#[test]
fn a_loss_explains_its_hole_and_makes_recorded_time_partial() {
    check("rec 0..20 | lost 20..23 our_queue | rec 23..100", "rec 0..20 | our_queue 20..23 | rec 23..100");
    // A disk that refuses for long: what lies between two losses, and beside them, is as lost as they are.
    check("rec 0..20 | lost 21..30 disk | lost 31..90 disk", "rec 0..20 | disk 20..90");
    check(
        "rec 0..20 | lost 21..30 disk | lost 33..40 disk",
        "rec 0..20 | disk 20..30 | unexplained 30..33 | disk 33..40 | unexplained 40..100",
    );
    check("rec 0..100 | lost 20..23 network", "rec 0..20 | partial Network 1.00 1 20..23 | rec 23..100");
}

#[test]
fn what_expired_says_so() {
    check("gone 0..50 | mark 55 camera_silent | rec 60..100", "expired 0..50 | camera_silent 50..60 | rec 60..100");
    check("gone 0..50 | rec 30..40 | rec 45..100", "expired 0..30 | rec 30..40 | expired 40..45 | rec 45..100");
}

#[test]
fn the_end_of_a_running_stream_is_not_called_a_gap() {
    check("rec 0..90", "rec 0..90");
    check("rec 0..60", "rec 0..60 | unexplained 60..100");
    check("rec 0..95 | mark 95 camera_silent", "rec 0..95 | camera_silent 95..100");
    // A disk stands still, and what it is to write waits in memory; but for what came before that.
    check("rec 0..60 | waits 60", "rec 0..60");
    check("rec 0..60 | waits 70", "rec 0..60 | unexplained 60..100");
}

#[test]
fn a_hole_in_older_footage_that_begins_when_a_run_ended_is_the_end_of_that_run() {
    check("rec 0..20 | end 15..25 | rec 80..100", "rec 0..20 | restart 20..80 | rec 80..100");
    check("rec 0..20 | end 25..35 | rec 80..100", "rec 0..20 | unexplained 20..80 | rec 80..100");
    check("rec 0..20 | end 15..25 | mark 20 camera_silent | rec 80..100", "rec 0..20 | camera_silent 20..80 | rec 80..100");
    check("rec 0..95 | end 90..200", "rec 0..95");
}

#[test]
fn what_the_end_of_a_run_explained_and_a_clock_that_was_set_back_recorded_is_recorded() {
    check("rec 0..20 | ended 20..90 restart | rec 90..100", "rec 0..20 | restart 20..90 | rec 90..100");
    check("rec 0..100 | ended 20..90 restart", "rec 0..100");
}

#[test]
fn merging_keeps_every_gap_visible() {
    let tiles = History::parse("rec 0..50 | lost 50..51 our_queue | rec 51..100").tile(window(0, 100), 100);
    assert_eq!(show(&merge(tiles.clone(), Duration::from_secs(10))), "rec 0..50 | our_queue 50..51 | rec 51..100");
    let busy = "rec 0..3 | lost 3..4 our_queue | rec 4..7 | lost 7..9 disk | rec 9..100";
    let merged = merge(History::parse(busy).tile(window(0, 100), 100), Duration::from_secs(9));
    assert_eq!(show(&merged), "partial Disk 0.67 0 0..9 | rec 9..100");
}

fn facts() -> impl Strategy<Value = Vec<(usize, i64, i64, usize)>> {
    prop::collection::vec((0usize..6, 0i64..300, 1i64..40, 0usize..GapCause::ALL.len()), 0..30)
}

fn history(facts: &[(usize, i64, i64, usize)]) -> History {
    let mut history = History::default();
    for (word, from, len, cause) in facts {
        history.add(["rec", "rec", "mark", "lost", "restart", "gone"][*word], *from, from + len, GapCause::ALL[*cause]);
    }
    history
}

proptest! {
    #[test]
    fn time_is_tiled_without_overlap_or_hole(facts in facts(), from in -10i64..300, len in 1i64..200, now in 0i64..400, seconds in 0u64..30) {
        let history = history(&facts);
        let window = window(from, from + len);
        let tiles = history.tile(window, now);
        for tiles in [tiles.clone(), merge(tiles, Duration::from_secs(seconds))] {
            let mut edge = window.from;
            for tile in &tiles {
                prop_assert_eq!(tile.window.from, edge);
                prop_assert!(!tile.window.is_empty());
                edge = tile.window.to;
            }
            prop_assert!(edge <= window.to);
            let whole = tiles.is_empty() || edge == window.to || edge >= at(now).min(window.to) - PENDING;
            prop_assert!(whole, "ends at {:?}", edge);
            // What is called a gap was not recorded; what is called recorded was.
            for tile in &tiles {
                let touched = history.recorded.iter().any(|span| span.overlaps(tile.window));
                match tile.state {
                    IntervalState::Gap { .. } => prop_assert!(!touched),
                    IntervalState::Recorded => prop_assert!(history.recorded.iter().any(|span| span.covers(tile.window))),
                    IntervalState::Partial { .. } => prop_assert!(touched),
                }
            }
        }
    }

    #[test]
    fn a_part_of_the_answer_is_the_answer_for_the_part(facts in facts(), from in 0i64..300, len in 1i64..100) {
        let history = history(&facts);
        let (part, all) = (window(from, from + len), window(-50, 500));
        let clipped: Vec<_> = history
            .tile(all, 1000)
            .into_iter()
            .map(|tile| Interval { window: tile.window.intersect(part), ..tile })
            .filter(|tile| !tile.window.is_empty())
            .collect();
        prop_assert_eq!(show(&history.tile(part, 1000)), show(&clipped));
    }

    #[test]
    fn sums_by_day_and_cause_equal_the_tiling(facts in facts(), from in 0i64..200, len in 1i64..300, day in 10i64..90, now in 0i64..400) {
        let history = history(&facts);
        let whole = window(from, from + len);
        let tiles = history.tile(whole, now);
        let days: Vec<Window> =
            (from..from + len).step_by(day as usize).map(|start| window(start, (start + day).min(from + len))).collect();
        let known = tiles.iter().map(|tile| tile.window.duration()).sum::<Duration>();
        let sums = tally(&tiles, &days);
        prop_assert_eq!(sums.iter().map(|sum| sum.known).sum::<Duration>(), known);
        for (sum, day) in sums.iter().zip(&days) {
            // A day alone says the same as the day among others, but for the end that is not known yet.
            let mut alone = tally(&history.tile(*day, now), &[*day])[0];
            if at(now) > day.to + PENDING {
                // Units count where their tile begins: alone, that is in the day.
                alone.units = sum.units;
                prop_assert_eq!(*sum, alone);
            }
            prop_assert_eq!(sum.recorded + sum.gaps().map(|(_, gap)| gap).sum::<Duration>(), sum.known);
        }
    }
}
