//! The index of a centre: over its own journal and the copies of those below.

use super::*;
use crate::journal::{Copies, CopyLimits, Gathered, History, JournalLimits, SimDisk};

/// A centre with its own journal, and rooms whose journals it copies when told to.
struct Centre {
    dir: tempfile::TempDir,
    journal: Arc<Journal>,
    copies: Arc<Copies>,
    rooms: Vec<Arc<Journal>>,
}

fn room(n: u8) -> NodeId {
    NodeId::from_bytes([n; 16])
}

fn journal_of(n: u8) -> Arc<Journal> {
    Journal::open_simulated(&SimDisk::new(u64::from(n)), room(n), JournalLimits::default()).expect("a journal")
}

fn tell(journal: &Journal, events: Vec<Event>) {
    let now = UtcMicros::now();
    journal.append_all(events.into_iter().map(|event| event.into_record(now)).collect()).expect("durable");
}

impl Centre {
    fn with_rooms(rooms: u8) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::open(&dir.path().join("journal"), room(200)).expect("a journal");
        let copies = Arc::new(Copies::open(&dir.path().join("copies"), CopyLimits::default()).expect("they open"));
        Self { dir, journal, copies, rooms: (1..=rooms).map(journal_of).collect() }
    }

    fn index(&self) -> PathBuf {
        self.dir.path().join("events")
    }

    fn open(&self) -> Events {
        let limits = IndexLimits::default();
        Events::open_with_copies(&self.index(), Arc::clone(&self.journal), Arc::clone(&self.copies), limits).expect("an index")
    }

    fn current(&self) -> Events {
        let events = self.open();
        assert!(events.wait_current(LONG), "the index follows");
        events
    }

    /// Brings the copy of a room up to its journal.
    fn copy(&self, n: u8) {
        let (journal, copy) = (&self.rooms[usize::from(n) - 1], self.copies.of(room(n)).expect("it opens"));
        loop {
            let (after, hash) = copy.head();
            match journal.gather(after, hash, 0).expect("it reads") {
                Gathered::Batch(batch) => drop(copy.apply(&batch).expect("it continues")),
                Gathered::Nothing => return,
                other => panic!("{other:?}"),
            }
        }
    }
}

impl Centre {
    /// A room's journal is lost and begun anew, and a person has its copy begun anew.
    fn begin_anew(&mut self, n: u8, events: usize) {
        self.rooms[usize::from(n) - 1] = journal_of(n);
        tell(&self.rooms[usize::from(n) - 1], vec![seen(7, "新机", Kind::Crowd, 3); events]);
        self.copies.begin_anew(room(n)).expect("begun");
        self.copy(n);
    }
}

/// Every event found, page by page.
fn all(events: &Events, nodes: &[NodeId]) -> Vec<(NodeId, u64)> {
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let question =
            Question { before, limit: 61, nodes: nodes.iter().copied().collect(), ..Question::new(Reach::Everything, week()) };
        let answer = events.ask(&question).expect("a page");
        let times: Vec<_> = answer.events.iter().map(|kept| kept.event.time.as_micros() / 1000).collect();
        assert!(times.is_sorted_by(|a, b| a >= b), "newest first");
        found.extend(answer.events.iter().map(|kept| (kept.node, kept.seq.get())));
        match answer.next {
            Some(next) => before = Some(next),
            None => return found,
        }
    }
}

fn each_once(mut found: Vec<(NodeId, u64)>) -> usize {
    let all = found.len();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), all, "nothing stands twice");
    all
}

#[test]
fn events_of_all_rooms_and_of_the_centre_are_found_in_one_list_also_those_that_come_late() {
    let centre = Centre::with_rooms(3);
    tell(&centre.journal, vec![Event::new(ago(70), Kind::SignedIn)]);
    for n in 1..=3_u8 {
        tell(&centre.rooms[usize::from(n) - 1], vec![seen(u32::from(n), "南门岗亭", Kind::LineCrossed, i64::from(n))]);
    }
    (1..=2).for_each(|n| centre.copy(n));
    let events = centre.current();
    let answer = ask(&events, "");
    assert_eq!(kinds(&answer), ["line.crossed", "line.crossed", "signin.succeeded"], "the third room's has not come");
    assert_eq!(answer.events[0].node, room(1));
    assert_eq!(answer.events[0].id, crate::events::EventId::new(answer.events[0].event.time, room(1), Seq::new(1)));
    // The room's line is back, and what it tells happened days ago, and before what is found already.
    tell(&centre.rooms[2], vec![seen(3, "北门", Kind::Motion, 3 * 86_400), seen(3, "北门", Kind::Motion, 2)]);
    centre.copy(3);
    assert!(events.wait_current(LONG));
    assert_eq!(each_once(all(&events, &[])), 6);
    assert_eq!(ask(&events, "nmgt").total.count, 3);
    assert!(ask(&events, "").coverage.is_complete());
    for (nodes, count) in [(vec![room(3)], 3), (vec![room(1), room(2)], 2), (vec![room(200)], 1), (vec![room(9)], 0)] {
        assert_eq!(all(&events, &nodes).len(), count);
    }
}

#[test]
fn events_of_one_millisecond_in_many_rooms_are_neither_missed_nor_repeated_by_pages() {
    let centre = Centre::with_rooms(5);
    let at = ago(100);
    for n in 1..=5 {
        let same = |camera| Event { time: at, ..seen(camera, "门", Kind::Motion, 0) };
        tell(&centre.rooms[usize::from(n) - 1], (1..=80).map(same).collect());
        centre.copy(n);
    }
    assert_eq!(each_once(all(&centre.current(), &[])), 400);
}

#[test]
fn an_index_over_several_journals_that_is_stopped_anywhere_goes_on_without_loss_or_double() {
    let centre = Centre::with_rooms(4);
    for round in 0..6 {
        for n in 1..=4 {
            let spread = (0..30).map(|m| seen(m % 5 + 1, "门", Kind::Motion, round * 40_000 + i64::from(m)));
            tell(&centre.rooms[usize::from(n) - 1], spread.collect());
            // Some rooms are cut off for some rounds.
            if (round + i64::from(n)) % 3 != 0 {
                centre.copy(n);
            }
        }
        tell(&centre.journal, vec![Event::new(ago(round), Kind::SignedIn)]);
        // Dropped at once: sometimes before the first commit, sometimes after. Its note may be older than its days.
        let note = std::fs::read(centre.index().join("complete.json"));
        drop(centre.open());
        match note {
            Ok(note) if round % 2 == 0 => std::fs::write(centre.index().join("complete.json"), note).expect("writable"),
            _ => {}
        }
    }
    (1..=4).for_each(|n| centre.copy(n));
    let events = centre.current();
    assert_eq!(each_once(all(&events, &[])), 4 * 6 * 30 + 6);
    drop(events);
    let before = contents(&centre.index()).expect("readable");
    let sources = Sources::with_copies(Arc::clone(&centre.journal), Arc::clone(&centre.copies));
    rebuild(&centre.index(), sources, IndexLimits::default()).expect("made anew");
    assert_eq!(contents(&centre.index()).expect("readable"), before, "I7");
}

#[test]
fn a_day_that_does_not_read_back_is_made_anew_from_all_journals() {
    let centre = Centre::with_rooms(2);
    for n in 1..=2 {
        tell(&centre.rooms[usize::from(n) - 1], gate());
        centre.copy(n);
    }
    drop(centre.current());
    let day = std::fs::read_dir(centre.index()).expect("readable").flatten().find(|entry| entry.path().is_dir()).expect("a day");
    std::fs::write(day.path().join("meta.json"), "{ not an index").expect("writable");
    let events = centre.current();
    let until = Instant::now() + LONG;
    while ask(&events, "").total.count != 10 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(each_once(all(&events, &[])), 10);
}

#[test]
fn a_copy_that_is_begun_anew_takes_the_place_of_the_earlier_one_in_the_index() {
    let mut centre = Centre::with_rooms(2);
    for n in 1..=2 {
        tell(&centre.rooms[usize::from(n) - 1], gate());
        centre.copy(n);
    }
    let comes_to = |events: &Events, wanted: u64| {
        let until = Instant::now() + LONG;
        while ask(events, "").total.count != wanted && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(each_once(all(events, &[])) as u64, wanted);
    };
    // While the index follows, with a journal that is shorter than the one before.
    let events = centre.current();
    comes_to(&events, 10);
    centre.begin_anew(1, 2);
    comes_to(&events, 7);
    drop(events);
    // And while nobody follows, with a longer one.
    centre.begin_anew(1, 9);
    comes_to(&centre.open(), 14);
}

#[test]
fn the_answer_says_of_each_copy_how_far_it_was_looked_through() {
    let centre = Centre::with_rooms(2);
    tell(&centre.rooms[0], gate());
    centre.copy(1);
    drop(centre.copies.of(room(2)).expect("it opens"));
    let coverage = ask(&centre.current(), "").coverage;
    let below: Vec<_> = coverage.below.iter().map(|below| (below.node, below.indexed_to.get(), below.copied.get())).collect();
    assert_eq!(below, [(room(1), 5, 5), (room(2), 0, 0)]);
    assert_eq!(coverage.below[1].indexed_at, UtcMicros::MIN);
}

#[test]
fn what_another_node_dates_into_the_far_future_makes_no_days_of_its_own_and_is_found() {
    let centre = Centre::with_rooms(1);
    let later = |days: i64| Event { time: ago(-days * 86_400), ..seen(1, "门", Kind::Motion, 0) };
    tell(&centre.rooms[0], (1..=50).map(|n| later(n * 100)).collect());
    centre.copy(1);
    let events = centre.current();
    assert_eq!(ask(&events, "").total.count, 50);
    let days = std::fs::read_dir(centre.index()).expect("readable").flatten().filter(|entry| entry.path().is_dir()).count();
    assert!(days <= 2, "{days}");
}

#[test]
fn a_source_number_of_another_nodes_report_is_no_repeat_of_one_here() {
    let centre = Centre::with_rooms(1);
    let report =
        Event { source: Source { name: "box".into(), topic: String::new(), id: "a".into() }, ..seen(1, "门", Kind::Crowd, 9) };
    tell(&centre.rooms[0], vec![report.clone()]);
    centre.copy(1);
    let events = centre.current();
    assert!(matches!(events.report("http", vec![report]).remove(0), Ok(Reported::New(_))));
}
