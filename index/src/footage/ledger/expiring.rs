//! Deletion at the end of the term as something that happened: one event a stream and day, whatever number of segments went. It is put
//! together from the same facts as the ledger, and told when it is a day old; so a crash neither loses nor doubles any of it (I7).

use crate::model::{StreamId, UtcMicros, Window};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

const DAY: Duration = Duration::from_secs(86_400);

/// What of each stream went and nobody was told of yet: one entry a stream at most.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Expiring(BTreeMap<StreamId, Day>);

/// What of one stream went since the last event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Day {
    /// When the first of it went.
    since: UtcMicros,
    /// From the oldest of what went to the newest.
    footage: Window,
    /// By which rule the last of it went.
    rule: String,
    segments: u64,
    fragments: u64,
    bytes: u64,
}

impl Expiring {
    /// A segment went at `at`; `record` is what the journal keeps of it.
    pub(super) fn add(&mut self, stream: StreamId, windows: &[Window], rule: &str, at: UtcMicros, record: &Value) {
        let (Some(first), Some(last)) = (windows.first(), windows.last()) else { return };
        let footage = Window::new(first.from, last.to);
        let (since, rule) = (at, rule.to_owned());
        let day =
            self.0.entry(stream).or_insert(Day { since, footage, rule: String::new(), segments: 0, fragments: 0, bytes: 0 });
        let count = |name: &str| record.get(name).and_then(Value::as_u64).unwrap_or(0);
        day.footage = Window::new(day.footage.from.min(footage.from), day.footage.to.max(footage.to));
        day.rule = rule;
        day.segments += 1;
        day.fragments += count("fragments");
        day.bytes += count("bytes");
    }

    /// What is to be told now, as bodies of the event. Nothing is told twice: [`Self::told`] is the other half.
    pub(super) fn due(&self, now: UtcMicros) -> Vec<(StreamId, UtcMicros, Value)> {
        // A clock that was set back keeps nobody waiting for longer.
        let due = self.0.iter().filter(|(_, day)| now.since(day.since).max(day.since.since(now)) >= DAY);
        due.map(|(stream, day)| (*stream, day.since, day.body(*stream, now))).collect()
    }

    /// What began to go `since` then of a stream is told.
    pub(super) fn told(&mut self, stream: StreamId, since: UtcMicros) {
        if self.0.get(&stream).is_some_and(|day| day.since == since) {
            self.0.remove(&stream);
        }
    }
}

impl Day {
    fn body(&self, stream: StreamId, now: UtcMicros) -> Value {
        let Self { footage, rule, segments, .. } = self;
        let (from, to) = (footage.from, footage.to);
        json!({
            "camera": stream.camera, "stream": stream, "rule": rule, "from_us": from, "to_us": to, "since_us": self.since,
            "segments": segments, "fragments": self.fragments, "bytes": self.bytes,
            "text": {
                "zh": format!("{stream} 自 {from} 至 {to} 的录像已按规则（{rule}）于 {now} 前到期删除，共 {segments} 段"),
                "en": format!("Footage of {stream} from {from} to {to} was deleted by rule {rule} until {now}: {segments} segments"),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CameraId, StreamKind};

    fn at(second: i64) -> UtcMicros {
        UtcMicros::from_micros(second * 1_000_000)
    }

    #[test]
    fn a_day_of_deletions_is_one_event_a_stream_and_is_told_once() {
        let stream = StreamId { camera: CameraId::new(3).expect("a number"), kind: StreamKind::Main };
        let mut expiring = Expiring::default();
        for n in 0..100 {
            let window = Window::new(at(n * 600), at(n * 600 + 600));
            expiring.add(
                stream,
                &[window],
                "standard, 30 days",
                at(5_000_000 + n * 600),
                &json!({ "fragments": 600, "bytes": 1000 }),
            );
        }
        assert!(expiring.due(at(5_086_399)).is_empty(), "the day is not over");
        let due = expiring.due(at(5_086_400));
        let [(told, since, body)] = due.as_slice() else { panic!("one event: {due:?}") };
        assert_eq!((*told, body["camera"].as_u64(), body["segments"].as_u64()), (stream, Some(3), Some(100)));
        assert_eq!(
            (body["fragments"].as_u64(), body["from_us"].as_i64(), body["to_us"].as_i64()),
            (Some(60_000), Some(0), Some(60_000_000_000))
        );
        assert!(body["text"]["en"].as_str().expect("a text").contains("deleted by rule standard, 30 days"));
        expiring.told(stream, at(4));
        assert_eq!(expiring.due(at(5_086_400)).len(), 1, "that was about an earlier day");
        expiring.told(stream, *since);
        assert!(expiring.due(at(9_000_000)).is_empty());
        expiring.add(stream, &[Window::new(at(0), at(1))], "standard, 30 days", at(9_000_000), &json!({}));
        assert_eq!(expiring.due(at(8_000_000)).len(), 1, "the clock was set back");
    }
}
