//! What the node notices about itself: the disk that its history lives on, and its clock. Pure; [`crate::room`] looks every ten
//! seconds.

use index::{
    events::{Event, Kind, Severity, Text},
    model::UtcMicros,
};
use std::time::{Duration, Instant};

/// Below this share of the disk, or below [`LEAST_BYTES`], it is called full: the journal still has hours, and somebody must act.
const LEAST_SHARE: f64 = 0.02;
const LEAST_BYTES: u64 = 512 << 20;
/// A step of the clock by less is what disciplining it looks like.
const STEP: Duration = Duration::from_secs(1);

/// What was seen last.
#[derive(Debug)]
pub struct Own {
    full: bool,
    clock: (UtcMicros, Instant),
}

/// Room on the disk of the state directory.
#[derive(Clone, Copy, Debug)]
pub struct DiskRoom {
    /// Bytes that this user may still write.
    pub free: u64,
    /// Bytes that there are.
    pub total: u64,
}

impl Own {
    /// Begins to look.
    #[must_use]
    pub fn new(now: UtcMicros, monotonic: Instant) -> Self {
        Self { full: false, clock: (now, monotonic) }
    }

    /// What is new; told when it begins and when it is over.
    pub fn look(&mut self, room: Option<DiskRoom>, now: UtcMicros, monotonic: Instant) -> Vec<Event> {
        room.and_then(|room| self.disk(room, now)).into_iter().chain(self.stepped(now, monotonic)).collect()
    }

    fn disk(&mut self, room: DiskRoom, now: UtcMicros) -> Option<Event> {
        let least = ((room.total as f64 * LEAST_SHARE) as u64).max(LEAST_BYTES).min(room.total / 2);
        // Over only when there is half as much again, so that a file that comes and goes is not told of each time.
        let full = room.free < if self.full { least + least / 2 } else { least };
        if full == std::mem::replace(&mut self.full, full) {
            return None;
        }
        let mib = room.free >> 20;
        let (text, severity) = if full {
            let zh = format!("状态目录所在磁盘仅剩 {mib} MiB：写满后事件与调阅登记将无法保存，视频将不可查看；请清理或扩容");
            let en = format!(
                "The disk of the state directory has {mib} MiB left: when it is full, events and access records cannot be kept and no video is shown; free some space"
            );
            (Text { zh, en }, Kind::DiskFull.severity())
        } else {
            let text = Text {
                zh: format!("状态目录所在磁盘恢复到 {mib} MiB"),
                en: format!("The disk of the state directory has {mib} MiB again"),
            };
            (text, Severity::Info)
        };
        Some(Event { text, severity, ..Event::new(now, Kind::DiskFull) })
    }

    fn stepped(&mut self, now: UtcMicros, monotonic: Instant) -> Option<Event> {
        let (then, since) = std::mem::replace(&mut self.clock, (now, monotonic));
        let passed = i64::try_from(monotonic.duration_since(since).as_micros()).unwrap_or(i64::MAX);
        let by = now.micros_from(then).saturating_sub(passed);
        if by.unsigned_abs() < STEP.as_micros() as u64 {
            return None;
        }
        let seconds = by as f64 / 1e6;
        let text = Text {
            zh: format!("系统时钟跳变 {seconds:+.1} 秒：请检查对时服务"),
            en: format!("The system's clock stepped by {seconds:+.1} s: look at the time service"),
        };
        let mut event = Event { text, ..Event::new(now, Kind::NodeClock) };
        event.attributes.insert("by_ms".to_owned(), (by / 1000).into());
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UtcMicros = UtcMicros::from_micros(1_800_000_000_000_000);

    #[test]
    fn a_disk_that_fills_is_told_of_once_and_when_it_is_over() {
        let begin = Instant::now();
        let mut own = Own::new(NOW, begin);
        let mut told = |free_mib: u64| {
            let room = DiskRoom { free: free_mib << 20, total: 100 << 30 };
            own.look(Some(room), NOW, begin).into_iter().map(|event| (event.kind, event.severity)).next()
        };
        assert_eq!(told(50_000), None);
        assert_eq!(told(2_000), Some((Kind::DiskFull, Severity::Alarm)));
        assert_eq!(told(1_900), None);
        assert_eq!(told(2_100), None, "a little more is not yet good");
        assert_eq!(told(3_200), Some((Kind::DiskFull, Severity::Info)));
    }

    #[test]
    fn a_clock_that_steps_is_told_of_with_how_far() {
        let begin = Instant::now();
        let mut own = Own::new(NOW, begin);
        let mut by_ms = |utc_ms: i64, passed_ms: u64| {
            let now = UtcMicros::from_micros(NOW.as_micros() + utc_ms * 1000);
            let told = own.look(None, now, begin + Duration::from_millis(passed_ms));
            told.first().map(|event| event.attributes["by_ms"].clone())
        };
        assert_eq!(by_ms(10_050, 10_000), None);
        assert_eq!(by_ms(3_620_050, 20_000), Some(3_600_000.into()));
        assert_eq!(by_ms(3_630_050, 30_000), None);
        assert_eq!(by_ms(40_050, 40_000), Some((-3_600_000).into()));
    }
}
