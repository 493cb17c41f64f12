//! Events by MQTT: a real broker with TLS and passwords, a box that publishes, and a room that listens; and the broker dies meanwhile.

use crate::node::{Client, Node};
use index::model::UtcMicros;
use serde_json::{Value, json};
use std::{
    net::TcpListener,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

const TOPIC: &str = "haohe/box-1";

/// A Mosquitto of its own, with everything it keeps in a directory of its own. Killed when dropped.
struct Broker {
    folder: tempfile::TempDir,
    port: u16,
    running: Option<Child>,
}

impl Broker {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let dir = folder.path();
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        write(&dir.join("ca.pem"), &key.cert.pem());
        write(&dir.join("key.pem"), &key.signing_key.serialize_pem());
        write(&dir.join("password"), "a-password-of-the-room\n");
        write(&dir.join("box.token"), "box-token-0123456789\n");
        write(&dir.join("users"), "");
        for (user, password) in [("room", "a-password-of-the-room"), ("box", "of-the-box")] {
            let made = Command::new("mosquitto_passwd").arg("-b").arg(dir.join("users")).args([user, password]).output();
            assert!(made.expect("mosquitto is installed by deploy/prepare test").status.success());
        }
        let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        let here = dir.display();
        write(
            &dir.join("mosquitto.conf"),
            &format!(
                "user {user}\nlistener {port} 127.0.0.1\nallow_anonymous false\npassword_file {here}/users\ncafile {here}/ca.pem\n\
                 certfile {here}/ca.pem\nkeyfile {here}/key.pem\npersistence true\npersistence_location {here}/\nautosave_interval 1\n"
            ),
        );
        let mut broker = Self { folder, port, running: None };
        broker.run();
        broker
    }

    fn run(&mut self) {
        let program = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto"].into_iter().find(|path| Path::new(path).exists());
        let mut command = Command::new(program.expect("mosquitto is installed by deploy/prepare test"));
        let config = self.folder.path().join("mosquitto.conf");
        self.running = Some(command.arg("-c").arg(config).stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("started"));
    }

    /// As `kill -9`.
    fn kill(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        running.kill().and_then(|()| running.wait().map(drop)).expect("killed");
    }

    /// Publishes at least once: again until the broker takes it.
    async fn publish(&self, batch: &Value) {
        let begun = Instant::now();
        loop {
            let (folder, port, message) = (self.folder.path().to_owned(), self.port.to_string(), batch.to_string());
            let publish = move || -> std::io::Result<Output> {
                let mut command = Command::new("mosquitto_pub");
                command.args([
                    "-h",
                    "localhost",
                    "-p",
                    &port,
                    "-V",
                    "5",
                    "-q",
                    "1",
                    "-u",
                    "box",
                    "-P",
                    "of-the-box",
                    "-t",
                    TOPIC,
                ]);
                command.arg("--cafile").arg(folder.join("ca.pem")).args(["-m", &message]).output()
            };
            let done = tokio::task::spawn_blocking(publish).await.expect("it ran");
            let done = done.expect("mosquitto-clients is installed by deploy/prepare test");
            if done.status.success() {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(40), "{}", String::from_utf8_lossy(&done.stderr));
        }
    }

    /// What a room's configuration says of this broker.
    fn section(&self) -> String {
        let here = self.folder.path().display();
        format!(
            "[[source]]\nname = \"box-1\"\ntoken_file = \"{here}/box.token\"\nplaces = [\"东苑\"]\nmqtt_topic = \"{TOPIC}\"\n\
             [mqtt]\nbroker = \"mqtts://localhost:{}\"\nallow_networks = [\"127.0.0.0/8\"]\nauthority_file = \"{here}/ca.pem\"\n\
             user = \"room\"\npassword_file = \"{here}/password\"\n",
            self.port
        )
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn write(file: &Path, text: &str) {
    use std::io::Write;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("written");
}

fn event(id: &str) -> Value {
    json!({ "kind": "loitering", "time_us": UtcMicros::now().as_micros(), "camera": 1, "id": id, "text": { "zh": "徘徊", "en": "" } })
}

fn batch(events: &[Value]) -> Value {
    json!({ "events": events })
}

/// The boxes' own numbers of what is found, once there are so many.
async fn found(operator: &Client, count: u64) -> Vec<String> {
    let path = "/api/v1/events?kinds=loitering&limit=100";
    let answer = operator.until(path, |answer| answer["total"]["count"].as_u64() >= Some(count)).await;
    assert_eq!(answer["total"]["count"], count, "each once: {answer}");
    let mut ids: Vec<String> = answer["events"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| event["source"]["id"].as_str().expect("an id").to_owned())
        .collect();
    ids.sort();
    ids
}

fn is_away(health: &Value) -> bool {
    health["problems"].as_array().is_some_and(|problems| problems.iter().any(|problem| problem["kind"] == "mqtt_away"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_boxes_publish_is_found_once_each_although_broker_and_room_die_and_identity_is_refused() {
    let mut broker = Broker::start();
    let node = Node::start_with(1, |_, config| *config = format!("{}\n{config}", broker.section())).await;
    let operator = node.sign_in("operator").await;

    // The same door as over HTTP: what says who somebody is, and what is no event of this source, is left out and counted.
    let person = json!({ "kind": "loitering", "time_us": UtcMicros::now().as_micros(), "camera": 1, "id": "b", "attributes": { "faceId": 7 } });
    let elsewhere = json!({ "kind": "loitering", "time_us": UtcMicros::now().as_micros(), "camera": 99, "id": "c" });
    let first = batch(&[event("a"), person, elsewhere]);
    broker.publish(&first).await;
    let events = found(&operator, 1).await;
    assert_eq!(events, ["a"]);
    let refused = node.room.node.events.refused.all();
    assert!(refused.iter().any(|(door, _, count)| *door == "mqtt" && *count == 1), "{refused:?}");
    broker.publish(&first).await;
    broker.publish(&json!("no batch")).await;
    broker.publish(&batch(&[event("d")])).await;
    assert_eq!(found(&operator, 2).await, ["a", "d"], "a repeat is one event, and nonsense holds nothing up");

    // kill -9 of the broker: said, and over by itself when it is back.
    broker.kill();
    operator.until("/api/v1/health", is_away).await;
    let connects = node.room.node.mqtt.connects.load(std::sync::atomic::Ordering::Relaxed);
    broker.run();
    broker.publish(&batch(&[event("e")])).await;
    assert_eq!(found(&operator, 3).await, ["a", "d", "e"]);
    operator.until("/api/v1/health", |health| !is_away(health)).await;
    assert!(node.room.node.mqtt.connects.load(std::sync::atomic::Ordering::Relaxed) > connects);

    // What is published while the room is away waits at the broker.
    let ids: Vec<String> = (0..10).map(|n| format!("f{n}")).collect();
    let publish = async {
        for id in &ids {
            broker.publish(&batch(&[event(id)])).await;
        }
    };
    let (node, ()) = tokio::join!(node.restart_after(Duration::from_secs(2)), publish);
    let operator = node.sign_in("operator").await;
    let mut wanted: Vec<String> = ["a", "d", "e"].map(str::to_owned).into();
    wanted.extend(ids);
    assert_eq!(found(&operator, 13).await, wanted);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_whose_certificate_another_signed_is_told_no_password() {
    let (broker, other) = (Broker::start(), Broker::start());
    let section = broker
        .section()
        .replace(&format!("{}/ca.pem", broker.folder.path().display()), &format!("{}/ca.pem", other.folder.path().display()));
    let node = Node::start_with(1, |_, config| *config = format!("{section}\n{config}")).await;
    let operator = node.sign_in("operator").await;
    let health = operator.until("/api/v1/health", is_away).await;
    assert!(health.to_string().contains("证书不受信任"), "{health}");
    node.stop().await;
}
