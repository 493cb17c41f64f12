//! Questions about cameras of several rooms: every room concerned is asked at once, with one deadline, and what they answer is put together.
//!
//! The answer names each room, whether it answered, and if not why (I9). A page asks again for the cameras of those that are missing, and
//! merges what comes late. Putting together is pure: answers in, one answer out.

use super::{Asked, said};
use crate::refusal::{Refusal, Words};
use index::{
    model::{CameraId, NodeId},
    motion::Order,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

/// How long rooms may take: a page waits, and asks again for those that are missing.
const DEADLINE: Duration = Duration::from_secs(8);
/// The longest answer of one room that is taken.
const MAX_ANSWER: usize = 8 << 20;

/// A room, and whether it answered.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub(super) struct Source {
    node: String,
    name: String,
    /// `current`, `missing` or `refused`.
    state: &'static str,
    /// The cameras that were asked about.
    cameras: Vec<CameraId>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
}

#[derive(Serialize, Clone, PartialEq, Debug)]
struct Reason {
    code: String,
    state: Words,
}

/// The rooms' answers, and what is said of each room.
pub(super) struct Answers {
    pub(super) found: Vec<(NodeId, Value)>,
    pub(super) sources: Vec<Source>,
}

impl Asked {
    /// Asks rooms, each for its cameras, with the query's pairs that `pairs` gives.
    pub(super) async fn ask_all(
        &self,
        rooms: BTreeMap<NodeId, Vec<CameraId>>,
        pairs: impl Fn(NodeId, &[CameraId]) -> Vec<(String, String)>,
    ) -> Answers {
        let asks = rooms.into_iter().map(|(room, cameras)| {
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs(room, &cameras)).finish();
            let uri = format!("{}?{query}", self.parts.uri.path());
            async move {
                let answer = tokio::time::timeout(DEADLINE, self.one(room, &cameras, uri)).await;
                let answer = answer.unwrap_or_else(|_| Err(("missing", reason(said(crate::link::down::No::NoContact)))));
                (room, cameras, answer)
            }
        });
        let mut answers = Answers { found: Vec::new(), sources: Vec::new() };
        for (room, cameras, answer) in futures::future::join_all(asks).await {
            let (state, why) = match answer {
                Ok(value) => {
                    answers.found.push((room, value));
                    ("current", None)
                }
                Err((state, why)) => (state, Some(why)),
            };
            answers.sources.push(Source {
                node: room.to_string(),
                name: super::name(self.authority.node(), room),
                state,
                cameras,
                reason: why,
            });
        }
        answers
    }

    async fn one(&self, room: NodeId, cameras: &[CameraId], uri: String) -> Result<Value, (&'static str, Reason)> {
        let missing = |why: crate::link::down::Unreached| ("missing", reason(said(why.why)));
        let opened = self.put(room, cameras, uri, String::new()).await.map_err(missing)?;
        let status = opened.status;
        let body = opened.body.whole(MAX_ANSWER).await.map_err(missing)?;
        let value: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status == 200 {
            return Ok(value);
        }
        // The room says no: its own words.
        let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
        let state = Words { zh: text(&value["state"]["zh"]).into(), en: text(&value["state"]["en"]).into() };
        Err((if status < 500 { "refused" } else { "missing" }, Reason { code: text(&value["code"]), state }))
    }

    /// The query's pairs, but not these.
    pub(super) fn pairs_but(&self, names: &[&str]) -> Vec<(String, String)> {
        let query = self.parts.uri.query().unwrap_or_default();
        let pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned();
        pairs.filter(|(name, _)| !names.contains(&name.as_str())).collect()
    }
}

fn reason((code, state): (&'static str, Words)) -> Reason {
    Reason { code: code.to_owned(), state }
}

/// Camera numbers as a query has them.
pub(super) fn list(cameras: &[CameraId]) -> String {
    cameras.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Rows of the rooms, in the order in which cameras were asked for; what else they say is as the first one says it.
pub(super) fn rows(empty: Value, answers: Answers, order: &[CameraId]) -> Value {
    let Answers { found, sources } = answers;
    let mut all = Vec::new();
    let mut whole: Option<Value> = None;
    for (_, mut answer) in found {
        all.extend(answer["rows"].as_array_mut().map(std::mem::take).unwrap_or_default());
        whole.get_or_insert(answer);
    }
    let place = |row: &Value| order.iter().position(|camera| row["camera"] == camera.number());
    all.sort_by_key(place);
    let mut whole = whole.unwrap_or(empty);
    whole["rows"] = all.into();
    whole["sources"] = json!(sources);
    whole
}

/// Spans of the rooms, in order, as far as every room that answered has told all of its own.
pub(super) fn motion(empty: Value, answers: Answers, order: Order, limit: usize) -> Value {
    let Answers { found, sources } = answers;
    let key = |span: &Value| {
        let at = span[if order == Order::NewestFirst { "to_us" } else { "from_us" }].as_i64().unwrap_or_default();
        (at, span["camera"].as_u64().unwrap_or_default())
    };
    let before = |a: &(i64, u64), b: &(i64, u64)| match order {
        Order::NewestFirst => Reverse(a).cmp(&Reverse(b)),
        Order::OldestFirst => a.cmp(b),
    };
    let mut spans: Vec<Value> = Vec::new();
    // A room that has more to tell has told nothing of what comes after its last span.
    let mut told_to: Option<(i64, u64)> = None;
    let (mut pictures, mut damaged, mut seen) = (0, 0, Vec::new());
    let (mut from, mut to) = (i64::MIN, i64::MAX);
    for (_, mut answer) in found {
        let own: Vec<Value> = answer["spans"].as_array_mut().map(std::mem::take).unwrap_or_default();
        if let (false, Some(last)) = (answer["next"].is_null(), own.last().map(key)) {
            told_to = Some(told_to.map_or(last, |told| if before(&told, &last).is_le() { told } else { last }));
        }
        spans.extend(own);
        let coverage = &mut answer["coverage"];
        pictures += coverage["pictures"].as_u64().unwrap_or_default();
        damaged += coverage["damaged_bytes"].as_u64().unwrap_or_default();
        from = from.max(coverage["from_us"].as_i64().unwrap_or(from));
        to = to.min(coverage["to_us"].as_i64().unwrap_or(to));
        seen.extend(coverage["cameras"].as_array_mut().map(std::mem::take).unwrap_or_default());
    }
    spans.sort_by(|a, b| before(&key(a), &key(b)));
    let all = spans.len();
    spans.retain(|span| told_to.is_none_or(|told| before(&key(span), &told).is_le()));
    spans.truncate(limit);
    let more = told_to.is_some() || spans.len() < all;
    let last = spans.last().map(key).filter(|_| more);
    if let Some((at, _)) = last {
        match order {
            Order::NewestFirst => from = from.max(at),
            Order::OldestFirst => to = to.min(at),
        }
    }
    let mut whole = empty;
    if from != i64::MIN {
        whole["coverage"]["from_us"] = from.into();
        whole["coverage"]["to_us"] = to.into();
    }
    whole["spans"] = spans.into();
    whole["next"] = last.map(|(at, camera)| format!("{at}.{camera}")).into();
    whole["coverage"]["cameras"] = seen.into();
    whole["coverage"]["pictures"] = pictures.into();
    whole["coverage"]["damaged_bytes"] = damaged.into();
    whole["sources"] = json!(sources);
    whole
}

/// Sums of the rooms: rows about the same place, camera and day are one, and the total is that of all.
pub(super) fn ledger(empty: Value, answers: Answers) -> Value {
    let Answers { found, sources } = answers;
    let mut whole: Option<Value> = None;
    let mut rows: BTreeMap<(String, Option<u64>, String), Value> = BTreeMap::new();
    let mut total: Option<Value> = None;
    for (_, mut answer) in found {
        for row in answer["rows"].as_array_mut().map(std::mem::take).unwrap_or_default() {
            let day = row["day"].as_str().unwrap_or_default().to_owned();
            let key = (row["place"].to_string(), row["camera"].as_u64(), day);
            match rows.get_mut(&key) {
                Some(known) => add_sums(known, &row),
                None => drop(rows.insert(key, row)),
            }
        }
        let sums = answer["total"].take();
        match &mut total {
            Some(total) => add_sums(total, &sums),
            None => total = Some(sums),
        }
        whole.get_or_insert(answer);
    }
    let mut whole = whole.unwrap_or(empty);
    whole["rows"] = rows.into_values().collect();
    whole["total"] = total.unwrap_or_else(no_sums);
    whole["sources"] = json!(sources);
    whole
}

fn no_sums() -> Value {
    json!({ "cameras": 0, "window_s": 0.0, "expected_s": 0.0, "recorded_s": 0.0, "missing_s": 0.0, "partial_s": 0.0, "units_lost": 0,
            "completeness": null, "gaps": {} })
}

fn add_sums(sums: &mut Value, other: &Value) {
    for name in ["cameras", "units_lost"] {
        sums[name] = (sums[name].as_u64().unwrap_or_default() + other[name].as_u64().unwrap_or_default()).into();
    }
    for name in ["window_s", "expected_s", "recorded_s", "missing_s", "partial_s"] {
        sums[name] = (sums[name].as_f64().unwrap_or_default() + other[name].as_f64().unwrap_or_default()).into();
    }
    let mut gaps: Map<String, Value> = sums["gaps"].as_object().cloned().unwrap_or_default();
    for (cause, missing) in other["gaps"].as_object().into_iter().flatten() {
        let known = gaps.get(cause).and_then(Value::as_f64).unwrap_or_default();
        gaps.insert(cause.clone(), (known + missing.as_f64().unwrap_or_default()).into());
    }
    sums["gaps"] = gaps.into();
    let (recorded, expected) = (sums["recorded_s"].as_f64().unwrap_or_default(), sums["expected_s"].as_f64().unwrap_or_default());
    sums["completeness"] = if expected > 0.0 { (recorded / expected).into() } else { Value::Null };
}

/// The words for more rooms than one where one is meant.
pub(super) fn one_room_only() -> Refusal {
    Refusal::bad_request("an export is made in one room: ask for each room's cameras apart").on("cameras")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(found: Vec<Value>) -> Answers {
        let node = |n: usize| NodeId::from_bytes([n as u8; 16]);
        Answers { found: found.into_iter().enumerate().map(|(n, value)| (node(n), value)).collect(), sources: Vec::new() }
    }

    fn spans(list: &[(i64, i64, u32)], next: Option<&str>) -> Value {
        let spans: Vec<Value> =
            list.iter().map(|(from, to, camera)| json!({ "from_us": from, "to_us": to, "camera": camera })).collect();
        let coverage = json!({ "from_us": 0, "to_us": 100, "cameras": [{ "camera": 1 }], "pictures": 5, "damaged_bytes": 1 });
        json!({ "spans": spans, "next": next, "coverage": coverage })
    }

    fn told(answer: &Value) -> Vec<i64> {
        answer["spans"].as_array().expect("a list").iter().filter_map(|span| span["to_us"].as_i64()).collect()
    }

    #[test]
    fn movement_of_several_rooms_is_in_order_and_goes_no_further_than_each_room_has_told() {
        let one = spans(&[(80, 90, 1), (60, 70, 1)], Some("70.1"));
        let other = spans(&[(70, 80, 2), (50, 65, 2), (10, 20, 2)], None);
        let empty = || spans(&[], None);
        let whole = motion(empty(), answers(vec![one.clone(), other.clone()]), Order::NewestFirst, 100);
        assert_eq!(told(&whole), [90, 80, 70], "what lies before 70 may have spans of the first room between");
        assert_eq!((&whole["next"], &whole["coverage"]["from_us"]), (&json!("70.1"), &json!(70)));
        assert_eq!((&whole["coverage"]["pictures"], &whole["coverage"]["damaged_bytes"]), (&json!(10), &json!(2)));
        let page = motion(empty(), answers(vec![one, other]), Order::NewestFirst, 1);
        assert_eq!((told(&page), &page["next"]), (vec![90], &json!("90.1")));
        let all = motion(empty(), answers(vec![spans(&[(10, 20, 2)], None)]), Order::OldestFirst, 100);
        assert_eq!((told(&all), &all["next"], &all["coverage"]["to_us"]), (vec![20], &Value::Null, &json!(100)));
        assert_eq!(motion(empty(), answers(Vec::new()), Order::NewestFirst, 9)["spans"], json!([]));
    }

    #[test]
    fn sums_of_several_rooms_are_the_sums_of_their_sums() {
        let sums = |expected: f64, recorded: f64, place: &str| {
            let sums = json!({ "place": [place], "cameras": 2, "window_s": expected, "expected_s": expected, "recorded_s": recorded,
                "missing_s": expected - recorded, "partial_s": 0.0, "units_lost": 1, "completeness": recorded / expected,
                "gaps": { "restart": expected - recorded } });
            json!({ "zone": "Asia/Shanghai", "rows": [sums.clone()], "total": sums })
        };
        let whole =
            ledger(Value::Null, answers(vec![sums(100.0, 90.0, "东苑"), sums(300.0, 210.0, "西苑"), sums(100.0, 100.0, "东苑")]));
        assert_eq!(whole["rows"].as_array().map(Vec::len), Some(2));
        assert_eq!((&whole["total"]["completeness"], &whole["total"]["cameras"]), (&json!(0.8), &json!(6)));
        assert_eq!((&whole["total"]["gaps"]["restart"], &whole["rows"][0]["completeness"]), (&json!(100.0), &json!(0.95)));
        let none = ledger(json!({ "zone": "" }), answers(Vec::new()));
        assert_eq!((&none["rows"], &none["total"]["completeness"]), (&json!([]), &Value::Null));
    }

    #[test]
    fn rows_come_in_the_order_asked_for() {
        let row = |camera: u32| json!({ "as_of_us": 7, "rows": [{ "camera": camera }] });
        let order: Vec<CameraId> = [3, 1].map(|n| CameraId::new(n).expect("a number")).into();
        let whole = rows(Value::Null, answers(vec![row(1), row(3)]), &order);
        assert_eq!((&whole["rows"], &whole["as_of_us"]), (&json!([{ "camera": 3 }, { "camera": 1 }]), &json!(7)));
    }
}
