//! The segment files of a volume: how many there are of each size, and which may be written. The pool is filled once, in the
//! background, up to the volume's capacity, and from then on files are recycled: recording never allocates (and so never meets
//! a full disk).

use std::collections::{HashMap, HashSet, VecDeque};

/// Which of the two sizes of file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Size {
    /// For main streams.
    Main,
    /// For sub-streams.
    Sub,
}

impl Size {
    pub(super) const ALL: [Self; 2] = [Self::Main, Self::Sub];

    /// The size that footage of this kind goes to.
    pub(super) fn of(kind: crate::model::StreamKind) -> Self {
        match kind {
            crate::model::StreamKind::Main => Self::Main,
            crate::model::StreamKind::Sub => Self::Sub,
        }
    }
}

/// What the keeper should do to have files ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Growth {
    /// Make a file of this number and size.
    Create { number: u32, size: Size },
    /// Remove a free file of the other size first: all capacity is taken up, and this size has none.
    Convert { remove: u32, from: Size },
    /// Nothing, or nothing that helps.
    Enough,
}

/// What a freed file needs before it can be used again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unspare {
    /// Nothing.
    Whole,
    /// Its blocks.
    Refill,
    /// Blocks that others have by now: it must go.
    NoRoom,
}

/// See the module. Pure: it names files, others make them.
pub(super) struct Pool {
    sizes: [Class; 2],
    next: u32,
    capacity: u64,
    /// The capacity that is configured.
    wanted: u64,
    /// Files being made.
    growing: u64,
    /// Files that are free, while the last checkpoint still says that they hold footage. Were they written before the next one, a start
    /// from the old one would take the new footage for what was removed.
    limbo: Vec<(u32, Size)>,
    /// Free by a checkpoint's word alone: what their own heads say was not read yet.
    believed: HashSet<u32>,
    /// Bytes given back to the file system by files that were sealed early.
    spared: HashMap<u32, u64>,
    /// The sum of them: a disk holds hundreds of thousands of such files.
    spared_bytes: u64,
}

struct Class {
    bytes: u64,
    /// In the order in which they are to be used: oldest first. A checkpoint relies on it.
    free: VecDeque<u32>,
    total: usize,
    used: usize,
}

/// Free files of each size that are kept ready beyond those in use.
pub(super) const AHEAD: usize = 2;
/// Bytes in main files for one in sub files, when there is no need yet: about the ratio of their bit rates.
const MAIN_SHARE: u64 = 7;

impl Pool {
    pub(super) fn new(main_bytes: u64, sub_bytes: u64, capacity: u64) -> Self {
        let class = |bytes| Class { bytes, free: VecDeque::new(), total: 0, used: 0 };
        Self {
            sizes: [class(main_bytes), class(sub_bytes)],
            next: 1,
            capacity,
            wanted: capacity,
            growing: 0,
            limbo: Vec::new(),
            believed: HashSet::new(),
            spared: HashMap::new(),
            spared_bytes: 0,
        }
    }

    fn class(&mut self, size: Size) -> &mut Class {
        &mut self.sizes[size as usize]
    }

    pub(super) fn bytes_of(&self, size: Size) -> u64 {
        self.sizes[size as usize].bytes
    }

    /// Which size a file of that length is; `None` for one made under another configuration.
    pub(super) fn size_of(&self, len: u64) -> Option<Size> {
        Size::ALL.into_iter().find(|size| self.bytes_of(*size) == len)
    }

    /// Counts a file that is there, in use or not.
    pub(super) fn found(&mut self, number: u32, size: Size, free: bool) {
        self.saw(number);
        let class = self.class(size);
        class.total += 1;
        if free {
            class.free.push_back(number);
        } else {
            class.used += 1;
        }
    }

    /// Never gives this number to a new file.
    pub(super) fn saw(&mut self, number: u32) {
        self.next = self.next.max(number + 1);
    }

    /// Counts a file that a checkpoint calls free. Whoever takes it looks into it first.
    pub(super) fn believe(&mut self, number: u32, size: Size) {
        self.found(number, size, true);
        self.believed.insert(number);
    }

    /// Whether nobody looked yet into a file that was taken. From now on somebody has.
    pub(super) fn was_believed(&mut self, number: u32) -> bool {
        self.believed.remove(&number)
    }

    /// Takes a believed file out for a look, uncounted, and gives its place among the free ones. `None` if it is not there any more.
    pub(super) fn withdraw(&mut self, number: u32, size: Size) -> Option<usize> {
        let free = &mut self.class(size).free;
        let at = free.iter().position(|other| *other == number)?;
        free.remove(at);
        let class = self.class(size);
        class.total = class.total.saturating_sub(1);
        self.believed.remove(&number);
        Some(at)
    }

    /// Puts a file back that was withdrawn and is free.
    pub(super) fn restore(&mut self, number: u32, size: Size, at: usize) {
        let class = self.class(size);
        class.total += 1;
        class.free.insert(at.min(class.free.len()), number);
    }

    /// Takes a file into use.
    pub(super) fn take(&mut self, size: Size) -> Option<u32> {
        let class = self.class(size);
        let number = class.free.pop_front()?;
        class.used += 1;
        Some(number)
    }

    /// Takes a file back whose header says durably that it is free. It is used again after the next checkpoint.
    pub(super) fn freed(&mut self, number: u32, size: Size) {
        self.limbo.push((number, size));
    }

    /// What was taken back and waits for a checkpoint.
    pub(super) fn limbo(&self) -> Vec<(u32, Size)> {
        self.limbo.clone()
    }

    /// A checkpoint says that these are free.
    pub(super) fn release(&mut self, freed: &[(u32, Size)]) {
        self.limbo.retain(|waiting| !freed.contains(waiting));
        freed.iter().for_each(|(number, size)| self.give_back(*number, *size));
    }

    /// Puts a file back among the free ones.
    pub(super) fn give_back(&mut self, number: u32, size: Size) {
        let class = self.class(size);
        class.used = class.used.saturating_sub(1);
        class.free.push_back(number);
    }

    /// A sealed file gave bytes back to the file system, or will at once.
    pub(super) fn spare(&mut self, number: u32, bytes: u64) {
        self.forget_spared(number);
        self.spared.insert(number, bytes);
        self.spared_bytes += bytes;
    }

    fn forget_spared(&mut self, number: u32) -> Option<u64> {
        let bytes = self.spared.remove(&number)?;
        self.spared_bytes -= bytes;
        Some(bytes)
    }

    /// A file that is freed gave bytes back: whether there is room to have them again. If so they are counted again.
    pub(super) fn unspare(&mut self, number: u32) -> Unspare {
        let Some(bytes) = self.forget_spared(number) else { return Unspare::Whole };
        if self.allocated() <= self.capacity {
            return Unspare::Refill;
        }
        self.spare(number, bytes);
        Unspare::NoRoom
    }

    /// A file was removed.
    pub(super) fn removed(&mut self, number: u32, size: Size) {
        self.forget_spared(number);
        self.retire(size);
    }

    /// A file is not to be used any more: the disk refused it.
    pub(super) fn retire(&mut self, size: Size) {
        let class = self.class(size);
        class.used = class.used.saturating_sub(1);
        class.total = class.total.saturating_sub(1);
    }

    pub(super) fn free(&self, size: Size) -> usize {
        self.sizes[size as usize].free.len()
    }

    pub(super) fn free_numbers(&self, size: Size) -> impl Iterator<Item = u32> + '_ {
        self.sizes[size as usize].free.iter().copied()
    }

    pub(super) fn total(&self) -> usize {
        self.sizes.iter().map(|class| class.total).sum()
    }

    /// Bytes that files take up, and those being made.
    pub(super) fn allocated(&self) -> u64 {
        let whole = self.sizes.iter().map(|class| class.bytes * class.total as u64).sum::<u64>();
        (whole + self.growing).saturating_sub(self.spared_bytes)
    }

    /// Whether a size has fewer files ready than should be kept, `open` of which may be sealed at any time.
    pub(super) fn is_low(&self, size: Size, open: usize) -> bool {
        self.free(size) < self.ready(size, open)
    }

    fn ready(&self, size: Size, open: usize) -> usize {
        AHEAD + open.min(self.sizes[size as usize].total / 8)
    }

    /// The sizes that run low, first the one that has least of what should be ready: where files are made hardly as fast as they
    /// are used, neither size may go without.
    pub(super) fn low(&self, open: usize) -> Vec<Size> {
        let mut low: Vec<Size> = Size::ALL.into_iter().filter(|size| self.is_low(*size, open)).collect();
        low.sort_by_key(|size| self.free(*size) * 1000 / self.ready(*size, open));
        low
    }

    /// What to do next, most urgent first. `idle` asks for the whole capacity, not only for what is needed soon.
    pub(super) fn growth(&mut self, wanted: Option<Size>, idle: bool) -> Growth {
        let room = self.capacity.saturating_sub(self.allocated());
        let main_first =
            self.sizes[0].bytes * self.sizes[0].total as u64 <= MAIN_SHARE * self.sizes[1].bytes * self.sizes[1].total as u64;
        let order = match (wanted, main_first) {
            (Some(size), _) => vec![size],
            (None, _) if !idle => vec![],
            (None, true) => vec![Size::Main, Size::Sub],
            (None, false) => vec![Size::Sub, Size::Main],
        };
        for size in &order {
            if self.bytes_of(*size) <= room {
                let number = self.next;
                self.next += 1;
                self.growing += self.bytes_of(*size);
                return Growth::Create { number, size: *size };
            }
        }
        if let Some(size) = wanted.filter(|size| self.free(*size) == 0) {
            let other = if size == Size::Main { Size::Sub } else { Size::Main };
            if self.free(other) > AHEAD
                && let Some(remove) = self.class(other).free.pop_back()
            {
                let class = self.class(other);
                class.total = class.total.saturating_sub(1);
                return Growth::Convert { remove, from: other };
            }
        }
        Growth::Enough
    }

    /// Bytes of the configured capacity that the disk did not have.
    pub(super) fn missing(&self) -> u64 {
        self.wanted.saturating_sub(self.capacity)
    }

    /// The disk may have room again: the next growth asks for it.
    pub(super) fn retry(&mut self) {
        self.capacity = self.wanted;
    }

    /// Another capacity is configured. Files that there are stay.
    pub(super) fn resize(&mut self, capacity: u64) {
        if capacity != self.wanted {
            (self.wanted, self.capacity) = (capacity, capacity);
        }
    }

    /// The capacity that is configured.
    pub(super) fn wanted(&self) -> u64 {
        self.wanted
    }

    /// Bytes that segments may take up: what the disk turned out to have.
    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Whether it has files for that many streams of each size at once, each with one to go on in.
    pub(super) fn bears(&self, streams: [usize; 2]) -> bool {
        let spare = |count: usize| if count > 0 { AHEAD } else { 0 };
        let bytes = Size::ALL.map(|size| (streams[size as usize] + spare(streams[size as usize])) as u64 * self.bytes_of(size));
        bytes.iter().sum::<u64>() <= self.capacity.max(self.allocated())
    }

    /// A file that [`Pool::growth`] asked for is there and durable, or could not be made.
    pub(super) fn grown(&mut self, number: u32, size: Size, made: bool) {
        self.growing = self.growing.saturating_sub(self.bytes_of(size));
        if made {
            self.found(number, size, true);
        } else {
            // What the disk does not give now is not asked for again before long.
            self.capacity = self.allocated();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: u64 = 4 << 20;
    const SUB: u64 = 1 << 20;

    fn fill(pool: &mut Pool) {
        while let Growth::Create { number, size } = pool.growth(None, true) {
            pool.grown(number, size, true);
        }
    }

    #[test]
    fn an_idle_pool_grows_to_its_capacity_and_no_further() {
        let mut pool = Pool::new(MAIN, SUB, 64 << 20);
        fill(&mut pool);
        assert!(pool.allocated() <= 64 << 20 && pool.allocated() > (64 << 20) - MAIN);
        assert!(pool.free(Size::Sub) >= 4 && pool.free(Size::Main) >= 12, "both sizes have their share");
    }

    #[test]
    fn files_are_used_in_the_order_in_which_they_became_free() {
        let mut pool = Pool::new(MAIN, SUB, 16 << 20);
        for number in [5, 3, 9] {
            pool.found(number, Size::Main, true);
        }
        assert_eq!(pool.take(Size::Main), Some(5));
        pool.give_back(5, Size::Main);
        assert_eq!([pool.take(Size::Main), pool.take(Size::Main), pool.take(Size::Main)], [Some(3), Some(9), Some(5)]);
        assert_eq!(pool.take(Size::Main), None);
    }

    #[test]
    fn a_size_that_ran_out_gets_room_from_the_other() {
        let mut pool = Pool::new(MAIN, SUB, 32 << 20);
        fill(&mut pool);
        while pool.take(Size::Sub).is_some() {}
        assert!(matches!(pool.growth(Some(Size::Sub), false), Growth::Convert { from: Size::Main, .. }));
        assert!(matches!(pool.growth(Some(Size::Sub), false), Growth::Create { size: Size::Sub, .. }));
    }

    #[test]
    fn neither_size_goes_without_where_files_are_made_hardly_as_fast_as_they_are_used() {
        let mut pool = Pool::new(MAIN, SUB, 1 << 40);
        let (mut starved, open) = ([0; 2], 580);
        for round in 0..4000 {
            let wanted = pool.low(open).first().copied();
            if let Growth::Create { number, size } = pool.growth(wanted, true) {
                pool.grown(number, size, true);
            }
            // Segments of both sizes are sealed: as many in all as are made.
            let size = Size::ALL[round % 2];
            starved[round % 2] += u32::from(pool.take(size).is_none());
        }
        assert!(starved.iter().all(|times| *times < 10), "{starved:?}");
    }

    #[test]
    fn a_disk_that_is_fuller_than_configured_is_not_asked_again() {
        let mut pool = Pool::new(MAIN, SUB, 1 << 40);
        let Growth::Create { number, size } = pool.growth(Some(Size::Main), false) else { panic!("there is room") };
        pool.grown(number, size, false);
        assert_eq!(pool.growth(Some(Size::Main), false), Growth::Enough);
        assert_eq!(pool.missing(), 1 << 40);
        pool.retry();
        assert!(matches!(pool.growth(Some(Size::Main), false), Growth::Create { .. }), "until it is tried anew");
    }

    #[test]
    fn files_sealed_early_make_room_for_more_and_give_way_when_it_is_taken() {
        let mut pool = Pool::new(MAIN, SUB, 16 << 20);
        fill(&mut pool);
        let full = pool.total();
        let number = pool.take(Size::Main).expect("a free one");
        pool.spare(number, 3 << 20);
        assert_eq!(pool.unspare(number), Unspare::Refill);
        pool.spare(number, 3 << 20);
        fill(&mut pool);
        assert!(pool.total() > full && pool.allocated() <= 16 << 20);
        assert_eq!(pool.unspare(number), Unspare::NoRoom);
        pool.removed(number, Size::Main);
        assert!(pool.allocated() <= 16 << 20);
    }
}
