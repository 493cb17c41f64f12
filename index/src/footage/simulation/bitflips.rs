//! Single bits that flip at rest, in everything that the store keeps of a night's recording: headers, media, footers, catalogue and
//! its small files. Whoever reads afterwards, be it a start from the catalogue, a start without one, or a store that was running all along,
//! gets what was recorded or is refused; at most one fragment is lost; somebody says so; and what is lost is a gap with its cause.
//!
//! Bytes that carry nothing, the insides of `free` boxes, are left out.

use super::{
    cameras::Sent,
    figures::{Figures, option},
    model::Name,
    node::Node,
    on_all_cores,
    world::{SimJournal, SimWorld, directory},
};
use crate::{
    access::Extent,
    footage::{
        IntervalState, Order, Reader, Setup, Store,
        disk::{Disk, sim::SimDisk},
        format::{BLOCK, DATA_START, ENTRY, FOOTER, FOOTER_HEAD, HEAD_COPY, RECORD_HEADER},
        head::{self, Head},
        keeper::Keeper,
        ledger::{Ledger, Notebook},
        recovery,
        scrub::Scrub,
        shared::Shared,
        volume::{lock, segment_name, segment_number},
        world::World,
    },
    model::{GapCause, UtcMicros, Window},
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// What a flipped bit belonged to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    SegmentHeader,
    RecordHeader,
    Payload,
    Footer,
    Catalogue,
    /// Whose the volume is, and what the state directory holds.
    SmallFile,
}

const KINDS: [(Kind, &str, u32); 6] = [
    (Kind::SegmentHeader, "segment_headers", 15),
    (Kind::RecordHeader, "record_headers", 25),
    (Kind::Payload, "payloads", 25),
    (Kind::Footer, "footers", 15),
    (Kind::Catalogue, "catalogue", 10),
    (Kind::SmallFile, "small_files", 10),
];

/// Who reads after the flip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Start {
    FromCatalogue,
    WithoutCatalogue,
    RunningAllAlong,
}

const STARTS: [Start; 3] = [Start::FromCatalogue, Start::WithoutCatalogue, Start::RunningAllAlong];

/// Bytes that carry something.
struct Stretch {
    kind: Kind,
    /// On the disk, or in the state directory.
    file: String,
    from: usize,
    len: usize,
}

/// What a night left behind, after the power went.
struct Image {
    disk: SimDisk,
    journal: Arc<SimJournal>,
    setup: Setup,
    state: BTreeMap<String, Vec<u8>>,
    now: UtcMicros,
    sent: BTreeMap<Name, Sent>,
    stretches: Vec<Stretch>,
}

/// The small files of the state directory.
const STATE: [&str; 2] = ["ledger.json", "volumes.json"];

impl Image {
    fn new() -> Self {
        let mut node = Node::undisturbed(77);
        let mut life = node.begin().expect("a disk without faults opens");
        node.recover(&mut life);
        for step in 0..330 {
            assert!(node.step(&mut life, "the night"), "step {step}");
        }
        // Some of one stream is erased by order.
        let begun = *node.model.begun.values().next().expect("there is a stream");
        let stream = *node.model.begun.keys().next().expect("there is a stream");
        let window = Window::new(begun + Duration::from_secs(3), begun + Duration::from_secs(5));
        let (reason, authority) = ("调查".to_owned(), "〔2026〕1".to_owned());
        let order = Order { cameras: vec![stream.camera], window, reason, authority };
        let order = life.store.request_erasure(order, "wang").expect("the past");
        node.model.decided.ordered(order.clone());
        node.model.decided.ordered(life.store.approve_erasure(order.id, "li").expect("a second person"));
        node.finish(&mut life, "the erasure");
        for step in 0..60 {
            assert!(node.step(&mut life, "the morning"), "step {step}");
        }
        node.journal.settle();
        assert_eq!(node.outcome.faults, Vec::<String>::new());
        assert!(node.outcome.erasures > 0, "something is erased");
        node.crash(Some(life));
        let read = |name: &&str| ((*name).to_owned(), std::fs::read(node.state_dir().join(name)).expect("it was written"));
        let mut image = Self {
            disk: node.disks[0].clone(),
            journal: Arc::clone(&node.journal),
            setup: node.setup(),
            state: STATE.iter().map(read).collect(),
            now: node.world.now(),
            sent: node.model.sent.clone(),
            stretches: Vec::new(),
        };
        image.stretches = image.stretches();
        image
    }

    /// Everything on the disk and in the state directory that carries something.
    fn stretches(&self) -> Vec<Stretch> {
        let mut all = Vec::new();
        for name in self.disk.list("segs").expect("there is a disk") {
            let number = segment_number(&name).expect("a segment");
            let name = segment_name(number);
            let file = self.disk.open(&name).expect("it is there");
            let Head::Used(header) = head::read(&*file, Some(number)).expect("readable") else { continue };
            let mut add = |kind, from: u64, len: usize| all.push(Stretch { kind, file: name.clone(), from: from as usize, len });
            for at in [0, HEAD_COPY] {
                // `ftyp`, the header, and behind its block the movie box.
                add(Kind::SegmentHeader, at, 32 + 24 + 512);
                add(Kind::SegmentHeader, at + BLOCK as u64, header.moov_len as usize);
            }
            let footer = recovery::footer(&*file, &header).expect("readable");
            let sealed = footer.is_some();
            let scanned = || recovery::scan(&*file, &header, Vec::new()).expect("readable").entries;
            let entries = footer.map_or_else(scanned, |(_, entries)| entries);
            assert!(entries.first().is_none_or(|first| first.offset() == DATA_START), "nothing is torn");
            for entry in &entries {
                add(Kind::RecordHeader, entry.offset(), RECORD_HEADER);
                add(Kind::Payload, entry.offset() + RECORD_HEADER as u64, entry.payload_len as usize);
            }
            if sealed {
                add(Kind::Footer, header.size - FOOTER, FOOTER_HEAD + entries.len() * ENTRY);
                add(Kind::Footer, header.size - BLOCK as u64, BLOCK);
            }
        }
        for (kind, name) in [(Kind::Catalogue, "catalogue.bin"), (Kind::SmallFile, "volume.json")] {
            let len = self.disk.read_small(name).expect("it was written").len();
            all.push(Stretch { kind, file: name.to_owned(), from: 0, len });
        }
        for (name, bytes) in &self.state {
            all.push(Stretch { kind: Kind::SmallFile, file: name.clone(), from: 0, len: bytes.len() });
        }
        all
    }

    /// A bit of something of that kind: each stretch as likely as any other.
    fn place(&self, kind: Kind, random: &mut SmallRng) -> Flip {
        let of: Vec<&Stretch> = self.stretches.iter().filter(|stretch| stretch.kind == kind && stretch.len > 0).collect();
        let stretch = of[random.random_range(0..of.len())];
        let at = stretch.from + random.random_range(0..stretch.len);
        Flip { file: stretch.file.clone(), at, bit: random.random_range(0..8) }
    }

    /// Lets a bit flip, or none, reads everything, and then lets the scrub read it again.
    fn try_it(&self, flip: Option<&Flip>, start: Start, dir: &Path) -> Found {
        let disk = self.disk.fork();
        let mut state = self.state.clone();
        let flipped = flip.filter(|_| start != Start::RunningAllAlong);
        if let Some(flip) = flipped {
            match state.get_mut(&flip.file) {
                Some(bytes) => bytes[flip.at] ^= 1 << flip.bit,
                None => disk.rot(&flip.file, flip.at, flip.bit),
            }
        }
        if start == Start::WithoutCatalogue {
            disk.remove("catalogue.bin").expect("it is there");
        }
        for (name, bytes) in &state {
            std::fs::write(dir.join(name), bytes).expect("writable");
        }
        let warnings = Warnings::default();
        let count = Arc::clone(&warnings.0);
        let mut found = tracing::subscriber::with_default(warnings, || {
            let Some((store, scrub)) = self.open(&disk, dir) else { return Found { refused: true, ..Found::default() } };
            if let (Start::RunningAllAlong, Some(flip)) = (start, flip) {
                disk.rot(&flip.file, flip.at, flip.bit);
            }
            self.read(&store, scrub)
        });
        found.warnings = count.load(Ordering::Relaxed);
        found.mended = flip.is_some_and(|flip| {
            let byte = match state.get(&flip.file) {
                Some(_) => std::fs::read(dir.join(&flip.file)).ok().and_then(|bytes| bytes.get(flip.at).copied()),
                None => disk.peek(&flip.file, flip.at as u64, 1).map(|byte| byte[0]),
            };
            let small = || disk.read_small(&flip.file).ok().and_then(|bytes| bytes.get(flip.at).copied());
            byte.or_else(small).zip(flip.was(self)).is_some_and(|(now, was)| now != was ^ 1 << flip.bit)
        });
        found
    }

    fn open(&self, disk: &SimDisk, dir: &Path) -> Option<(Arc<Store>, Scrub)> {
        let world: Arc<dyn World> = Arc::new(SimWorld::new(5, self.now));
        let journal = Arc::new(self.journal.copy(Arc::new(AtomicBool::new(true))));
        let ledger = Ledger::open(dir, journal as Arc<dyn Notebook>, Arc::clone(&world));
        let mut setup = self.setup.clone();
        setup.state_dir = dir.to_owned();
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let (shared, leftovers) = Shared::open(setup, vec![disk], ledger, world).ok()?;
        let store = Arc::new(Store { shared: Arc::new(shared), cache: Arc::default(), warden: Mutex::default() });
        let volume = store.shared.volumes.get(0)?;
        let keeper = Keeper { volume: Arc::clone(&volume), shared: Arc::clone(&store.shared) };
        leftovers.into_iter().for_each(|leftovers| keeper.recover(leftovers));
        let scrub = Scrub::new(volume, Arc::clone(&store.shared));
        Some((store, scrub))
    }

    fn read(&self, store: &Arc<Store>, mut scrub: Scrub) -> Found {
        let mut found = Found::default();
        let streams: BTreeSet<_> = self.sent.keys().map(|(stream, _)| *stream).collect();
        let extent = Extent::recorded(streams.iter().copied(), Window::ALL);
        let reader = Reader::new(Arc::clone(&store.shared), Arc::clone(&store.cache), extent);
        for stream in &streams {
            for fragment in reader.fragments(*stream, Window::ALL) {
                let name = (*stream, fragment.window.from);
                let sent = self.sent.get(&name);
                match reader.fetch(&fragment) {
                    Ok(read) if sent.is_some_and(|sent| read.units() == sent.units()) => drop(found.whole.insert(name)),
                    Ok(_) => found.wrong += 1,
                    Err(_) => {}
                }
                if let Ok(Some((_, unit))) = reader.key_unit(*stream, fragment.window.from) {
                    let of = self.sent.get(&(*stream, unit.utc));
                    found.wrong += u64::from(!of.is_some_and(|sent| sent.units()[0] == unit));
                }
            }
        }
        while scrub.step() > 0 {}
        for ((stream, utc), _) in self.sent.iter().filter(|(name, _)| !found.whole.contains(name)) {
            let inside = Window::new(*utc + Duration::from_millis(400), *utc + Duration::from_millis(600));
            let silent = |state: &IntervalState| {
                matches!(state, IntervalState::Recorded | IntervalState::Gap { cause: GapCause::Unexplained, .. })
            };
            let tiles = store.coverage(*stream, inside, Duration::ZERO);
            if tiles.iter().any(|tile| silent(&tile.state)) {
                found.unexplained.insert((*stream, *utc));
            }
        }
        found
    }
}

#[derive(Debug)]
struct Flip {
    file: String,
    at: usize,
    bit: u8,
}

impl Flip {
    /// The byte before it.
    fn was(&self, image: &Image) -> Option<u8> {
        let small = || image.state.get(&self.file).cloned().or_else(|| image.disk.read_small(&self.file).ok());
        let byte = image.disk.peek(&self.file, self.at as u64, 1).map(|byte| byte[0]);
        byte.or_else(|| small().and_then(|bytes| bytes.get(self.at).copied()))
    }
}

/// What readers got.
#[derive(Default)]
struct Found {
    /// The store did not open.
    refused: bool,
    /// What was read, byte for byte as it was sent.
    whole: BTreeSet<Name>,
    /// Pictures that nobody sent.
    wrong: u64,
    /// What was not read, and of which the timeline does not say why.
    unexplained: BTreeSet<Name>,
    /// What the log says that should not be.
    warnings: u64,
    /// What flipped was written anew: as it was, or, where recovery seals a file again and says so, as the checksum over that now is.
    mended: bool,
}

/// Counts what is logged as a warning or worse.
#[derive(Default)]
struct Warnings(Arc<AtomicU64>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }
    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Sum {
    flips: BTreeMap<Kind, u64>,
    noticed: u64,
    wrong: u64,
    lost_max: u64,
    costly: u64,
    complaints: Vec<String>,
}

/// Flips in one go: their small files stand in one directory.
const BATCH: u64 = 50;

#[test]
fn no_flipped_bit_is_served_and_each_costs_one_fragment_at_most() {
    let flips = option("HAOHE_FLIPS", 600);
    let began = std::time::Instant::now();
    let image = Image::new();
    let dir = directory();
    let plain = STARTS.map(|start| image.try_it(None, start, dir.path()));
    for (found, start) in plain.iter().zip(STARTS) {
        assert!(!found.refused && found.wrong == 0, "{start:?}");
        assert_eq!(found.whole, plain[0].whole, "{start:?}");
        assert_eq!(found.unexplained, plain[0].unexplained, "{start:?}");
    }
    assert!(plain[0].whole.len() > 60 && plain[0].unexplained.is_empty(), "{:?}", plain[0].unexplained);
    let sum = Mutex::new(Sum::default());
    // One flip alone is replayed by its number.
    let first = option("HAOHE_FLIP", 0);
    on_all_cores(0..flips.div_ceil(BATCH), &|batch| {
        let dir = directory();
        for number in first + batch * BATCH..first + ((batch + 1) * BATCH).min(flips) {
            let mut random = SmallRng::seed_from_u64(number);
            let mut nth: u32 = random.random_range(0..100);
            let kind = KINDS.iter().find(|(_, _, share)| nth.checked_sub(*share).inspect(|left| nth = *left).is_none());
            let kind = kind.map_or(Kind::Payload, |(kind, ..)| *kind);
            let flip = image.place(kind, &mut random);
            let mut start = random.random_range(0..STARTS.len());
            // What is read at a start only, or is not there without a catalogue, flips before one with it.
            if matches!(kind, Kind::Catalogue | Kind::SmallFile) {
                start = 0;
            }
            let found = image.try_it(Some(&flip), STARTS[start], dir.path());
            let lost: Vec<&Name> = plain[start].whole.difference(&found.whole).collect();
            let silent: Vec<&Name> = lost.iter().filter(|name| found.unexplained.contains(name)).copied().collect();
            let said = found.refused || found.warnings != plain[start].warnings;
            let mut sum = lock(&sum);
            *sum.flips.entry(kind).or_default() += 1;
            sum.wrong += found.wrong;
            sum.lost_max = sum.lost_max.max(lost.len() as u64);
            sum.costly += u64::from(!lost.is_empty());
            // Said, or mended, or a fragment is missing and the timeline says why.
            let known = said || found.mended || !lost.is_empty();
            let noticed = known && silent.is_empty() && found.wrong == 0;
            sum.noticed += u64::from(noticed);
            if (!noticed || lost.len() > 1) && sum.complaints.len() < 20 {
                let (wrong, lost) = (found.wrong, lost.len());
                let text = format!(
                    "flip {number}: {kind:?} {flip:?} {:?}: said {said}, {lost} lost, {} of them silently, {wrong} wrong",
                    STARTS[start],
                    silent.len()
                );
                sum.complaints.push(text);
            }
        }
    });
    let sum = sum.into_inner().expect("no thread panicked");
    let mut figures = Figures::default();
    figures.add("flips", flips as f64, "flips");
    for (kind, name, _) in KINDS {
        figures.add(&format!("flips_in_{name}"), sum.flips.get(&kind).copied().unwrap_or(0) as f64, "flips");
    }
    figures.add("fragments", plain[0].whole.len() as f64, "fragments");
    figures.add("detected_pct", 100.0 * sum.noticed as f64 / flips as f64, "percent");
    figures.add("wrong_frames", sum.wrong as f64, "frames");
    figures.add("neighbours_lost_max", sum.lost_max as f64, "fragments");
    figures.add("flips_that_cost_a_fragment", sum.costly as f64, "flips");
    figures.add("took_s", began.elapsed().as_secs_f64(), "s");
    figures.finish();
    assert!(sum.complaints.is_empty(), "{}", sum.complaints.join("\n"));
}
