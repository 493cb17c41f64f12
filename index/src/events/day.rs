//! One day of the index: a directory of tantivy's, forgotten by deleting it.
//!
//! Events repeat themselves: the same camera, the same kind, the same sentence, thousands of times a day. So a text is put
//! into the index once a day, as an *atom*, a document of its own with everything it can be found by; an event names its
//! atoms by number. A question about text first finds the atoms that match, then the events that name them. That keeps an
//! event small and lets atoms be found in many ways without events paying for it.
//!
//! - E3: each commit carries the journal's sequence number up to which this day is complete. What is replayed after a crash
//!   is skipped up to there, so nothing is lost and nothing stands twice.

use super::parts::{Class, Region};
use super::words::{self, Tokens};
use super::{Kind, Severity};
use crate::journal::{Seen, Seq};
use crate::model::UtcMicros;
use serde::Deserialize;
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap, collections::HashSet, path::Path, path::PathBuf};
use tantivy::{
    Index, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, TantivyError, Term,
    index::IndexSettings,
    indexer::{IndexWriterOptions, LogMergePolicy},
    schema::{FAST, Field, INDEXED, IndexRecordOption, STORED, Schema, TextFieldIndexing, TextOptions},
    tokenizer::{PreTokenizedString, Token},
};

/// Memory that the writer of one day may fill before it writes a segment.
const HEAP: usize = 48 << 20;
/// Segments of this many documents are merged no further: merging must stay a small, steady cost.
const MERGE_MAX: usize = 2_000_000;
/// Where the day begins, for people: the district's clock stands eight hours before UTC, without summer time.
pub const ZONE_HOURS: i64 = 8;
/// Bits of the order key that tell events of one millisecond apart.
const KEY_BITS: u32 = 22;

/// The fields of the index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub(super) key: Field,
    pub(super) camera: Field,
    pub(super) kind: Field,
    pub(super) severity: Field,
    pub(super) hour: Field,
    pub(super) region: Field,
    pub(super) under: Field,
    pub(super) atoms: Field,
    pub(super) source: Field,
    pub(super) body: Field,
    pub(super) atom: Field,
    pub(super) places: Field,
    pub(super) words: Field,
    pub(super) pinyin: Field,
    pub(super) initials: Field,
}

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let text = |record| {
        TextOptions::default().set_indexing_options(
            TextFieldIndexing::default().set_fieldnorms(false).set_tokenizer("raw").set_index_option(record),
        )
    };
    let fields = Fields {
        key: schema.add_u64_field("key", FAST),
        camera: schema.add_u64_field("camera", INDEXED | FAST),
        kind: schema.add_u64_field("kind", INDEXED | FAST),
        severity: schema.add_u64_field("severity", INDEXED | FAST),
        hour: schema.add_u64_field("hour", FAST),
        region: schema.add_u64_field("region", FAST),
        under: schema.add_u64_field("under", INDEXED),
        atoms: schema.add_u64_field("atoms", INDEXED),
        source: schema.add_u64_field("source", INDEXED),
        body: schema.add_bytes_field("body", STORED),
        atom: schema.add_u64_field("atom", INDEXED | FAST),
        places: schema.add_text_field("places", text(IndexRecordOption::WithFreqsAndPositions)),
        words: schema.add_text_field("words", text(IndexRecordOption::Basic)),
        pinyin: schema.add_text_field("pinyin", text(IndexRecordOption::Basic)),
        initials: schema.add_text_field("initials", text(IndexRecordOption::Basic)),
    };
    (schema.build(), fields)
}

/// Which day an instant belongs to: days since 1970, UTC.
pub(super) fn day_of(at: UtcMicros) -> i64 {
    at.as_micros().div_euclid(86_400_000_000)
}

/// The hour of the day on the district's clocks, 0 to 23.
pub(super) fn hour_of(millis: i64) -> u64 {
    (millis.div_euclid(3_600_000) + ZONE_HOURS).rem_euclid(24) as u64
}

/// The order of events, newest greatest: milliseconds, then the journal's number.
pub(super) fn key(time: UtcMicros, seq: Seq) -> u64 {
    (time.as_micros().max(0) as u64 / 1000) << KEY_BITS | seq.get() & ((1 << KEY_BITS) - 1)
}

/// The least key of an instant.
pub(super) fn key_from(time: UtcMicros) -> u64 {
    key(time, Seq::ZERO)
}

/// The milliseconds of a key.
pub(super) fn millis_of(key: u64) -> i64 {
    (key >> KEY_BITS) as i64
}

/// A number for a text that is the same everywhere and for ever. Never 0, which means none.
pub(super) fn number_of(text: &str) -> u64 {
    let hash = blake3::hash(text.as_bytes());
    let (head, _) = hash.as_bytes().split_at(8);
    head.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)).max(1)
}

/// The number of a place in the site tree, for [`Fields::under`].
pub(super) fn place_number<'a>(levels: impl IntoIterator<Item = &'a str>) -> u64 {
    number_of(&levels.into_iter().flat_map(|level| [level, "\u{1f}"]).collect::<String>())
}

/// The number under which an event from outside is known: the same report twice has the same.
pub(super) fn source_number(source: &str, id: &str) -> u64 {
    number_of(&format!("{source}\u{1f}{id}"))
}

/// What the index needs of a record's body; borrowed, because twenty thousand a second pass here.
#[derive(Deserialize)]
struct Glance<'a> {
    time_us: Option<i64>,
    camera: Option<u32>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    place: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    severity: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    text: Words<'a>,
    #[serde(default)]
    region: Option<Region>,
    #[serde(default)]
    objects: Vec<GlanceObjects>,
    #[serde(default)]
    attributes: BTreeMap<String, Value>,
    #[serde(borrow, default)]
    source: GlanceSource<'a>,
    #[serde(borrow, default)]
    notice: Option<GlanceNotice<'a>>,
}

#[derive(Deserialize, Default)]
struct Words<'a> {
    #[serde(borrow, default)]
    zh: Cow<'a, str>,
    #[serde(borrow, default)]
    en: Cow<'a, str>,
}

#[derive(Deserialize)]
struct GlanceObjects {
    class: Class,
}

#[derive(Deserialize, Default)]
struct GlanceSource<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    topic: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct GlanceNotice<'a> {
    #[serde(borrow, default)]
    state: Words<'a>,
}

/// A record that is an event, as the index sees it.
pub(super) struct Glimpse<'a> {
    /// When it happened.
    pub(super) time: UtcMicros,
    seq: Seq,
    at: UtcMicros,
    kind: Kind,
    body: &'a [u8],
    glance: Glance<'a>,
}

impl<'a> Glimpse<'a> {
    /// `None` for the record of something else, or one whose body is not an event's.
    pub(super) fn of(seen: Seen<'a>) -> Option<Self> {
        let kind = Kind::from_word(seen.kind)?;
        let glance: Glance<'a> = serde_json::from_slice(seen.body).ok()?;
        let time = glance.time_us.map_or(seen.at, UtcMicros::from_micros);
        Some(Self { time, seq: seen.seq, at: seen.at, kind, body: seen.body, glance })
    }

    /// The texts that it is found by: where, what, and what was said.
    fn atoms(&self) -> [String; 3] {
        let Glance { camera, name, place, text, objects, attributes, source, notice, .. } = &self.glance;
        let camera_number = camera.map(|number| number.to_string()).unwrap_or_default();
        let place = if name.is_empty() && place.is_empty() {
            String::new()
        } else {
            format!("{}/{name} {camera_number}", place.join("/"))
        };
        let (zh, en) = self.kind.name();
        let mut what = format!("{zh} {en}");
        for GlanceObjects { class } in objects {
            let (en, zh) = class.words();
            what.extend([" ", zh, " ", en]);
        }
        let said =
            notice.as_ref().map(|notice| &notice.state).filter(|_| text.zh.is_empty() && text.en.is_empty()).unwrap_or(text);
        let mut words = [&*said.zh, &*said.en, &*source.topic].join(" ");
        for value in attributes.values().filter_map(Value::as_str) {
            words.extend([" ", value]);
        }
        [place, what, if words.trim().is_empty() { String::new() } else { words }]
    }
}

/// An event as it stands in the index: what [`Stored::read`] gives back.
pub(super) struct Stored<'a> {
    pub(super) seq: Seq,
    pub(super) at: UtcMicros,
    pub(super) kind: Kind,
    pub(super) body: &'a [u8],
}

impl<'a> Stored<'a> {
    fn write(glimpse: &Glimpse<'_>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(17 + glimpse.body.len());
        bytes.extend_from_slice(&glimpse.seq.get().to_le_bytes());
        bytes.extend_from_slice(&glimpse.at.as_micros().to_le_bytes());
        bytes.push(glimpse.kind.code() as u8);
        bytes.extend_from_slice(glimpse.body);
        bytes
    }

    /// `None` for bytes that this module did not write.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (seq, rest) = bytes.split_first_chunk::<8>()?;
        let (at, rest) = rest.split_first_chunk::<8>()?;
        let (kind, body) = rest.split_first()?;
        Some(Self {
            seq: Seq::new(u64::from_le_bytes(*seq)),
            at: UtcMicros::from_micros(i64::from_le_bytes(*at)),
            kind: Kind::from_code(u64::from(*kind))?,
            body,
        })
    }
}

/// One day's index, open for reading and, while it changes, for writing.
pub(super) struct Day {
    /// Where it lives.
    pub(super) path: PathBuf,
    pub(super) fields: Fields,
    index: Index,
    pub(super) reader: IndexReader,
    /// Every event of this day up to here is in it (E3).
    pub(super) complete_to: Seq,
    writer: Option<Writing>,
}

struct Writing {
    writer: IndexWriter,
    /// Atoms that stand in this day already.
    atoms: HashSet<u64>,
    dirty: bool,
}

impl Day {
    /// Opens a day's directory, made if missing.
    ///
    /// # Errors
    /// If it does not read back: then it is set aside and made anew from the journal.
    pub(super) fn open(path: &Path) -> Result<Self, TantivyError> {
        std::fs::create_dir_all(path).map_err(|error| TantivyError::IoError(error.into()))?;
        let (schema, fields) = schema();
        let directory = tantivy::directory::MmapDirectory::open(path)?;
        let index = Index::builder().schema(schema).settings(IndexSettings::default()).open_or_create(directory)?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let payload = index.load_metas()?.payload;
        let complete_to = match payload.as_deref().map(str::parse) {
            None => Seq::ZERO,
            Some(Ok(number)) => Seq::new(number),
            Some(Err(_)) => return Err(TantivyError::InvalidArgument("a commit without its place in the journal".into())),
        };
        Ok(Self { path: path.to_owned(), fields, index, reader, complete_to, writer: None })
    }

    /// Whether it holds a writer, with its memory and thread.
    pub(super) fn is_writing(&self) -> bool {
        self.writer.is_some()
    }

    /// Whether something was added since the last commit.
    pub(super) fn is_dirty(&self) -> bool {
        self.writer.as_ref().is_some_and(|writing| writing.dirty)
    }

    /// Puts an event in, unless it is in already. It can be found after the next commit.
    pub(super) fn add(&mut self, glimpse: &Glimpse<'_>) -> Result<bool, TantivyError> {
        if glimpse.seq <= self.complete_to {
            return Ok(false);
        }
        let fields = self.fields;
        let writing = self.write()?;
        let mut doc = TantivyDocument::new();
        let glance = &glimpse.glance;
        let time_key = key(glimpse.time, glimpse.seq);
        let severity = glance.severity.as_deref().and_then(Severity::from_word).unwrap_or(glimpse.kind.severity());
        doc.add_u64(fields.key, time_key);
        doc.add_u64(fields.camera, u64::from(glance.camera.unwrap_or(0)));
        doc.add_u64(fields.kind, glimpse.kind.code());
        doc.add_u64(fields.severity, severity.code());
        doc.add_u64(fields.hour, hour_of(millis_of(time_key)));
        doc.add_u64(fields.region, glance.region.map_or(0, Region::packed));
        doc.add_u64(fields.atom, 0);
        for depth in 1..=glance.place.len() {
            doc.add_u64(fields.under, place_number(glance.place[..depth].iter().map(|level| &**level)));
        }
        if !glance.source.id.is_empty() {
            doc.add_u64(fields.source, source_number(&glance.source.name, &glance.source.id));
        }
        for text in glimpse.atoms().iter().filter(|text| !text.is_empty()) {
            let number = number_of(text);
            doc.add_u64(fields.atoms, number);
            if writing.atoms.insert(number) {
                writing.writer.add_document(atom(fields, number, &words::tokens(text)))?;
            }
        }
        doc.add_bytes(fields.body, &Stored::write(glimpse));
        writing.writer.add_document(doc)?;
        writing.dirty = true;
        Ok(true)
    }

    /// Makes what was added durable and findable, with its place in the journal.
    pub(super) fn commit(&mut self, complete_to: Seq) -> Result<(), TantivyError> {
        let Some(writing) = &mut self.writer else { return Ok(()) };
        let mut commit = writing.writer.prepare_commit()?;
        commit.set_payload(&complete_to.get().to_string());
        commit.commit()?;
        writing.dirty = false;
        self.complete_to = complete_to;
        self.reader.reload()
    }

    /// Commits and gives the writer's memory and thread back.
    pub(super) fn rest(&mut self, complete_to: Seq) -> Result<(), TantivyError> {
        if self.is_dirty() {
            self.commit(complete_to)?;
        }
        if let Some(writing) = self.writer.take() {
            writing.writer.wait_merging_threads()?;
            self.reader.reload()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<&mut Writing, TantivyError> {
        if self.writer.is_none() {
            let options =
                IndexWriterOptions::builder().memory_budget_per_thread(HEAP).num_worker_threads(1).num_merge_threads(1).build();
            let writer: IndexWriter = self.index.writer_with_options(options)?;
            let mut policy = LogMergePolicy::default();
            policy.set_max_docs_before_merge(MERGE_MAX);
            writer.set_merge_policy(Box::new(policy));
            self.writer = Some(Writing { writer, atoms: self.atoms_known()?, dirty: false });
        }
        self.writer.as_mut().ok_or_else(|| TantivyError::InvalidArgument("no writer".into()))
    }

    fn atoms_known(&self) -> Result<HashSet<u64>, TantivyError> {
        let mut known = HashSet::new();
        for segment in self.reader.searcher().segment_readers() {
            let inverted = segment.inverted_index(self.fields.atom)?;
            let mut terms = inverted.terms().stream()?;
            while let Some((term, _)) = terms.next() {
                known.extend(term.try_into().map(u64::from_be_bytes));
            }
        }
        Ok(known)
    }
}

/// The document of a text. It has the events' columns too, with zeros: a column without holes is read twice as fast, and the
/// key 0 is before every event.
fn atom(fields: Fields, number: u64, tokens: &Tokens) -> TantivyDocument {
    let mut doc = TantivyDocument::new();
    for field in [fields.key, fields.camera, fields.kind, fields.severity, fields.hour, fields.region] {
        doc.add_u64(field, 0);
    }
    doc.add_u64(fields.atom, number);
    let whole =
        |text: &String, position| Token { offset_from: 0, offset_to: 0, position, text: text.clone(), position_length: 1 };
    let places = tokens.places.iter().map(|(place, text)| whole(text, *place)).collect();
    doc.add_pre_tokenized_text(fields.places, PreTokenizedString { text: String::new(), tokens: places });
    for (field, list) in [(fields.words, &tokens.words), (fields.pinyin, &tokens.pinyin), (fields.initials, &tokens.initials)] {
        let tokens = list.iter().enumerate().map(|(at, text)| whole(text, at)).collect();
        doc.add_pre_tokenized_text(field, PreTokenizedString { text: String::new(), tokens });
    }
    doc
}

/// A number as a term of a field.
pub(super) fn term(field: Field, number: u64) -> Term {
    Term::from_field_u64(field, number)
}
