//! From words to atoms: how a text in a question is met by the texts of events.
//!
//! A question's text is cut at blanks into terms; every term must be met, by any of an event's texts. A term is first taken
//! as it stands. Only if nothing in reach meets it is it taken more freely, one step at a time: as separate words, by sound,
//! as a whole name with one slip of a character, as a short form, with a slip anywhere. So a precise question never gets a vague
//! answer.

use super::day::Fields;
use super::question::{MAX_TERMS, Understood};
use super::words::{self, Piece};
use tantivy::{
    DocSet, Searcher, TERMINATED, TantivyError, Term,
    query::{BooleanQuery, EnableScoring, Occur, PhraseQuery, Query, RegexQuery, TermQuery},
    schema::{Field, IndexRecordOption},
};

/// Letters from which on they may be pinyin; shorter ones meet too much.
const MIN_PINYIN: usize = 3;
/// Letters from which on they may be initials.
const MIN_INITIALS: usize = 2;

/// Characters of the longest short form: more are a name with something missing.
const MAX_SHORT_FORM: usize = 4;

/// One term of a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wanted {
    pieces: Vec<Piece>,
}

/// The terms of a question's text, at most [`MAX_TERMS`].
pub(super) fn wanted(text: &str) -> Vec<Wanted> {
    let pieces = words::pieces(text);
    let terms = pieces.split(|piece| *piece == Piece::Gap).filter(|pieces| !pieces.is_empty());
    terms.take(MAX_TERMS).map(|pieces| Wanted { pieces: pieces.to_vec() }).collect()
}

/// Queries for atoms, each of which an event's atoms must meet.
pub(super) type Conditions = Vec<Box<dyn Query>>;

impl Wanted {
    /// How the term is asked for at a step; `None` if the step means nothing for it.
    pub(super) fn conditions(&self, fields: Fields, how: Understood) -> Option<Conditions> {
        let han = self.pieces.iter().filter(|piece| matches!(piece, Piece::Han(_))).count();
        match how {
            Understood::Literally => Some(vec![self.literally(fields)]),
            Understood::AsWords => self.as_words(fields, han),
            Understood::AsHomophone if han >= 2 => Some(vec![prefix(fields.pinyin, &words::sound(&self.pieces))?]),
            Understood::NameWithOneSlip if han >= 3 && han == self.pieces.len() => Some(vec![self.name_with_one_slip(fields)]),
            Understood::AsShortForm if (2..=MAX_SHORT_FORM).contains(&han) && han == self.pieces.len() => {
                Some(vec![self.as_short_form(fields)])
            }
            Understood::WithOneSlip if han >= 3 && han == self.pieces.len() => Some(vec![self.with_one_slip(fields)]),
            Understood::AsHomophone | Understood::NameWithOneSlip | Understood::AsShortForm | Understood::WithOneSlip => None,
        }
    }

    fn literally(&self, fields: Fields) -> Box<dyn Query> {
        if let [Piece::Run(run)] = self.pieces.as_slice() {
            return latin(fields, run);
        }
        let whole = phrase(fields.places, &self.pieces);
        let mixed = self
            .pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Run(run) if run.starts_with(|c: char| c.is_ascii_alphabetic())));
        if !mixed {
            return whole;
        }
        // `nanmen岗亭`, `B2`: the letters may be read as pinyin, the rest as it stands.
        let parts = self.runs().into_iter().map(|part| match part {
            [Piece::Run(run)] => latin(fields, run),
            part => phrase(fields.places, part),
        });
        any([whole, all(parts)])
    }

    /// The pieces parted where Chinese and runs meet.
    fn runs(&self) -> Vec<&[Piece]> {
        self.pieces.chunk_by(|a, b| matches!((a, b), (Piece::Han(_), Piece::Han(_)))).collect()
    }

    fn as_words(&self, fields: Fields, han: usize) -> Option<Conditions> {
        let mut conditions: Conditions = Vec::new();
        for part in self.runs() {
            match part {
                [Piece::Run(run)] => conditions.push(latin(fields, run)),
                part => {
                    let run: String = words::han_runs(part).concat();
                    for word in words::cut(&run) {
                        if word.chars().count() < 2 && han > 1 {
                            return None;
                        }
                        conditions.push(phrase(fields.places, &words::pieces(&word)));
                    }
                }
            }
        }
        (conditions.len() > 1).then_some(conditions)
    }

    /// A run of Chinese, from its first character to its last, that was typed with one slip: whoever slips in a name means that
    /// name, and not another one that has most of it inside.
    fn name_with_one_slip(&self, fields: Fields) -> Box<dyn Query> {
        let chars: Vec<&Piece> = self.pieces.iter().collect();
        let count = chars.len();
        let without = |at: usize| chars.iter().copied().enumerate().filter(move |(n, _)| *n != at);
        let mut variants: Vec<Box<dyn Query>> = Vec::new();
        let mut variant = |length: usize, kept: Vec<(usize, &Piece)>| {
            let mut terms = terms(fields.places, &kept);
            terms.push((0, Term::from_field_text(fields.places, words::BEGINS)));
            terms.push((length - 1, Term::from_field_text(fields.places, words::ENDS)));
            variants.push(Box::new(PhraseQuery::new_with_offset(terms)));
        };
        for at in 0..count {
            variant(count, without(at).collect());
            variant(count - 1, without(at).map(|(n, piece)| (if n > at { n - 1 } else { n }, piece)).collect());
            if at > 0 {
                let mut swapped = chars.clone();
                swapped.swap(at - 1, at);
                variant(count, swapped.into_iter().enumerate().collect());
            }
        }
        for at in 0..=count {
            variant(
                count + 1,
                chars.iter().copied().enumerate().map(|(n, piece)| (if n >= at { n + 1 } else { n }, piece)).collect(),
            );
        }
        any(variants)
    }

    /// A character of each word, all of one text: 违停 for 违规停车.
    fn as_short_form(&self, fields: Fields) -> Box<dyn Query> {
        let chars: Vec<char> = words::han_runs(&self.pieces).concat().chars().collect();
        all(chars.iter().zip(chars.iter().skip(1)).map(|(one, other)| {
            let apart = exact(Term::from_field_text(fields.words, &words::short_form(*one, *other)));
            any([apart, exact(Term::from_field_text(fields.places, &format!("{one}{other}")))])
        }))
    }

    /// One character wrong, one too many, one missing, or two exchanged.
    fn with_one_slip(&self, fields: Fields) -> Box<dyn Query> {
        let chars = &self.pieces;
        let count = chars.len();
        let mut variants: Vec<Box<dyn Query>> = Vec::new();
        let with_places = |kept: Vec<(usize, &Piece)>| placed(fields.places, &kept);
        for at in 0..count {
            let inner = at > 0 && at + 1 < count;
            // Two characters that are left at one end say too little.
            if count > 3 || inner {
                variants.push(with_places(chars.iter().enumerate().filter(|(n, _)| *n != at).collect()));
            }
            if count > 3 {
                let shorter = chars.iter().enumerate().filter(|(n, _)| *n != at);
                variants.push(with_places(shorter.map(|(n, piece)| (if n > at { n - 1 } else { n }, piece)).collect()));
            }
            if at > 0 {
                variants.push(with_places(
                    chars.iter().enumerate().map(|(n, piece)| (if n >= at { n + 1 } else { n }, piece)).collect(),
                ));
                let mut swapped: Vec<&Piece> = chars.iter().collect();
                swapped.swap(at - 1, at);
                variants.push(with_places(swapped.into_iter().enumerate().collect()));
            }
        }
        any(variants)
    }
}

/// A run of letters or digits: a word, a number, or how Chinese sounds.
fn latin(fields: Fields, run: &str) -> Box<dyn Query> {
    let mut ways: Vec<Box<dyn Query>> =
        vec![exact(Term::from_field_text(fields.words, &words::stem(run))), exact(Term::from_field_text(fields.places, run))];
    if run.bytes().all(|b| b.is_ascii_lowercase()) {
        ways.extend((run.len() >= MIN_PINYIN).then(|| prefix(fields.pinyin, run)).flatten());
        ways.extend((run.len() >= MIN_INITIALS).then(|| prefix(fields.initials, run)).flatten());
    }
    any(ways)
}

/// Pieces next to each other, in order.
fn phrase(field: Field, pieces: &[Piece]) -> Box<dyn Query> {
    placed(field, &pieces.iter().enumerate().collect::<Vec<_>>())
}

/// Pieces at places, ascending.
fn placed(field: Field, pieces: &[(usize, &Piece)]) -> Box<dyn Query> {
    let terms = terms(field, pieces);
    match terms.as_slice() {
        [(_, only)] => exact(only.clone()),
        _ => Box::new(PhraseQuery::new_with_offset(terms)),
    }
}

/// The terms of pieces at places. Neighbouring Chinese characters are asked for in pairs: far fewer texts have a pair than a
/// character.
fn terms(field: Field, pieces: &[(usize, &Piece)]) -> Vec<(usize, Term)> {
    let mut terms: Vec<(usize, Term)> = Vec::new();
    let neighbours =
        |a: &(usize, &Piece), b: &(usize, &Piece)| matches!((a.1, b.1), (Piece::Han(_), Piece::Han(_))) && a.0 + 1 == b.0;
    for run in pieces.chunk_by(neighbours) {
        let (place, first) = run[0];
        match (first, run.len()) {
            (Piece::Han(c), 1) => terms.push((place, Term::from_field_text(field, &c.to_string()))),
            (Piece::Han(_), length) => {
                // Every second pair covers all; of an odd run the last pair overlaps.
                let starts = (0..length - 1).step_by(2).chain((length % 2 == 1).then_some(length - 2));
                terms.extend(starts.map(|at| (place + at, Term::from_field_text(field, &text_of(&run[at..at + 2])))));
            }
            (Piece::Run(text), _) => terms.push((place, Term::from_field_text(field, text))),
            (Piece::Gap, _) => {}
        }
    }
    terms
}

fn text_of(pieces: &[(usize, &Piece)]) -> String {
    pieces.iter().filter_map(|(_, piece)| if let Piece::Han(c) = piece { Some(*c) } else { None }).collect()
}

fn exact(term: Term) -> Box<dyn Query> {
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}

/// Tokens that begin so. `None` for what holds more than letters and digits.
fn prefix(field: Field, start: &str) -> Option<Box<dyn Query>> {
    let plain = !start.is_empty() && start.len() <= 80 && start.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    plain
        .then(|| RegexQuery::from_pattern(&format!("{start}.*"), field).ok())
        .flatten()
        .map(|query| Box::new(query) as Box<dyn Query>)
}

fn any(ways: impl IntoIterator<Item = Box<dyn Query>>) -> Box<dyn Query> {
    Box::new(BooleanQuery::new(ways.into_iter().map(|way| (Occur::Should, way)).collect()))
}

fn all(ways: impl IntoIterator<Item = Box<dyn Query>>) -> Box<dyn Query> {
    Box::new(BooleanQuery::new(ways.into_iter().map(|way| (Occur::Must, way)).collect()))
}

/// The atoms of a day that meet a condition, packed.
pub(super) fn atoms(searcher: &Searcher, condition: &dyn Query) -> Result<Vec<u64>, TantivyError> {
    let weight = condition.weight(EnableScoring::disabled_from_searcher(searcher))?;
    let mut found = Vec::new();
    for segment in searcher.segment_readers() {
        let numbers = segment.fast_fields().u64("atom")?.first_or_default_col(0);
        let mut docs = weight.scorer(segment, 1.0)?;
        while docs.doc() != TERMINATED {
            found.push(numbers.get_val(docs.doc()));
            docs.advance();
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}
