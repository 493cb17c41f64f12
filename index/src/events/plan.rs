//! How a day is looked through: which of a question's conditions are followed as lists of events, and which are looked up column
//! by column as events pass.
//!
//! A list is worth following where few events stand in it. A thousand lists cost more to find and join than a look at every
//! event of the day, and a list of most events saves nothing. Who may find what is one of the conditions, so nothing outside a
//! person's scope is ever counted.

use super::Severity;
use super::atoms::{Atom, ROLES};
use super::day::{Fields, place_number, term};
use super::question::{Question, Reach};
use super::sieve::{Narrow, Numbers, Sieve};
use super::text::{self, Conditions};
use tantivy::{
    Searcher, TantivyError, Term,
    query::{AllQuery, BooleanQuery, Occur, Query, TermQuery, TermSetQuery},
    schema::{Field, IndexRecordOption},
};

/// More lists than these are not followed.
const FEW_LISTS: usize = 16;
/// Lists that hold more than one in so many of the day's events are not followed.
const SPARSE: u64 = 8;

/// The cameras that a question may find and asks for.
pub(super) enum Scope {
    Everything,
    /// So few that their lists may be followed.
    Few(Vec<u64>),
    Many(Numbers),
}

impl Scope {
    pub(super) fn of(question: &Question) -> Self {
        let cameras: Vec<u64> = match &question.reach {
            Reach::Everything if question.cameras.is_empty() => return Self::Everything,
            Reach::Everything => question.cameras.iter().map(|camera| u64::from(camera.number())).collect(),
            Reach::Cameras(within) | Reach::Below { cameras: within, .. } => {
                let asked = within.iter().filter(|camera| question.cameras.is_empty() || question.cameras.contains(camera));
                asked.map(|camera| u64::from(camera.number())).collect()
            }
        };
        if cameras.len() <= FEW_LISTS { Self::Few(cameras) } else { Self::Many(cameras.into_iter().collect()) }
    }
}

/// See the module.
pub(super) struct Plan<'a> {
    /// Gives the candidates.
    pub(super) query: Box<dyn Query>,
    /// Says which of them match.
    pub(super) sieve: Sieve<'a>,
}

impl<'a> Plan<'a> {
    /// The plan for a day; `None` if nothing there can match.
    ///
    /// # Errors
    /// If the day does not read back.
    pub(super) fn of(
        (searcher, fields): (&Searcher, Fields),
        question: &Question,
        conditions: &Conditions,
        scope: &'a Scope,
        narrow: &'a Narrow,
    ) -> Result<Option<Self>, TantivyError> {
        let mut atoms = Vec::new();
        for condition in conditions {
            atoms.push(text::atoms(searcher, &**condition)?);
        }
        Self::by_atoms((searcher, fields), question, &atoms, scope, narrow)
    }

    /// The same where it is known for each condition which atoms meet it.
    ///
    /// # Errors
    /// If the day does not read back.
    pub(super) fn by_atoms(
        (searcher, fields): (&Searcher, Fields),
        question: &Question,
        texts: &[Vec<u64>],
        scope: &'a Scope,
        narrow: &'a Narrow,
    ) -> Result<Option<Self>, TantivyError> {
        let mut lists = Lists { searcher, musts: Vec::new(), nots: Vec::new() };
        let mut sieve = Sieve::new(narrow);
        for atoms in texts {
            if atoms.is_empty() {
                return Ok(None);
            }
            if !lists.follow(fields.atoms, atoms)? {
                sieve.texts.push(by_role(atoms));
            }
        }
        match scope {
            Scope::Everything => {}
            // Also where they are none: then nothing is found.
            Scope::Few(cameras) => {
                let concerned = any_of(fields.concerns, cameras);
                let either = [any_of(fields.camera, cameras), concerned].map(|query| (Occur::Should, query));
                lists.musts.push(Box::new(BooleanQuery::new(either.into())));
            }
            Scope::Many(cameras) => sieve.cameras = Some(cameras),
        }
        let kinds: Vec<u64> = question.kinds.iter().map(|kind| kind.code()).collect();
        if !kinds.is_empty() && !lists.follow(fields.kind, &kinds)? {
            sieve.kinds = Some(kinds.into_iter().collect());
        }
        if question.severity > Severity::Info {
            let heavy = Severity::ALL.into_iter().filter(|severity| *severity >= question.severity);
            let heavy: Vec<u64> = heavy.map(Severity::code).collect();
            if !lists.follow(fields.severity, &heavy)? {
                sieve.severities = Some(heavy.into_iter().collect());
            }
        }
        for (origin, camera) in &narrow.elsewhere {
            let concerned = [any_of(fields.camera, &[*camera]), any_of(fields.concerns, &[*camera])];
            let concerned = BooleanQuery::new(concerned.map(|query| (Occur::Should, query)).into());
            let told: Box<dyn Query> = any_of(fields.under, &[*origin]);
            lists.nots.push(Box::new(BooleanQuery::new(vec![(Occur::Must, told), (Occur::Must, Box::new(concerned))])));
        }
        if let Some(origins) = &narrow.origins {
            lists.musts.push(any_of(fields.under, origins));
        }
        if !question.under.is_empty() {
            lists.musts.push(any_of(fields.under, &[place_number(question.under.iter().map(String::as_str))]));
        }
        Ok(Some(Self { query: lists.query(), sieve }))
    }
}

/// The conditions that are followed as lists.
struct Lists<'a> {
    searcher: &'a Searcher,
    musts: Vec<Box<dyn Query>>,
    /// What must not be.
    nots: Vec<Box<dyn Query>>,
}

impl Lists<'_> {
    /// Follows the lists of these numbers if that is worth it.
    fn follow(&mut self, field: Field, numbers: &[u64]) -> Result<bool, TantivyError> {
        if numbers.len() > FEW_LISTS {
            return Ok(false);
        }
        let mut events = 0;
        for number in numbers {
            events += self.searcher.doc_freq(&term(field, *number))?;
        }
        let worth = events * SPARSE < self.searcher.num_docs();
        if worth {
            self.musts.push(any_of(field, numbers));
        }
        Ok(worth)
    }

    fn query(mut self) -> Box<dyn Query> {
        if !self.nots.is_empty() {
            let musts = if self.musts.is_empty() { vec![Box::new(AllQuery) as Box<dyn Query>] } else { self.musts };
            let musts = musts.into_iter().map(|must| (Occur::Must, must));
            return Box::new(BooleanQuery::new(musts.chain(self.nots.into_iter().map(|not| (Occur::MustNot, not))).collect()));
        }
        match self.musts.len() {
            0 => Box::new(AllQuery),
            1 => self.musts.remove(0),
            _ => Box::new(BooleanQuery::new(self.musts.into_iter().map(|must| (Occur::Must, must)).collect())),
        }
    }
}

fn any_of(field: Field, numbers: &[u64]) -> Box<dyn Query> {
    let terms: Vec<Term> = numbers.iter().map(|number| term(field, *number)).collect();
    match terms.as_slice() {
        [only] => Box::new(TermQuery::new(only.clone(), IndexRecordOption::Basic)),
        _ => Box::new(TermSetQuery::new(terms)),
    }
}

/// Atoms by what they are of an event.
pub(super) fn by_role(atoms: &[u64]) -> [Numbers; ROLES] {
    let mut roles: [Numbers; ROLES] = Default::default();
    for atom in atoms.iter().filter_map(|packed| Atom::unpacked(*packed)) {
        roles[atom.role].insert(atom.ordinal);
    }
    roles
}
