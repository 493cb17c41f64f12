use super::format::{DayFile, day_of};
use super::*;
use crate::model::UtcMicros;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

/// Footage that ends at an instant, and of which some was erased.
#[derive(Default)]
struct Told {
    gone_to: AtomicI64,
    orders: AtomicUsize,
    erased: Mutex<Vec<Window>>,
}

impl Footage for Told {
    fn keeps(&self, _: CameraId, window: Window) -> bool {
        window.to.as_micros() > self.gone_to.load(Ordering::Relaxed)
    }

    fn orders(&self) -> usize {
        self.orders.load(Ordering::Relaxed)
    }

    fn erased(&self, _: CameraId, window: Window) -> Vec<Window> {
        let erased = self.erased.lock().expect("not poisoned");
        erased.iter().map(|gone| gone.intersect(window)).filter(|gone| !gone.is_empty()).collect()
    }
}

const DAY: i64 = 20_000;

/// Seconds after the beginning of a day.
fn at(seconds: i64) -> UtcMicros {
    UtcMicros::from_micros((DAY * 86_400 + seconds) * 1_000_000)
}

fn camera(number: u32) -> CameraId {
    CameraId::new(number).expect("a number")
}

fn look(seconds: i64, cells: &[usize]) -> Look {
    let since = Duration::from_secs(2);
    Look { at: at(seconds), found: Found::Moved { cells: cells.iter().copied().collect(), since } }
}

struct Fixture {
    dir: tempfile::TempDir,
    told: Arc<Told>,
    motion: Arc<Motion>,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let told = Arc::<Told>::default();
        let motion = Motion::open(dir.path(), told.clone()).expect("opened");
        Self { dir, told, motion }
    }

    fn reopened(self) -> Self {
        let Self { dir, told, motion } = self;
        motion.close();
        let motion = Motion::open(dir.path(), told.clone()).expect("opened");
        Self { dir, told, motion }
    }

    fn file(&self, number: u32, day: i64) -> std::path::PathBuf {
        self.dir.path().join(number.to_string()).join(format!("{day}.motion"))
    }
}

fn question(from: i64, to: i64, cells: &[usize]) -> Question {
    Question {
        cameras: vec![camera(7)],
        window: Window::new(at(from), at(to)),
        region: cells.iter().copied().collect(),
        join: Duration::from_secs(10),
        least: Duration::ZERO,
        order: Order::NewestFirst,
        after: None,
        limit: 100,
    }
}

/// Spans as `from..to` in seconds of the first day.
fn spans(answer: &Answer) -> Vec<(i64, i64)> {
    let seconds = |time: UtcMicros| time.micros_from(at(0)) / 1_000_000;
    answer.spans.iter().map(|span| (seconds(span.window.from), seconds(span.window.to))).collect()
}

#[test]
fn movement_in_a_region_is_found_newest_first_and_elsewhere_is_not() {
    let fixture = Fixture::new();
    for seconds in (0..600).step_by(2) {
        let cells: &[usize] = match seconds {
            100..110 | 114 => &[40],
            300..304 => &[40, 41],
            500 => &[200],
            _ => &[],
        };
        fixture.motion.note(camera(7), look(seconds, cells));
        if seconds == 250 || seconds == 400 {
            fixture.motion.flush();
        }
    }
    for kept in ["in memory", "on disk"] {
        assert_eq!(spans(&fixture.motion.search(&question(0, 600, &[40]))), [(298, 302), (98, 114)], "{kept}");
        assert_eq!(spans(&fixture.motion.search(&question(0, 600, &[41, 200]))), [(498, 500), (298, 302)], "{kept}");
        assert_eq!(spans(&fixture.motion.search(&question(0, 600, &[42]))), [], "{kept}");
        let oldest = Question { order: Order::OldestFirst, ..question(0, 600, &[40]) };
        assert_eq!(spans(&fixture.motion.search(&oldest)), [(98, 114), (298, 302)], "{kept}");
        let long = Question { least: Duration::from_secs(5), ..question(0, 600, &[40]) };
        assert_eq!(spans(&fixture.motion.search(&long)), [(98, 114)], "{kept}");
        fixture.motion.flush();
    }
    let reopened = fixture.reopened();
    assert_eq!(spans(&reopened.motion.search(&question(0, 600, &[40]))), [(298, 302), (98, 114)]);
    assert_eq!(reopened.motion.health().lost, 0);
}

#[test]
fn a_span_passes_midnight_whole_and_pages_follow_each_other_without_loss() {
    let fixture = Fixture::new();
    let midnight = 86_400;
    let moves = |seconds: i64| seconds % 100 < 20 || (midnight - 30..midnight + 30).contains(&seconds);
    for number in [7, 8] {
        for seconds in (midnight - 1_000..midnight + 1_000).step_by(2) {
            fixture.motion.note(camera(number), look(seconds, if moves(seconds) { &[3] } else { &[] }));
            if seconds % 100 == 0 {
                fixture.motion.flush();
            }
        }
    }
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let both = Question { cameras: vec![camera(7), camera(8)], order, ..question(0, 2 * midnight, &[3]) };
        let whole = fixture.motion.search(&both);
        assert!(!whole.more && whole.answered == both.window);
        let over = Window::new(at(midnight - 32), at(midnight + 28));
        assert_eq!(whole.spans.iter().filter(|span| span.window == over).count(), 2, "{:?}", spans(&whole));
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = fixture.motion.search(&Question { after, limit: 3, ..both.clone() });
            paged.extend(page.spans.iter().copied());
            if !page.more {
                break;
            }
            after = page.spans.last().map(|span| span.key(order));
        }
        assert_eq!(paged, whole.spans, "{order:?}");
    }
}

#[test]
fn an_answer_says_what_time_nobody_looked_at() {
    let fixture = Fixture::new();
    for seconds in (0..1_000).step_by(2).filter(|seconds| !(200..400).contains(seconds)) {
        let unknown = Look { at: at(seconds), found: Found::Unknown };
        fixture.motion.note(camera(7), if seconds == 600 || seconds == 400 { unknown } else { look(seconds, &[]) });
        if seconds % 100 == 0 {
            fixture.motion.flush();
        }
    }
    let answer = fixture.motion.search(&question(0, 1_000, &[1]));
    let seen = &answer.seen[0];
    assert_eq!(seen.unseen, [Window::new(at(198), at(400))]);
    assert!((seen.share - 0.794).abs() < 0.002, "{}", seen.share);
    let never = fixture.motion.search(&Question { cameras: vec![camera(9)], ..question(0, 1_000, &[1]) });
    assert_eq!((never.seen[0].share, never.seen[0].unseen.len()), (0.0, 1));
}

#[test]
fn a_torn_tail_is_cut_off_and_recording_goes_on_behind_it() {
    let fixture = Fixture::new();
    (0..8).for_each(|n| fixture.motion.note(camera(7), look(n * 2, &[9])));
    fixture.motion.flush();
    (8..12).for_each(|n| fixture.motion.note(camera(7), look(n * 2, &[9])));
    let (path, dir, told) = (fixture.file(7, DAY), fixture.dir, fixture.told);
    fixture.motion.close();
    let whole = std::fs::read(&path).expect("a file");
    let cut = whole.len() - 3;
    std::fs::OpenOptions::new().write(true).open(&path).expect("there").set_len(cut as u64).expect("cut");
    let motion = Motion::open(dir.path(), told).expect("opened");
    (20..24).for_each(|n| motion.note(camera(7), look(n * 2, &[9])));
    motion.flush();
    assert_eq!(spans(&motion.search(&question(-10, 100, &[9]))), [(38, 46), (-2, 14)]);
    let bytes = std::fs::read(&path).expect("a file");
    let mut file = DayFile::open(&bytes, camera(7), DAY as u32);
    assert_eq!((&mut file).count(), 2);
    assert_eq!((file.good, file.damaged), (bytes.len(), 0), "nothing is left of the torn frame");
}

#[test]
fn density_is_the_share_of_looked_at_time_in_which_something_moved() {
    let fixture = Fixture::new();
    for seconds in (2..=200).step_by(2).filter(|seconds| *seconds <= 150) {
        fixture.motion.note(camera(7), look(seconds, if seconds <= 50 { &[5] } else { &[] }));
    }
    let density = fixture.motion.density(camera(7), Window::new(at(0), at(200)), &Grid::ALL, 4);
    let near = |found: &[f32], wanted: [f32; 4]| found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 0.01);
    assert!(near(&density.moved, [1.0, 0.0, 0.0, 0.0]), "{density:?}");
    assert!(near(&density.looked, [1.0, 1.0, 1.0, 0.0]), "{density:?}");
}

#[test]
fn grids_go_with_their_footage() {
    let fixture = Fixture::new();
    for day in 0..3 {
        fixture.motion.note(camera(7), look(day * 86_400 + 60, &[5]));
    }
    fixture.motion.flush();
    fixture.told.gone_to.store(at(86_400 + 3_600).as_micros(), Ordering::Relaxed);
    fixture.motion.shared.forget(at(10 * 86_400));
    assert!(!fixture.file(7, DAY).exists() && fixture.file(7, DAY + 1).exists(), "the day that has footage left stays");
    let found = spans(&fixture.motion.search(&question(0, 3 * 86_400, &[5])));
    assert_eq!(found, [(2 * 86_400 + 58, 2 * 86_400 + 60), (86_400 + 58, 86_400 + 60)]);
    fixture.told.gone_to.store(at(9 * 86_400).as_micros(), Ordering::Relaxed);
    fixture.motion.shared.forget(at(10 * 86_400));
    assert!(!fixture.file(7, DAY).parent().expect("a folder").exists(), "nothing is left of the camera");
}

#[test]
fn what_an_order_erased_is_no_longer_found_and_its_bytes_are_overwritten() {
    let fixture = Fixture::new();
    (1..=50).for_each(|n| fixture.motion.note(camera(7), look(n * 2, &[5])));
    fixture.motion.flush();
    // The old bytes are still to be looked at through a second name.
    let second = fixture.dir.path().join("second");
    std::fs::hard_link(fixture.file(7, DAY), &second).expect("linked");
    fixture.told.erased.lock().expect("not poisoned").push(Window::new(at(20), at(40)));
    fixture.told.orders.store(1, Ordering::Relaxed);
    fixture.motion.shared.forget(at(100));
    assert_eq!(spans(&fixture.motion.search(&question(0, 100, &[5]))), [(40, 100), (0, 18)]);
    assert!(std::fs::read(&second).expect("there").iter().all(|byte| *byte == 0));
    fixture.motion.note(camera(7), look(102, &[5]));
    fixture.motion.flush();
    assert_eq!(spans(&fixture.motion.search(&question(0, 110, &[5]))), [(40, 102), (0, 18)], "recording goes on in the new file");
    fixture.told.erased.lock().expect("not poisoned").push(Window::new(at(-100), at(1_000)));
    fixture.told.orders.store(2, Ordering::Relaxed);
    fixture.motion.shared.forget(at(100));
    assert!(!fixture.file(7, DAY).exists());
}

#[test]
fn what_cannot_be_written_is_counted_and_nobody_waits() {
    let fixture = Fixture::new();
    // A file where the camera's directory should be.
    std::fs::write(fixture.dir.path().join("7"), "").expect("written");
    fixture.motion.note(camera(7), look(2, &[5]));
    fixture.motion.note(camera(8), look(2, &[5]));
    fixture.motion.flush();
    let health = fixture.motion.health();
    assert_eq!((health.stored, health.lost, health.problem.is_some()), (1, 1, true));
    (0..600).for_each(|n| fixture.motion.note(camera(7), look(n * 2, &[5])));
    assert!(fixture.motion.health().lost > 1, "the queue is bounded");
    assert_eq!(day_of(at(0)), DAY as u32);
}
