//! People in front of a room: the whole node with HTTPS, a fleet before it, and the checker behind what it serves.

use crate::node::{Client, Heard, Node, nals, sha256};
use fleet::{Checker, Report};
use index::model::{StreamId, StreamKind, UtcMicros, VideoCodec, Window};
use serde_json::{Value, json};
use std::{process::Command, time::Duration};

/// What two seconds of a tiny camera's fragments are checked with.
fn check(node: &Node, name: &str, bytes: &[u8], window: Window) -> Report {
    let mut checker = Checker::new();
    checker.file(name, bytes);
    let stream = StreamId::new(1.try_into().expect("a number"), StreamKind::Main);
    let sent = node.fleet.sent(stream).expect("a camera");
    checker.report(Some(&[sent]), window)
}

fn window(from_us: i64, to_us: i64) -> Window {
    Window::new(UtcMicros::from_micros(from_us), UtcMicros::from_micros(to_us))
}

/// Whether nothing was lost, doubled, moved or changed.
fn assert_good(report: &Report, what: &str) {
    assert!(report.is_good(), "{what}: {report}");
    assert!(report.streams.iter().any(|stream| stream.present >= 25), "{what} has pictures: {report}");
}

/// A second within the recording on both sides, so that a window's edges are not counted as losses.
const EDGE: i64 = 1_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_watches_plays_back_takes_a_still_and_exports_what_was_sent() {
    let node = Node::start(2).await;
    let operator = node.sign_in("operator").await;
    operator.until_recorded(1, Duration::from_secs(6)).await;
    live_pictures_come_at_once_and_are_those_sent(&node, &operator).await;
    let (from, to) = operator.recorded(1).await;
    playback_by_fragments_is_what_was_sent(&node, &operator, from, to).await;
    a_file_by_ranges_is_the_file(&node, &operator, from, to).await;
    hls_plays(&node, &operator, from, to).await;
    stills_and_key_units_are_pictures(&operator, from + 2 * EDGE).await;
    an_export_is_what_was_sent(&node, &operator, from, to).await;
    everything_stands_in_the_register(&node).await;
    node.stop().await;
}

async fn live_pictures_come_at_once_and_are_those_sent(node: &Node, operator: &Client) {
    let mut socket = operator.socket().await;
    socket.say(json!({ "op": "sub", "ch": 1, "camera": 1, "tier": "main" })).await;
    socket.say(json!({ "op": "sub", "ch": 2, "camera": 2, "tier": "key" })).await;
    socket.say(json!({ "op": "sub", "ch": 3, "camera": 99, "tier": "key" })).await;
    let mut checker = Checker::new();
    let (mut order, mut errors, mut keys) = (Vec::new(), Vec::new(), 0);
    while order.len() < 60 || keys < 2 {
        let frame = match socket.next().await {
            Heard::Text(text) => {
                if text["op"] == "error" {
                    errors.push((text["ch"].clone(), text["code"].clone()));
                }
                continue;
            }
            Heard::Frame(frame) => frame,
        };
        let (kind, channel) = (frame[1], u16::from_be_bytes([frame[2], frame[3]]));
        if channel == 2 {
            assert!(kind != 2, "the key tier sends key units only");
            keys += usize::from(kind == 1);
        } else {
            order.push(kind);
            if kind == 1 || kind == 2 {
                checker.unit(VideoCodec::H264, &nals(&frame[20..]));
            }
        }
    }
    assert_eq!(order[..2], [0, 1], "first what decodes it, then a key unit: {order:?}");
    assert_eq!(errors, [(json!(3), json!("not_found"))], "a camera that does not exist has no pictures");
    let report = checker.report(None, window(0, i64::MAX));
    assert_good(&report, "live");
    let auditor = node.sign_in("auditor").await;
    let lasting = auditor.get_json("/api/v1/access-records?action=live&camera=1").await;
    assert_eq!(lasting["records"][0]["ended_us"], Value::Null, "the record is there while the pictures run");
    socket.close().await;
    let ended = auditor.until("/api/v1/access-records?action=live&camera=1", |page| !page["records"][0]["ended_us"].is_null());
    assert!(ended.await["records"][0]["bytes"].as_u64() > Some(1000), "the record ends with the bytes that left");
}

async fn playback_by_fragments_is_what_was_sent(node: &Node, operator: &Client, from: i64, to: i64) {
    let list = operator.get_json(&format!("/api/v1/fragments/1/main?from_us={from}&to_us={to}")).await;
    let fragments = list["fragments"].as_array().expect("a list");
    assert_eq!(fragments[0]["key"], true, "a player can begin");
    let mut file = Vec::new();
    let mut init = "";
    for fragment in fragments {
        let uri = fragment["init"].as_str().expect("an address");
        if uri != init {
            file.extend(operator.get_bytes(uri).await);
            init = uri;
        }
        let bytes = operator.get_bytes(fragment["uri"].as_str().expect("an address")).await;
        assert_eq!(Some(bytes.len() as u64), fragment["bytes"].as_u64());
        file.extend(bytes);
    }
    assert_good(&check(node, "fragments", &file, window(from + EDGE, to - EDGE)), "playback");
}

async fn a_file_by_ranges_is_the_file(node: &Node, operator: &Client, from: i64, to: i64) {
    let path = format!("/api/v1/footage/1/main.mp4?from_us={from}&to_us={to}");
    let whole = operator.get_bytes(&path).await;
    let mut parts = Vec::new();
    for start in (0..whole.len()).step_by(70_001) {
        let end = (start + 70_000).min(whole.len() - 1);
        let answer = operator.get(&path, Some(&format!("bytes={start}-{end}"))).await;
        assert_eq!(answer.status(), 206);
        assert_eq!(answer.headers()["content-range"], format!("bytes {start}-{end}/{}", whole.len()));
        parts.extend(answer.bytes().await.expect("a body"));
    }
    assert!(parts == whole, "ranges put together are the file");
    assert_good(&check(node, "main.mp4", &whole, window(from + EDGE, to - EDGE)), "the file");
    let beyond = operator.get(&path, Some(&format!("bytes={}-", whole.len()))).await;
    assert_eq!(beyond.status(), 416);
}

async fn hls_plays(node: &Node, operator: &Client, from: i64, to: i64) {
    let url = format!("https://{}/api/v1/footage/1/main.m3u8?from_us={from}&to_us={to}", node.room.address);
    let cookie = format!("Cookie: {}\r\n", operator.cookie);
    let probe = tokio::task::spawn_blocking(move || {
        let wanted = [
            "-v",
            "error",
            "-count_packets",
            "-select_streams",
            "v",
            "-show_entries",
            "stream=nb_read_packets,width",
            "-of",
            "json",
        ];
        Command::new("ffprobe").args(["-headers", &cookie]).args(wanted).arg(&url).output().expect("ffprobe is installed")
    });
    let probe = probe.await.expect("it ran");
    let found: Value = serde_json::from_slice(&probe.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&probe.stderr).into_owned();
    let packets: u64 = found["streams"][0]["nb_read_packets"].as_str().and_then(|n| n.parse().ok()).unwrap_or(0);
    let pictures = (to - from) as u64 * 25 / 1_000_000;
    assert!(packets + 2 >= pictures, "{packets} of {pictures} pictures by HLS; ffprobe said: {said}");
}

async fn stills_and_key_units_are_pictures(operator: &Client, at: i64) {
    let jpeg = operator.get_bytes(&format!("/api/v1/stills/1?at_us={at}&width=160")).await;
    assert_eq!(jpeg[..3], [0xff, 0xd8, 0xff]);
    let unit = operator.get_bytes(&format!("/api/v1/stills/1?at_us={at}&format=unit")).await;
    assert!(nals(&unit).iter().any(|nal| nal[0] & 0x1f == 5), "a key unit has an IDR picture");
    let newest = operator.get_bytes("/api/v1/stills/2").await;
    assert_eq!(newest[..3], [0xff, 0xd8, 0xff]);
    let wants = json!({ "stream": "sub", "wants": [{ "camera": 1, "at_us": [at, at + EDGE, 1_000_000] }, { "camera": 2, "at_us": [at] }] });
    let answer = operator.post("/api/v1/key-units", &wants).await;
    assert_eq!(answer.status(), 200);
    let bytes = answer.bytes().await.expect("a body");
    let mut rest = &bytes[..];
    let mut records = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let (record, tail) = tail.split_at(u32::from_be_bytes(*length) as usize);
        records.push((record[3], record[20], record.len() - 21));
        rest = tail;
    }
    let kinds: Vec<_> = records.iter().map(|(camera, kind, length)| (*camera, *kind, *length > 0)).collect();
    assert_eq!(
        kinds,
        [(1, 0, true), (1, 1, true), (2, 0, true), (2, 1, true), (1, 1, true), (1, 1, false)],
        "an init before a camera's first unit; nothing for an instant without footage"
    );
}

async fn an_export_is_what_was_sent(node: &Node, operator: &Client, from: i64, to: i64) {
    let wish = json!({ "cameras": [1, 2], "stream": "main", "from_us": from, "to_us": to, "reason": "派出所依法调取", "case": "通公调字2026第11号" });
    let begun = operator.post("/api/v1/exports", &wish).await;
    assert_eq!(begun.status(), 202);
    let id = begun.json::<Value>().await.expect("JSON")["id"].as_str().expect("a name").to_owned();
    let unfinished = |job: &Value| job["state"] == "queued" || job["state"] == "running";
    let done = operator.until(&format!("/api/v1/exports/{id}"), |job| !unfinished(job)).await;
    assert_eq!(done["state"], "done", "{done}");
    let manifest = operator.get_json(done["manifest"].as_str().expect("an address")).await;
    assert_eq!(manifest["case"], "通公调字2026第11号");
    for (n, file) in done["files"].as_array().expect("files").iter().enumerate() {
        let bytes = operator.get_bytes(file["uri"].as_str().expect("an address")).await;
        assert_eq!(manifest["files"][n]["sha256"], sha256(&bytes), "the sum is the file's");
        if n == 0 {
            assert_good(&check(node, "export", &bytes, window(from + EDGE, to - EDGE)), "the export");
        }
    }
    let other = node.sign_in("other").await;
    assert_eq!(other.get(&format!("/api/v1/exports/{id}"), None).await.status(), 404, "an export is its maker's");
}

async fn everything_stands_in_the_register(node: &Node) {
    let auditor = node.sign_in("auditor").await;
    for action in ["live", "playback", "still", "export"] {
        let page = auditor.get_json(&format!("/api/v1/access-records?action={action}")).await;
        let record = &page["records"][0];
        assert_eq!(record["person"], "operator", "{action}: {page}");
        assert!(record["purpose"]["text"].as_str().is_some_and(|text| !text.is_empty()), "{action}: {record}");
    }
    for path in ["/api/v1/stills/1", "/api/v1/fragments/1/main?from_us=1000000&to_us=2000000"] {
        assert_eq!(auditor.get(path, None).await.status(), 403, "an auditor sees no video");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_without_a_purpose_sees_nothing_and_live_pictures_end_with_the_sign_in() {
    let node = Node::start(1).await;
    let hasty = node.sign_in_for("operator", None).await;
    for path in ["/api/v1/stills/1", "/api/v1/media", "/api/v1/footage/1/main.mp4?from_us=1000000&to_us=2000000"] {
        let refused = hasty.get(path, None).await;
        assert_eq!(refused.status(), 403, "{path}");
        assert_eq!(refused.json::<Value>().await.expect("JSON")["code"], "purpose_missing", "{path}");
    }
    let operator = node.sign_in("operator").await;
    operator.until_recorded(1, Duration::from_secs(1)).await;
    let mut socket = operator.socket().await;
    socket.say(json!({ "op": "sub", "ch": 1, "camera": 1, "tier": "sub" })).await;
    while !matches!(socket.next().await, Heard::Frame(frame) if frame[1] == 1) {}
    assert_eq!(operator.post("/api/v1/logout", &Value::Null).await.status(), 204);
    assert_eq!(socket.until_closed().await, Some(4401), "the socket says why it closes");
    assert_eq!(operator.get("/api/v1/me", None).await.status(), 401);
    node.stop().await;
}
