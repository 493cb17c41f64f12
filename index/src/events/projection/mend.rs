//! Days of the index that do not work are moved aside and made again from the journals, while the others serve.

use super::{
    super::day::{Day, day_of},
    super::glimpse::Glimpse,
    IndexError, Marks, day_dirs, day_name,
    follower::{Follower, filed_at},
    late::Late,
    lock,
};
use crate::{durable::FileError, journal::Seq};
use std::{
    fs,
    ops::ControlFlow,
    sync::{PoisonError, atomic::Ordering},
};
use tantivy::TantivyError;

impl Follower {
    /// A day that does not work is moved out of the way, for whoever wants to know why, and made again.
    pub(super) fn set_aside(&mut self, number: i64, why: &str) {
        self.shared.days.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
        self.days.remove(&number);
        self.touched.remove(&number);
        self.late.drop_day(number);
        let path = self.shared.root.join(day_name(number));
        let aside = self.shared.root.join(format!("aside-{}", day_name(number)));
        let _ = fs::remove_dir_all(&aside);
        let moved = fs::rename(&path, &aside).or_else(|_| fs::remove_dir_all(&path));
        tracing::error!(
            day = day_name(number),
            why,
            moved = moved.is_ok(),
            "a day of the event index does not work; it is made anew from the journal"
        );
        self.broken.insert(number);
    }

    /// What was added and not committed is gone with the writers; the days know how far they are complete.
    pub(super) fn abandon(&mut self) {
        let root = self.shared.root.clone();
        for number in std::mem::take(&mut self.touched).into_keys() {
            self.days.remove(&number);
            match Day::open(&root.join(day_name(number)), self.order()) {
                Ok(day) => self.publish(number, day),
                Err(error) => self.set_aside(number, &error.to_string()),
            }
        }
        self.late = Late::default();
        self.marks = self.shared.progress.told();
        (self.waiting, self.waiting_since) = (0, None);
    }

    /// Makes broken days anew from the journal's files that can hold events of theirs.
    pub(super) fn repair(&mut self) -> Result<(), IndexError> {
        let suspects = std::mem::take(&mut *lock(&self.shared.suspects));
        for number in suspects {
            if self.days.contains_key(&number) {
                self.set_aside(number, "a question could not be answered from it");
            }
        }
        if self.broken.is_empty() {
            return Ok(());
        }
        self.shared.progress.rebuilding.store(true, Ordering::Relaxed);
        if self.waiting > 0 {
            self.commit()?;
        }
        while let Some(number) = self.broken.first().copied() {
            self.remake(number)?;
            self.broken.remove(&number);
            tracing::info!(day = day_name(number), "a day of the event index was made anew");
        }
        self.shared.progress.rebuilding.store(false, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn remake(&mut self, number: i64) -> Result<(), IndexError> {
        let path = self.shared.root.join(day_name(number));
        let failed = |source| IndexError::Index { path: path.clone(), source };
        if path.exists() {
            fs::remove_dir_all(&path).map_err(|source| FileError { doing: "remove", path: path.clone(), source })?;
        }
        let mut day = Day::open(&path, self.order()).map_err(failed)?;
        let mut result = Ok(());
        for source in self.shared.sources.list() {
            let to = self.marks.of(source.origin).seq;
            source.history.visit(Seq::new(1), to, &mut |seen| {
                if let Some(glimpse) = Glimpse::of(seen)
                    && let time = filed_at(&glimpse, source.origin)
                    && day_of(time) == number
                    && let Err(error) = day.add(&glimpse, source.origin, time)
                {
                    result = Err(error);
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })?;
        }
        result.and_then(|()| day.rest(&self.marks.reached())).map_err(failed)?;
        self.publish(number, day);
        Ok(())
    }

    /// Makes all of it anew, because a person had the copy of a node begun anew: what the index has of the earlier one is of no journal
    /// any more.
    pub(super) fn start_anew(&mut self) -> Result<(), IndexError> {
        tracing::warn!(path = %self.shared.root.display(), "a copy was begun anew, so the index of events is made anew from all journals");
        self.shared.days.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.days.clear();
        self.touched.clear();
        self.late = Late::default();
        self.broken.clear();
        self.marks = Marks::none();
        (self.waiting, self.waiting_since) = (0, None);
        self.shared.progress.tell(&self.marks);
        self.discard_all()?;
        self.note()
    }

    pub(super) fn discard_all(&self) -> Result<(), IndexError> {
        for (_, path) in day_dirs(&self.shared.root) {
            fs::remove_dir_all(&path).map_err(|source| FileError { doing: "remove", path, source })?;
        }
        Ok(())
    }
}

/// Whether an error says that the files are not an index, rather than that the disk is full or refuses.
pub(super) fn is_damage(error: &TantivyError) -> bool {
    !matches!(error, TantivyError::IoError(_) | TantivyError::LockFailure(..) | TantivyError::OpenDirectoryError(_))
}
