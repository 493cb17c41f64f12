//! Days as people here count them: from midnight to midnight in the node's time zone. On disk and in the API there is UTC only.

use index::model::{UtcMicros, Window};
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};

/// The most days that one question may name.
pub const MAX_DAYS: usize = 400;

/// The zone of that name. China's is known even where the machine has no list of zones.
#[must_use]
pub fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok().or_else(|| (name == "Asia/Shanghai").then(|| TimeZone::fixed(jiff::tz::offset(8))))
}

/// The days that `window` touches, in order, each with the part of it inside the window. `None` if they are more than
/// [`MAX_DAYS`], or beyond the calendar.
#[must_use]
pub fn of(window: Window, zone: &TimeZone) -> Option<Vec<(Date, Window)>> {
    let date = |at: UtcMicros| Some(Timestamp::from_microsecond(at.as_micros()).ok()?.to_zoned(zone.clone()).date());
    let start = |date: Date| {
        let at = date.to_zoned(zone.clone()).ok()?.timestamp();
        Some(UtcMicros::from_micros(at.as_microsecond()))
    };
    let mut days = Vec::new();
    let mut day = date(window.from)?;
    loop {
        let next = day.checked_add(1.day()).ok()?;
        let part = Window::new(start(day)?, start(next)?).intersect(window);
        if part.is_empty() {
            return Some(days);
        }
        if days.len() == MAX_DAYS {
            return None;
        }
        days.push((day, part));
        day = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> UtcMicros {
        UtcMicros::from_micros(text.parse::<Timestamp>().expect("an instant").as_microsecond())
    }

    #[test]
    fn a_day_begins_at_midnight_where_the_node_stands() {
        let zone = zone("Asia/Shanghai").expect("known everywhere");
        let window = Window::new(micros("2026-11-22T20:00:00Z"), micros("2026-11-23T20:00:00Z"));
        let days = of(window, &zone).expect("two days");
        let shown: Vec<_> = days.iter().map(|(day, part)| (day.to_string(), part.duration().as_secs() / 3600)).collect();
        assert_eq!(shown, [("2026-11-23".to_owned(), 20), ("2026-11-24".to_owned(), 4)]);
        assert_eq!((days[0].1.from, days[1].1.to), (window.from, window.to));
    }

    #[test]
    fn a_day_of_a_clock_change_is_as_long_as_it_is() {
        let Some(zone) = TimeZone::get("Europe/Berlin").ok() else { return };
        let window = Window::new(micros("2026-10-24T22:00:00Z"), micros("2026-10-25T23:00:00Z"));
        let days = of(window, &zone).expect("one day");
        assert_eq!((days.len(), days[0].1.duration().as_secs() / 3600), (1, 25));
    }

    #[test]
    fn a_question_about_centuries_is_refused() {
        assert_eq!(of(Window::new(UtcMicros::default(), UtcMicros::MAX), &TimeZone::UTC), None);
    }
}
