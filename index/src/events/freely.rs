//! How freely a term has to be taken, when nothing in reach meets it as it stands.
//!
//! The ways of taking it are tried together, in one walk through the days: who may find what is looked up once an event and
//! not once a way, which is most of what a walk costs. A way that something met ends the walk for all freer ones.

use super::atoms::ROLES;
use super::plan::{Plan, by_role};
use super::question::{Question, Understood};
use super::sieve::{Block, Columns, Narrow, Numbers, Steps};
use super::text::{self, Conditions, Wanted};
use super::{day::Fields, plan::Scope};
use tantivy::{COLLECT_BLOCK_BUFFER_LEN, Searcher, TantivyError, query::EnableScoring};

/// The ways of taking one term, from strict to free, of which one is looked for that something meets.
pub(super) struct Ways {
    /// Those that are stricter than any that was met.
    open: Vec<(Understood, Conditions)>,
    met: Option<Understood>,
}

impl Ways {
    /// Those ways that mean something for the term, from `strictest` on.
    pub(super) fn of(term: &Wanted, fields: Fields, strictest: Understood) -> Self {
        let ways = Understood::ALL.into_iter().filter(|how| *how >= strictest);
        Self { open: ways.filter_map(|how| Some((how, term.conditions(fields, how)?))).collect(), met: None }
    }

    /// The strictest way that anything met in the days looked through.
    pub(super) fn met(&self) -> Option<Understood> {
        self.met
    }

    /// Whether no further day can tell anything.
    pub(super) fn settled(&self) -> bool {
        self.open.is_empty()
    }

    fn meet(&mut self, way: usize) {
        if let Some((how, _)) = self.open.get(way) {
            self.met = Some(*how);
            self.open.truncate(way);
        }
    }

    /// Looks whether anything of a day meets them. Returns what it cost, in events looked at.
    ///
    /// # Errors
    /// If the day does not read back.
    pub(super) fn look_into(
        &mut self,
        (searcher, fields): (&Searcher, Fields),
        question: &Question,
        (scope, narrow): (&Scope, &Narrow),
    ) -> Result<u64, TantivyError> {
        let mut texts: Vec<(usize, Vec<[Numbers; ROLES]>)> = Vec::new();
        let mut any: Vec<u64> = Vec::new();
        for (way, (_, conditions)) in self.open.iter().enumerate() {
            let atoms = conditions.iter().map(|condition| text::atoms(searcher, &**condition));
            let atoms: Vec<Vec<u64>> = atoms.collect::<Result<_, _>>()?;
            // What meets the way meets each condition: that with the fewest atoms stands for it.
            let Some(fewest) = atoms.iter().min_by_key(|atoms| atoms.len()).filter(|atoms| !atoms.is_empty()) else { continue };
            any.extend(fewest);
            texts.push((way, atoms.iter().map(|atoms| by_role(atoms)).collect()));
        }
        any.sort_unstable();
        any.dedup();
        let Some(Plan { query, sieve }) = Plan::by_atoms((searcher, fields), question, &[any], scope, narrow)? else {
            return Ok(0);
        };
        let (mut looked_at, mut block, mut hours) = (0, Block::new(), Steps::hours());
        let weight = query.weight(EnableScoring::disabled_from_searcher(searcher))?;
        for segment in searcher.segment_readers() {
            let columns = Columns::of(segment)?;
            let mut docs = weight.scorer(segment, 1.0)?;
            let mut filled = COLLECT_BLOCK_BUFFER_LEN;
            while filled == COLLECT_BLOCK_BUFFER_LEN && !texts.is_empty() {
                filled = block.fill(&mut *docs);
                looked_at += filled as u64;
                sieve.apply(&columns, &mut block, &mut hours);
                if let Some(at) = texts.iter().position(|(_, texts)| block.meets(&columns, texts)) {
                    self.meet(texts[at].0);
                    texts.truncate(at);
                }
            }
        }
        Ok(looked_at)
    }
}
