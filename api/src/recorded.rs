//! Recorded footage of one stream in a window, as a list of fragments that players can begin with.

use crate::{
    node::Shared,
    refusal::{Refusal, words},
};
use axum::http::StatusCode;
use index::{
    access::Permit,
    footage::{FragmentRef, ReadError, Reader},
    model::{MediaTicks, StreamId, Tracks, UtcMicros, Window},
};
use std::{sync::Arc, time::Duration};

/// How far before a wanted instant its key unit may lie: the longest interval between key units that is looked for. The
/// access record names the window from there, because the lead-in leaves too.
pub const LEAD_IN: Duration = Duration::from_secs(10);
/// Two fragments belong together if no more than this lies between them; more is a gap.
const JOINT: Duration = Duration::from_millis(500);

/// The window that a permit must cover to play `window` from its first picture on.
#[must_use]
pub fn with_lead_in(window: Window) -> Window {
    Window::new(window.from - LEAD_IN, window.to)
}

/// Fragments with what decodes them.
pub struct Footage {
    /// What reads them.
    pub reader: Arc<Reader>,
    /// In order of time; the first begins with a key unit.
    pub parts: Vec<Part>,
}

/// A fragment of a [`Footage`].
#[derive(Clone)]
pub struct Part {
    /// Where it is.
    pub fragment: FragmentRef,
    /// What decodes it.
    pub tracks: Arc<Tracks>,
    /// Whether it continues the part before it: no gap lies between, and the same tracks decode it.
    pub continues: bool,
}

impl Footage {
    /// The fragments of `window` of a stream, beginning with the last key unit at or before its start, or the first one
    /// after it. Blocking.
    ///
    /// # Errors
    /// If the permit does not cover it, or the disk refuses.
    pub fn open(node: &Shared, permit: &Permit, stream: StreamId, window: Window) -> Result<Self, ReadError> {
        let reader = Arc::new(node.store.read(permit)?);
        let found = reader.fragments(stream, with_lead_in(window));
        let start =
            found.iter().rposition(|f| f.starts_with_key && f.window.from <= window.from && reaches(&found, f, window.from));
        let start = start.or_else(|| found.iter().position(|f| f.starts_with_key && f.window.to > window.from));
        let mut parts: Vec<Part> = Vec::new();
        for fragment in found.into_iter().skip(start.unwrap_or(usize::MAX)) {
            let before = parts.last();
            let joined = before.is_some_and(|p| fragment.window.from.since(p.fragment.window.to) <= JOINT);
            // After a gap, units that need others before it cannot be shown.
            if !joined && !fragment.starts_with_key {
                continue;
            }
            let tracks = match before.filter(|part| part.fragment.segment == fragment.segment) {
                Some(part) => Arc::clone(&part.tracks),
                None => reader.tracks(&fragment)?,
            };
            let continues = joined && before.is_some_and(|part| part.tracks == tracks);
            parts.push(Part { fragment, tracks, continues });
        }
        Ok(Self { reader, parts })
    }
}

/// Whether footage runs from `key` on to `at` without a gap.
fn reaches(found: &[FragmentRef], key: &FragmentRef, at: UtcMicros) -> bool {
    let between = found.iter().filter(|f| f.window.from >= key.window.from && f.window.from <= at);
    let mut end = key.window.to;
    for fragment in between {
        if fragment.window.from.since(end) > JOINT {
            return false;
        }
        end = end.max(fragment.window.to);
    }
    end > at
}

/// An instant on a media timeline that begins at `origin`, in 1/90 000 s; 0 before it.
#[must_use]
pub fn ticks(at: UtcMicros, origin: UtcMicros) -> u64 {
    u64::try_from(MediaTicks::from_micros(at.micros_from(origin)).get()).unwrap_or(0)
}

/// What a failed read means to whoever asked.
#[must_use]
pub fn unreadable(error: &ReadError) -> Refusal {
    match error {
        ReadError::NotPermitted { .. } => Refusal::not_allowed("the access record does not cover that time"),
        ReadError::Gone { .. } => Refusal::new(
            StatusCode::GONE,
            "footage_gone",
            words("该段录像已到期删除", "This footage has reached the end of its term and was removed"),
            words("请在时间轴上选择其他时段", "Choose another time on the timeline"),
        ),
        ReadError::Damaged { .. } | ReadError::Io { .. } => {
            tracing::error!(error = %error, "footage cannot be read");
            Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "footage_unreadable",
                words(
                    "该段录像无法从磁盘读出；其余录像不受影响",
                    "This footage cannot be read from its disk; other footage is not affected",
                ),
                words("请管理员查看健康页面中的磁盘状态", "An administrator checks the disk on the health page"),
            )
        }
    }
}

/// 404: nothing is recorded then.
#[must_use]
pub fn nothing_recorded() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "nothing_recorded",
        words("该时段没有录像", "Nothing is recorded in that time"),
        words("时间轴上标有缺失原因", "The timeline says why"),
    )
}
