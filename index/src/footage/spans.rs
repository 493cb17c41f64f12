//! Sets of time as sorted windows that do not touch.

use crate::model::Window;
use std::time::Duration;

/// Two recorded windows closer than this are one. The clock that dates pictures is slewed towards the cameras' own, so the end
/// of a fragment and the start of the next differ by milliseconds although no picture is missing; what is missing is reported
/// as a loss of its own.
pub(super) const JOIN: Duration = Duration::from_millis(300);

/// Adds `span` to a set that is sorted by start, merging what overlaps or is closer than [`JOIN`].
pub(super) fn join(set: &mut Vec<Window>, span: Window) {
    if span.is_empty() {
        return;
    }
    // Nearly always at the end.
    let at = set.iter().rposition(|other| other.from <= span.from).map_or(0, |before| before + 1);
    set.insert(at, span);
    let mut at = at.saturating_sub(1);
    while at + 1 < set.len() {
        if set[at + 1].from <= set[at].to + JOIN {
            set[at].to = set[at].to.max(set[at + 1].to);
            set.remove(at + 1);
        } else if set[at].from > span.to + JOIN {
            break;
        } else {
            at += 1;
        }
    }
}

/// Takes `gone` out of a set.
pub(super) fn cut(set: &mut Vec<Window>, gone: Window) {
    let parts = |span: &Window| [Window::new(span.from, span.to.min(gone.from)), Window::new(span.from.max(gone.to), span.to)];
    let left: Vec<_> = set.iter().flat_map(parts).filter(|part| !part.is_empty()).collect();
    *set = left;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UtcMicros;
    use proptest::prelude::*;

    fn window(from: i64, to: i64) -> Window {
        Window::new(UtcMicros::from_micros(from), UtcMicros::from_micros(to))
    }

    proptest! {
        #[test]
        fn a_set_is_sorted_apart_and_holds_every_instant_put_in(spans in prop::collection::vec((0i64..40_000_000, 1i64..3_000_000), 0..40)) {
            let mut set = Vec::new();
            for (from, len) in &spans {
                join(&mut set, window(*from, from + len));
            }
            for pair in set.windows(2) {
                prop_assert!(pair[0].to + JOIN < pair[1].from);
            }
            for (from, len) in &spans {
                prop_assert!(set.iter().any(|span| span.covers(window(*from, from + len))));
            }
        }
    }
}
