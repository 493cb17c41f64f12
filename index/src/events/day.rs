//! One day of the index: a directory of tantivy's, forgotten by deleting it.
//!
//! It holds two sorts of documents: events, and the texts that they name ([`super::atoms`]).
//!
//! - E3: each commit carries how far this day is complete in each journal ([`super::reached`]). What is replayed after a crash is
//!   skipped up to there, so nothing is lost and nothing stands twice.

use super::Kind;
use super::atoms::{self, Atom, Known, ROLES};
use super::glimpse::Glimpse;
use super::parts::Region;
use super::reached::{self, Order, Origin, Reached};
use super::words;
use crate::journal::Seq;
use crate::model::{NodeId, UtcMicros};
use std::path::{Path, PathBuf};
use tantivy::{
    DocSet, Index, IndexReader, IndexWriter, ReloadPolicy, TERMINATED, TantivyDocument, TantivyError, Term,
    index::IndexSettings,
    indexer::{IndexWriterOptions, LogMergePolicy},
    schema::{FAST, Field, INDEXED, IndexRecordOption, STORED, Schema, TextFieldIndexing, TextOptions},
};

/// Memory that the writer of one day may fill before it writes a segment.
const HEAP: usize = 48 << 20;
/// Segments of this many documents are merged no further: merging must stay a small, steady cost.
const MERGE_MAX: usize = 2_000_000;
/// Where the day begins, for people: the district's clock stands eight hours before UTC, without summer time.
pub const ZONE_HOURS: i64 = 8;
/// Levels of a place that events are found by; a camera has 6 at most.
const PLACE_LEVELS: usize = 8;
/// Bits of the order key that tell events of one millisecond apart.
const KEY_BITS: u32 = 22;

/// The fields of the index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub(super) key: Field,
    pub(super) camera: Field,
    /// The cameras of an event about several.
    pub(super) concerns: Field,
    pub(super) kind: Field,
    pub(super) severity: Field,
    pub(super) region: Field,
    pub(super) under: Field,
    pub(super) atoms: Field,
    pub(super) source: Field,
    pub(super) body: Field,
    /// An event's atoms as columns, by role: ordinals, 0 for none.
    pub(super) roles: [Field; ROLES],
    /// An atom's own number.
    pub(super) atom: Field,
    /// The number of an atom's text.
    pub(super) text: Field,
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
        concerns: schema.add_u64_field("concerns", INDEXED | FAST),
        kind: schema.add_u64_field("kind", INDEXED | FAST),
        severity: schema.add_u64_field("severity", INDEXED | FAST),
        region: schema.add_u64_field("region", FAST),
        under: schema.add_u64_field("under", INDEXED),
        atoms: schema.add_u64_field("atoms", INDEXED),
        source: schema.add_u64_field("source", INDEXED),
        body: schema.add_bytes_field("body", STORED),
        roles: ["place", "what", "said"].map(|name| schema.add_u64_field(name, FAST)),
        atom: schema.add_u64_field("atom", FAST),
        text: schema.add_u64_field("text", INDEXED),
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

/// The order of events, newest greatest: milliseconds, then a number that tells those of one millisecond apart ([`Order`]). Two of
/// one millisecond could have the same only if four million others of their day came between them.
pub(super) fn key(time: UtcMicros, number: u64) -> u64 {
    (time.as_micros().max(0) as u64 / 1000) << KEY_BITS | number & ((1 << KEY_BITS) - 1)
}

/// The least key of an instant.
pub(super) fn key_from(time: UtcMicros) -> u64 {
    key(time, 0)
}

/// The least key of a millisecond since 1970.
pub(super) fn key_at(millis: i64) -> u64 {
    (millis.max(0) as u64) << KEY_BITS
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

/// Beside the number of a kind: the event is of another node's journal, and the node is named.
const OF_ANOTHER: u8 = 0x80;

/// The number of whose journal an event stands in, for [`Fields::under`] where there are several journals: no place has it.
pub(super) fn origin_number(origin: Origin) -> u64 {
    number_of(&origin.map_or_else(|| "\u{1e}own".to_owned(), |node| format!("\u{1e}{node}")))
}

/// An event as it stands in the index: what [`Stored::read`] gives back.
pub(super) struct Stored<'a> {
    pub(super) origin: Origin,
    pub(super) seq: Seq,
    pub(super) at: UtcMicros,
    pub(super) kind: Kind,
    pub(super) body: &'a [u8],
}

impl<'a> Stored<'a> {
    fn write(glimpse: &Glimpse<'_>, origin: Origin) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(33 + glimpse.body.len());
        bytes.extend_from_slice(&glimpse.seq.get().to_le_bytes());
        bytes.extend_from_slice(&glimpse.at.as_micros().to_le_bytes());
        let kind = glimpse.kind.code() as u8;
        match origin {
            None => bytes.push(kind),
            Some(node) => {
                bytes.push(kind | OF_ANOTHER);
                bytes.extend_from_slice(&node.to_bytes());
            }
        }
        bytes.extend_from_slice(glimpse.body);
        bytes
    }

    /// `None` for bytes that this module did not write.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (seq, rest) = bytes.split_first_chunk::<8>()?;
        let (at, rest) = rest.split_first_chunk::<8>()?;
        let (kind, rest) = rest.split_first()?;
        let (origin, body) = match kind & OF_ANOTHER {
            0 => (None, rest),
            _ => rest.split_first_chunk::<16>().map(|(node, body)| (Some(NodeId::from_bytes(*node)), body))?,
        };
        Some(Self {
            origin,
            seq: Seq::new(u64::from_le_bytes(*seq)),
            at: UtcMicros::from_micros(i64::from_le_bytes(*at)),
            kind: Kind::from_code(u64::from(*kind & !OF_ANOTHER))?,
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
    pub(super) complete_to: Reached,
    order: Order,
    writer: Option<Writing>,
}

struct Writing {
    writer: IndexWriter,
    /// Atoms that stand in this day already.
    atoms: Known,
    dirty: bool,
}

impl Day {
    /// Opens a day's directory, made if missing.
    ///
    /// # Errors
    /// If it does not read back: then it is set aside and made anew from the journals.
    pub(super) fn open(path: &Path, new: Order) -> Result<Self, TantivyError> {
        std::fs::create_dir_all(path).map_err(|error| TantivyError::IoError(error.into()))?;
        let (schema, fields) = schema();
        let directory = tantivy::directory::MmapDirectory::open(path)?;
        let index = Index::builder().schema(schema).settings(IndexSettings::default()).open_or_create(directory)?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let payload = index.load_metas()?.payload;
        let (complete_to, order) = match payload.as_deref().map(reached::read) {
            None => (Reached::default(), new),
            Some(Some(carried)) => carried,
            Some(None) => return Err(TantivyError::InvalidArgument("a commit without its place in the journal".into())),
        };
        Ok(Self { path: path.to_owned(), fields, index, reader, complete_to, order, writer: None })
    }

    /// Whether it holds a writer, with its memory and thread.
    pub(super) fn is_writing(&self) -> bool {
        self.writer.is_some()
    }

    /// Whether something was added since the last commit.
    pub(super) fn is_dirty(&self) -> bool {
        self.writer.as_ref().is_some_and(|writing| writing.dirty)
    }

    /// Puts an event in at a time, unless it is in already. It can be found after the next commit.
    pub(super) fn add(&mut self, glimpse: &Glimpse<'_>, origin: Origin, time: UtcMicros) -> Result<bool, TantivyError> {
        if glimpse.seq <= self.complete_to.of(origin) {
            return Ok(false);
        }
        let (fields, order) = (self.fields, self.order);
        let writing = self.write()?;
        let mut doc = TantivyDocument::new();
        let glance = &glimpse.glance;
        let among = match order {
            Order::ByNumber => glimpse.seq.get(),
            Order::ByArrival { arrived } => {
                doc.add_u64(fields.under, origin_number(origin));
                arrived + 1
            }
        };
        doc.add_u64(fields.key, key(time, among));
        doc.add_u64(fields.camera, u64::from(glance.camera.unwrap_or(0)));
        if glance.camera.is_none() {
            glance.camera_numbers.iter().for_each(|number| doc.add_u64(fields.concerns, u64::from(*number)));
        }
        doc.add_u64(fields.kind, glimpse.kind.code());
        doc.add_u64(fields.severity, glimpse.severity().code());
        doc.add_u64(fields.region, glance.region.map_or(0, Region::packed));
        doc.add_u64(fields.atom, 0);
        for depth in 1..=glance.place.len().min(PLACE_LEVELS) {
            doc.add_u64(fields.under, place_number(glance.place[..depth].iter().map(|level| &**level)));
        }
        // Repeats are told among what was reported here: another node's sources are none of ours.
        if !glance.source.id.is_empty() && origin.is_none() {
            doc.add_u64(fields.source, source_number(&glance.source.name, &glance.source.id));
        }
        for ((role, text), column) in glimpse.texts().iter().enumerate().zip(fields.roles) {
            if text.is_empty() {
                doc.add_u64(column, 0);
                continue;
            }
            let number = Known::text(role, text);
            let (atom, new) = writing.atoms.atom(number, role);
            doc.add_u64(column, atom.ordinal);
            doc.add_u64(fields.atoms, atom.packed());
            if new {
                writing.writer.add_document(atoms::document(fields, number, atom, &words::tokens(text)))?;
            }
        }
        doc.add_bytes(fields.body, &Stored::write(glimpse, origin));
        writing.writer.add_document(doc)?;
        writing.dirty = true;
        if let Order::ByArrival { arrived } = &mut self.order {
            *arrived += 1;
        }
        Ok(true)
    }

    /// Makes what was added durable and findable, with its place in the journals.
    pub(super) fn commit(&mut self, complete_to: &Reached) -> Result<(), TantivyError> {
        let Some(writing) = &mut self.writer else { return Ok(()) };
        let mut commit = writing.writer.prepare_commit()?;
        commit.set_payload(&reached::write(complete_to, self.order));
        commit.commit()?;
        writing.dirty = false;
        self.complete_to.clone_from(complete_to);
        self.reader.reload()
    }

    /// Commits and gives the writer's memory and thread back.
    pub(super) fn rest(&mut self, complete_to: &Reached) -> Result<(), TantivyError> {
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

    fn atoms_known(&self) -> Result<Known, TantivyError> {
        let mut known = Known::default();
        for segment in self.reader.searcher().segment_readers() {
            let atoms = segment.fast_fields().u64("atom")?.first_or_default_col(0);
            let inverted = segment.inverted_index(self.fields.text)?;
            let mut terms = inverted.terms().stream()?;
            while let Some((term, info)) = terms.next() {
                let doc = inverted.read_postings_from_terminfo(info, IndexRecordOption::Basic)?.doc();
                let atom = (doc != TERMINATED).then(|| Atom::unpacked(atoms.get_val(doc))).flatten();
                if let (Ok(text), Some(atom)) = (term.try_into(), atom) {
                    known.put(u64::from_be_bytes(text), atom);
                }
            }
        }
        Ok(known)
    }
}

/// A number as a term of a field.
pub(super) fn term(field: Field, number: u64) -> Term {
    Term::from_field_u64(field, number)
}
