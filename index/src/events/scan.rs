//! Going through a day's matches: the page's place in them, and what is counted of them.

use super::counts::{Counting, Counts, Wants};
use super::sieve::{Block, Columns, Sieve, Steps};
use tantivy::{
    COLLECT_BLOCK_BUFFER_LEN, DocAddress, Searcher, TantivyError,
    query::{EnableScoring, Query},
};

/// Matches that are kept beyond the page before the older ones among them are let go: sorting out many at once costs each a moment.
const SPARE: usize = 4096;

/// A match: its key, its day, and its place there.
pub(super) type Hit = (u64, i64, DocAddress);

/// The newest matches before a place, at most so many.
pub(super) struct Newest {
    before: u64,
    limit: usize,
    /// Nothing up to here belongs to the page any more.
    least: u64,
    hits: Vec<Hit>,
}

impl Newest {
    pub(super) fn new(before: u64, limit: usize) -> Self {
        Self { before, limit, least: 0, hits: Vec::new() }
    }

    fn offer(&mut self, key: u64, day: i64, at: DocAddress) {
        if key >= self.before || key <= self.least {
            return;
        }
        self.hits.push((key, day, at));
        if self.hits.len() >= self.limit + SPARE {
            self.settle();
        }
    }

    /// Lets go what is older than the page.
    fn settle(&mut self) {
        if self.hits.len() <= self.limit {
            return;
        }
        if self.limit > 0 {
            let (_, last, _) = self.hits.select_nth_unstable_by_key(self.limit - 1, |(key, ..)| std::cmp::Reverse(*key));
            self.least = last.0;
        }
        self.hits.truncate(self.limit);
    }

    /// Whether a day that begins with this key can still give anything to the page.
    pub(super) fn wants(&self, day_begins: u64) -> bool {
        self.before > day_begins && !self.is_full()
    }

    pub(super) fn is_full(&self) -> bool {
        self.hits.len() >= self.limit
    }

    /// Newest first.
    pub(super) fn into_sorted(mut self) -> Vec<Hit> {
        self.settle();
        self.hits.sort_unstable_by(|a, b| b.cmp(a));
        self.hits
    }
}

/// Goes through the matches of a day. Returns what it cost, roughly in tens of nanoseconds.
pub(super) fn scan(
    (number, searcher): (i64, &Searcher),
    query: &dyn Query,
    sieve: &Sieve<'_>,
    wants: &Wants,
    newest: &mut Newest,
    counts: &mut Counts,
) -> Result<u64, TantivyError> {
    let (mut looked_at, all) = (0, counts.all);
    let mut counting = Counting::new(wants, counts);
    let mut hours = Steps::hours();
    let mut block = Block::new();
    let weight = query.weight(EnableScoring::disabled_from_searcher(searcher))?;
    for (ordinal, segment) in searcher.segment_readers().iter().enumerate() {
        let columns = Columns::of(segment)?;
        if columns.key.max_value() < sieve.narrow.from {
            continue;
        }
        let mut docs = weight.scorer(segment, 1.0)?;
        loop {
            let filled = block.fill(&mut *docs);
            looked_at += filled as u64;
            sieve.apply(&columns, &mut block, &mut hours);
            for (doc, key) in block.matches() {
                newest.offer(key, number, DocAddress::new(ordinal as u32, doc));
            }
            counting.add(&columns, &mut block);
            if filled < COLLECT_BLOCK_BUFFER_LEN {
                break;
            }
        }
    }
    counting.finish();
    Ok(looked_at + (counts.all - all) * if wants.facets { 2 } else { 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_in_whatever_order_they_come_and_however_many() {
        let at = |n: u64| DocAddress::new(0, n as u32);
        let total = 3 * SPARE as u64;
        let shuffled = || (0..total).map(move |n| n * 7919 % total + 1);
        for keys in [(1..=total).collect::<Vec<_>>(), (1..=total).rev().collect(), shuffled().collect()] {
            let mut newest = Newest::new(total - 5, 10);
            keys.iter().for_each(|key| newest.offer(*key, 0, at(*key)));
            assert!(newest.is_full());
            let found: Vec<u64> = newest.into_sorted().iter().map(|(key, ..)| *key).collect();
            assert_eq!(found, (total - 15..total - 5).rev().collect::<Vec<_>>());
        }
        let mut few = Newest::new(u64::MAX, 10);
        few.offer(3, 0, at(3));
        assert!(!few.is_full() && few.wants(9));
    }
}
