//! Which cells of a picture: 32 × 18 of them, row by row from the upper left corner.

use std::fmt;

/// Cells in a row.
pub const COLUMNS: usize = 32;
/// Rows of cells.
pub const ROWS: usize = 18;
/// Cells of a picture.
pub const CELLS: usize = COLUMNS * ROWS;

const WORDS: usize = CELLS / 64;

/// A set of cells: what moved in a picture, or a region that somebody drew.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Grid([u64; WORDS]);

impl Grid {
    /// No cell.
    pub const EMPTY: Self = Self([0; WORDS]);
    /// Every cell.
    pub const ALL: Self = Self([u64::MAX; WORDS]);

    /// Adds a cell, 0 to 575; others are ignored.
    pub fn set(&mut self, cell: usize) {
        if let Some(word) = self.0.get_mut(cell / 64) {
            *word |= 1 << (cell % 64);
        }
    }

    /// Whether a cell is in it.
    #[must_use]
    pub fn has(&self, cell: usize) -> bool {
        self.0.get(cell / 64).is_some_and(|word| word >> (cell % 64) & 1 == 1)
    }

    /// Whether it has no cell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// How many cells it has.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether both have a cell in common.
    #[must_use]
    pub fn touches(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }

    /// Adds the cells of another.
    pub fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }

    /// Its cells, in order.
    pub fn cells(&self) -> impl Iterator<Item = usize> {
        (0..WORDS).flat_map(move |word| {
            let mut left = self.0[word];
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                (left != 0).then(|| {
                    left &= left - 1;
                    word * 64 + bit
                })
            })
        })
    }

    /// The cells that a polygon touches. Its corners are shares of the picture's width and height, 0 to 1, in order around it; two
    /// make a line, one a point. `None` for no corner, more than 64, or one outside the picture.
    #[must_use]
    pub fn polygon(corners: &[(f32, f32)]) -> Option<Self> {
        let within = |share: f32| (0.0..=1.0).contains(&share);
        if corners.is_empty() || corners.len() > 64 || !corners.iter().all(|(x, y)| within(*x) && within(*y)) {
            return None;
        }
        let at = |x: f32, y: f32| {
            let cell = |share: f32, cells: usize| ((share * cells as f32) as usize).min(cells - 1);
            cell(y, ROWS) * COLUMNS + cell(x, COLUMNS)
        };
        let mut grid = Self::EMPTY;
        let edges = || corners.iter().zip(corners.iter().cycle().skip(1));
        // Steps of an eighth of a cell: no cell that an edge crosses by more than that is passed over.
        const STEPS: usize = COLUMNS * 8;
        for ((x0, y0), (x1, y1)) in edges() {
            for step in 0..=STEPS {
                let share = step as f32 / STEPS as f32;
                grid.set(at(x0 + (x1 - x0) * share, y0 + (y1 - y0) * share));
            }
        }
        for cell in 0..CELLS {
            let (x, y) = ((cell % COLUMNS) as f32 + 0.5, (cell / COLUMNS) as f32 + 0.5);
            let (x, y) = (x / COLUMNS as f32, y / ROWS as f32);
            // A ray to the right crosses the outline an odd number of times from inside.
            let crossings =
                edges().filter(|((x0, y0), (x1, y1))| (*y0 > y) != (*y1 > y) && x < x0 + (y - y0) / (y1 - y0) * (x1 - x0));
            if crossings.count() % 2 == 1 {
                grid.set(cell);
            }
        }
        Some(grid)
    }
}

impl FromIterator<usize> for Grid {
    fn from_iter<T: IntoIterator<Item = usize>>(cells: T) -> Self {
        let mut grid = Self::EMPTY;
        cells.into_iter().for_each(|cell| grid.set(cell));
        grid
    }
}

impl fmt::Debug for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.cells().map(|cell| (cell % COLUMNS, cell / COLUMNS))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polygon_takes_the_cells_that_it_touches() {
        let left = Grid::polygon(&[(0.0, 0.0), (0.49, 0.0), (0.49, 1.0), (0.0, 1.0)]).expect("a polygon");
        assert_eq!(left.count(), 16 * ROWS);
        assert!(left.has(0) && left.has(15) && !left.has(16));
        let triangle = Grid::polygon(&[(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]).expect("a polygon");
        assert!(triangle.has(0) && triangle.has(31) && triangle.has(17 * 32) && !triangle.has(17 * 32 + 31));
        let point = Grid::polygon(&[(1.0, 1.0)]).expect("a point");
        assert_eq!(point.cells().collect::<Vec<_>>(), [CELLS - 1]);
        assert_eq!(Grid::polygon(&[(0.0, 0.5), (1.0, 0.5)]).expect("a line").count(), COLUMNS);
    }

    #[test]
    fn what_is_no_polygon_in_the_picture_is_refused() {
        for corners in [&[][..], &[(0.5, 1.1)], &[(f32::NAN, 0.0)], &[(0.0, 0.0); 65]] {
            assert_eq!(Grid::polygon(corners), None, "{corners:?}");
        }
    }

    #[test]
    fn a_grid_is_the_set_of_its_cells() {
        let cells = [0, 63, 64, 300, 575];
        let grid: Grid = cells.into_iter().collect();
        assert_eq!(grid.cells().collect::<Vec<_>>(), cells);
        assert_eq!((grid.count(), grid.has(300), grid.has(301)), (5, true, false));
        assert!(grid.touches(&Grid::ALL) && !grid.touches(&Grid::EMPTY));
    }
}
