//! The days' directories: each is named by its date.

use crate::model::UtcMicros;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// `2026-11-23` for a day's number.
pub(in crate::events) fn day_name(number: i64) -> String {
    let text = UtcMicros::from_micros(number * 86_400_000_000).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// The days' directories, oldest first.
pub(in crate::events) fn day_dirs(root: &Path) -> Vec<(i64, PathBuf)> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let mut days: Vec<(i64, PathBuf)> =
        entries.filter_map(|entry| Some((day_number(entry.file_name().to_str()?)?, entry.path()))).collect();
    days.sort();
    days
}

fn day_number(name: &str) -> Option<i64> {
    let date: jiff::civil::Date = name.parse().ok()?;
    let number = jiff::civil::Date::constant(1970, 1, 1).until(date).ok()?.get_days();
    (day_name(i64::from(number)) == name).then_some(i64::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_named_by_its_date() {
        for name in ["1970-01-01", "2026-11-23", "2028-02-29"] {
            assert_eq!(day_number(name).map(day_name).as_deref(), Some(name));
        }
        assert_eq!(day_number("aside-2026-11-23"), None);
        assert_eq!(day_number("2026-11-31"), None);
    }
}
