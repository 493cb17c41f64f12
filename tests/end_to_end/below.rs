//! People at the district in front of a room's cameras, through the sub-district between: what they see is what was sent, and both ends
//! know that they looked.

use crate::{
    centre::Above,
    node::{Client, Heard, Node, Socket, nals, sha256},
};
use fleet::Checker;
use index::model::{StreamId, StreamKind, Tier, UtcMicros, VideoCodec, Window};
use serde_json::{Value, json};
use std::time::Duration;

/// A second within the recording on both sides, so that a window's edges are not counted as losses.
const EDGE: i64 = 1_000_000;

struct Tiers {
    district: Above,
    sub: Above,
    room: Node,
}

impl Tiers {
    async fn start(cameras: u32) -> Self {
        let room = Node::start(cameras).await;
        let district = Above::start(Tier::District, "崇川区中心").await;
        let sub = Above::start(Tier::Subdistrict, "东苑街道分中心").await;
        district.admit_centre(&sub, "东苑街道分中心").await;
        sub.admit_room(&room, "东苑社区").await;
        Self { district, sub, room }
    }

    async fn stop(self) {
        self.district.stop().await;
        self.sub.stop().await;
        self.room.stop().await;
    }
}

/// What a centre's register says of a room's camera.
async fn register(client: &Client, filter: &str) -> Vec<Value> {
    client.get_json(&format!("/api/v1/access-records?limit=200{filter}")).await["records"].as_array().expect("a list").clone()
}

fn window(from_us: i64, to_us: i64) -> Window {
    Window::new(UtcMicros::from_micros(from_us), UtcMicros::from_micros(to_us))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_of_the_district_sees_a_rooms_footage_as_it_was_sent_and_both_registers_say_so() {
    let tiers = Tiers::start(2).await;
    let here = tiers.room.sign_in("operator").await;
    here.until_recorded(1, Duration::from_secs(6)).await;
    let (from, to) = here.recorded(1).await;
    let operator = tiers.district.sign_in("operator").await;
    // The room is below the district as soon as the lines are there.
    let still = format!("/api/v1/stills/1?at_us={}", from + 2 * EDGE);
    operator.until_ok(&still).await;
    let jpeg = operator.get_bytes(&still).await;
    assert_eq!(jpeg, here.get_bytes(&still).await, "the same picture as in the room");

    // By fragments, as the page plays.
    let list = operator.get_json(&format!("/api/v1/fragments/1/main?from_us={}&to_us={}", from + EDGE, to - EDGE)).await;
    let fragments = list["fragments"].as_array().expect("a list");
    let mut checker = Checker::new();
    let mut file = operator.get_bytes(fragments[0]["init"].as_str().expect("an address")).await;
    for fragment in fragments {
        file.extend(operator.get_bytes(fragment["uri"].as_str().expect("an address")).await);
    }
    checker.file("fragments at the district", &file);
    let sent = tiers.room.fleet.sent(StreamId::new(1.try_into().expect("a number"), StreamKind::Main)).expect("a camera");
    let report = checker.report(Some(&[sent]), window(from + 2 * EDGE, to - 2 * EDGE));
    assert!(report.is_good() && report.streams.iter().any(|stream| stream.present >= 25), "{report}");

    // As a file, by ranges.
    let path = format!("/api/v1/footage/1/main.mp4?from_us={from}&to_us={to}");
    let whole = operator.get_bytes(&path).await;
    assert!(whole == here.get_bytes(&path).await, "the file is the room's");
    let part = operator.get(&path, Some("bytes=1000-300000")).await;
    assert_eq!(part.status(), 206);
    assert!(part.bytes().await.expect("a body")[..] == whole[1000..=300_000]);

    // Scrubbing.
    let wish = json!({ "stream": "sub", "wants": [
        { "camera": 1, "at_us": [from + EDGE, from + 2 * EDGE] }, { "camera": 2, "at_us": [from + 2 * EDGE] }] });
    let (there, room) = (operator.post("/api/v1/key-units", &wish).await, here.post("/api/v1/key-units", &wish).await);
    assert!(there.bytes().await.expect("a body") == room.bytes().await.expect("a body"));

    // What only the room knows: which seconds there are, and their sums; both name the room.
    let coverage = format!("/api/v1/coverage?cameras=2,1&from_us={from}&to_us={to}");
    let (there, at_room) = (operator.get_json(&coverage).await, here.get_json(&coverage).await);
    assert_eq!(there["rows"], at_room["rows"]);
    assert_eq!(there["sources"][0]["name"], "东苑社区");
    let ledger = format!("/api/v1/ledger?by=camera&from_us={from}&to_us={to}");
    let there = operator.get_json(&ledger).await;
    assert_eq!(there["total"], here.get_json(&ledger).await["total"]);
    let motion = operator.get_json(&format!("/api/v1/motion?cameras=1&from_us={from}&to_us={to}")).await;
    assert_eq!((&motion["sources"][0]["state"], motion["spans"].is_array()), (&json!("current"), true), "{motion}");

    // An export is made in the room and fetched from here.
    let wish = json!({ "cameras": [1], "stream": "main", "from_us": from + EDGE, "to_us": to - EDGE, "reason": "派出所调取", "case": "17号" });
    let begun: Value = operator.post("/api/v1/exports", &wish).await.json().await.expect("JSON");
    let export = format!("/api/v1/exports/{}", begun["id"].as_str().unwrap_or_else(|| panic!("{begun}")));
    let done = operator.until(&export, |export| export["state"] == "done").await;
    let file = operator.get_bytes(done["files"][0]["uri"].as_str().expect("an address")).await;
    assert_eq!(sha256(&file), done["files"][0]["sha256"].as_str().expect("a sum"));
    let other = tiers.district.sign_in("other").await;
    assert_eq!(other.get(&export, None).await.status(), 404, "nobody else's");

    // What nobody may see does not exist, here as there.
    let gate = tiers.district.sign_in("gate").await;
    assert_eq!(gate.get(&still, None).await.status(), 404, "the camera stands in another place");
    assert_eq!(operator.get("/api/v1/stills/99", None).await.status(), 404);

    // Both registers name the person, the reason and the camera.
    let (at_room, at_district) = (tiers.room.sign_in("auditor").await, tiers.district.sign_in("auditor").await);
    for (client, person) in [(&at_room, "operator@崇川区中心"), (&at_district, "operator")] {
        for action in ["playback", "still", "export", "search"] {
            let records = register(client, &format!("&action={action}")).await;
            let ours = records.iter().find(|record| record["person"] == person);
            let ours = ours.unwrap_or_else(|| panic!("{action} by {person}: {records:?}"));
            let why = if action == "export" { "派出所调取" } else { "跨级巡查" };
            assert_eq!(ours["purpose"]["text"], why, "{ours}");
            assert_eq!(ours["unit"], "区公安分局", "{ours}");
        }
    }
    tiers.stop().await;
}

/// Watches until so many pictures came; what came is a key unit first, and none is missing between.
async fn sees(socket: &mut Socket, pictures: usize) {
    let mut checker = Checker::new();
    let mut kinds = Vec::new();
    while kinds.len() < pictures {
        if let Heard::Frame(frame) = socket.next().await
            && (frame[1] == 1 || frame[1] == 2)
        {
            kinds.push(frame[1]);
            checker.unit(VideoCodec::H264, &nals(&frame[20..]));
        }
    }
    let report = checker.report(None, window(0, i64::MAX));
    assert!(kinds[0] == 1 && report.is_good(), "{kinds:?} {report}");
}

/// Reads until a channel is said to be in a state; the message.
async fn until_state(socket: &mut Socket, word: &str) -> Value {
    loop {
        match socket.next().await {
            Heard::Text(text) if text["op"] == "state" && text["word"] == word => return text,
            Heard::Text(text) => assert_ne!(text["op"], "error", "{text}"),
            Heard::Frame(_) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_that_many_above_watch_crosses_each_line_once_and_a_room_that_is_gone_is_said_to_be_lost() {
    let Tiers { district, sub, room } = Tiers::start(1).await;
    let here = room.sign_in("operator").await;
    here.until_recorded(1, Duration::from_secs(2)).await;
    let (operator, between) = (district.sign_in("operator").await, sub.sign_in("operator").await);
    operator.until_ok("/api/v1/stills/1").await;
    between.until_ok("/api/v1/stills/1").await;
    let main = StreamId::new(1.try_into().expect("a number"), StreamKind::Main);

    // Somebody with a wall first, who needs key units only, then those who want it all.
    let mut wall = operator.socket().await;
    wall.say(json!({ "op": "sub", "ch": 1, "camera": 1, "tier": "key" })).await;
    while !wall.next().await.is_unit_of(1) {}
    let mut sockets = Vec::new();
    for client in [&operator, &operator, &operator, &between] {
        let mut socket = client.socket().await;
        socket.watch(1, 1).await;
        sockets.push(socket);
    }
    let mut late = operator.socket().await;
    late.say(json!({ "op": "sub", "ch": 1, "camera": 1, "tier": "main" })).await;
    sees(&mut late, 60).await;
    assert_eq!(room.room.node.ingest.live().viewers(main).0, 1, "the room sends it once");
    let fed = sub.centre.node.ingest.live().viewers(main).0;
    assert_eq!(fed, 2, "whoever watches at the sub-district, and the district once");

    // Everybody who watches stands in the room's register, and leaves it with what they saw.
    let auditor = room.sign_in("auditor").await;
    let watching = register(&auditor, "&action=live").await;
    let by = |person: &str| watching.iter().filter(|record| record["person"] == person).count();
    assert_eq!((by("operator@崇川区中心"), by("operator@东苑街道分中心")), (5, 1), "{watching:?}");
    assert_eq!(register(&district.sign_in("auditor").await, "&action=live").await.len(), 5);
    let ended = |page: &Value| {
        let records = page["records"].as_array().expect("a list").iter();
        records.filter(|record| record["bytes"].as_u64() > Some(1000)).count() == 1
    };
    late.close().await;
    auditor.until("/api/v1/access-records?action=live", ended).await;

    // The room's power goes: no picture that stands still looks live.
    room.stop().await;
    for socket in &mut sockets {
        let lost = until_state(socket, "lost").await;
        assert!(lost["since_us"].is_i64(), "{lost}");
    }
    district.stop().await;
    sub.stop().await;
}
