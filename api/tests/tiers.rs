//! Three tiers as people run them: a district, a sub-district and a room, each a process of its own, with real brokers between them.

use api::{
    link::{broker::asked_on, leaf::Leaf, message, nats, papers::Papers},
    tls,
};
use futures::StreamExt;
use index::{model::NodeId, node::StateDir};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    net::TcpListener,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const METRICS_TOKEN: &str = "metrics-token-0123456789";
const PASSWORD: &str = "moat-and-old-town-five";

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port()
}

/// One node: its folder, its ports, and its process while it runs.
struct Node {
    folder: tempfile::TempDir,
    tier: &'static str,
    port: u16,
    running: Option<Child>,
}

impl Node {
    fn new(tier: &'static str, name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let port = free_port();
        let own = match tier {
            "room" => {
                fs::create_dir(folder.path().join("disk")).expect("a volume");
                fs::write(folder.path().join("token"), "box-token-0123456789\n").expect("a token");
                "[footage]\nsegment_mib = 1\nsub_segment_mib = 1\n[[volume]]\nname = \"disk-01\"\npath = \"disk\"\ncapacity = \"16 MiB\"\n\
                 [[source]]\nname = \"box1\"\ntoken_file = \"token\"\nplaces = [\"东苑\"]\n\
                 [[camera]]\nid = 1007\nname = \"南门岗亭\"\nplace = [\"东苑\"]\nmain = \"rtsp://192.0.2.7/main\"\nenabled = false\n"
                    .to_owned()
            }
            _ => format!("[below]\nlisten = \"127.0.0.1:{}\"\nnames = [\"127.0.0.1\"]\n", free_port()),
        };
        let token = fs::File::options().write(true).create_new(true).mode(0o600).open(folder.path().join("metrics"));
        token.and_then(|mut file| file.write_all(METRICS_TOKEN.as_bytes())).expect("a token");
        let text = format!(
            "[node]\nname = \"{name}\"\ntier = \"{tier}\"\nstate_dir = \"state\"\n[http]\nlisten = \"127.0.0.1:{port}\"\n\
             [metrics]\ntoken_file = \"metrics\"\n{own}"
        );
        fs::write(folder.path().join("node.toml"), text).expect("a configuration");
        Self { folder, tier, port, running: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn haohe(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_haohe"));
        command.args(arguments).arg("--config").arg(self.path("node.toml")).env_remove("NOTIFY_SOCKET");
        command.stdin(Stdio::null()).output().expect("it runs")
    }

    fn start(&mut self) {
        let log = fs::File::options().append(true).create(true).open(self.path("log")).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_haohe"));
        command.arg(if self.tier == "room" { "room" } else { "centre" }).arg("--config").arg(self.path("node.toml"));
        command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.running = Some(command.spawn().expect("it starts"));
    }

    /// Kills it as a power cut would, and waits until it is gone.
    fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn id(&self) -> NodeId {
        StateDir::peek(&self.path("state")).expect("readable").expect("a node")
    }

    fn invite(&self) -> String {
        let said = self.haohe(&["ca", "invite"]);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).expect("text").trim().to_owned()
    }

    fn papers(&self) -> Papers {
        Papers::read(&self.path("state/link")).expect("readable").expect("it joined")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// An HTTP client that believes this node.
    async fn client(&self) -> reqwest::Client {
        let certificate = self.path("state/certificate.pem");
        // The port is taken before anything else is there.
        until("the node has a certificate", || async { certificate.exists() }).await;
        let trusted = reqwest::Certificate::from_pem(&fs::read(certificate).expect("made")).expect("a certificate");
        let client = reqwest::Client::builder().tls_certs_only([trusted]).cookie_store(true).build().expect("a client");
        let answers = || async { client.get(self.url("/api/v1/version")).timeout(Duration::from_secs(5)).send().await.is_ok() };
        until("the node answers", answers).await;
        client
    }

    fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    /// Somebody signed in for a purpose.
    async fn sign_in(&self, one_time: &str) -> reqwest::Client {
        self.sign_in_as("li", one_time).await
    }

    async fn sign_in_as(&self, name: &str, one_time: &str) -> reqwest::Client {
        let client = self.client().await;
        let post = |path: &str, body: Value| client.post(self.url(path)).header("x-haohe", "1").json(&body).send();
        let first = post("/api/v1/login", json!({ "name": name, "password": one_time })).await.expect("an answer");
        assert_eq!(first.status(), 200);
        let change = json!({ "old": one_time, "new": PASSWORD });
        assert!(post("/api/v1/me/password", change).await.expect("an answer").status().is_success());
        let purpose = json!({ "category": "duty", "text": "夜间巡查" });
        let again = post("/api/v1/login", json!({ "name": name, "password": PASSWORD, "purpose": purpose })).await;
        assert_eq!(again.expect("an answer").status(), 200);
        client
    }

    /// Somebody whom an administrator gave a part of the tree.
    async fn with_scope(&self, admin: &reqwest::Client, name: &str, place: &[&str]) -> reqwest::Client {
        let wish = json!({ "name": name, "unit": "分中心", "roles": ["operator"], "scopes": [{ "place": place }] });
        let added = admin.post(self.url("/api/v1/people")).header("x-haohe", "1").json(&wish).send().await.expect("an answer");
        assert_eq!(added.status(), 201);
        let added: Value = added.json().await.expect("JSON");
        self.sign_in_as(name, added["one_time_password"].as_str().expect("a password")).await
    }

    async fn report(&self, client: &reqwest::Client, id: &str) {
        let event =
            json!({ "kind": "line.crossed", "camera": 1007, "time_us": now_us(), "text": { "zh": "一人越线" }, "id": id });
        let answer = client
            .post(self.url("/api/v1/events"))
            .header("authorization", "Bearer box-token-0123456789")
            .json(&json!({ "events": [event] }))
            .send()
            .await
            .expect("an answer");
        let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
        assert!(status.is_success() && !text.contains("refusal"), "{status} {text}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("log of the {}:\n{}", self.tier, self.log());
        }
    }
}

fn now_us() -> i64 {
    index::model::UtcMicros::now().as_micros()
}

/// Waits until something is so.
async fn until<F: Future<Output = bool>>(what: &str, so: impl Fn() -> F) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn get(node: &Node, client: &reqwest::Client, path: &str) -> Value {
    let answer = client.get(node.url(path)).send().await.expect("an answer");
    answer.json().await.expect("JSON")
}

/// What the answer says of a node.
fn source<'a>(answer: &'a Value, node: &Node) -> Option<&'a Value> {
    let id = node.id().to_string();
    answer["coverage"]["sources"].as_array()?.iter().find(|source| source["node"] == id.as_str())
}

fn crossings(answer: &Value, node: &Node) -> usize {
    let id = node.id().to_string();
    let ours = |event: &&Value| event["kind"] == "line.crossed" && event["node"] == id.as_str();
    answer["events"].as_array().map_or(0, |events| events.iter().filter(ours).count())
}

fn broker_pid(node: &Node) -> Option<String> {
    Some(fs::read_to_string(node.path("state/link/broker.pid")).ok()?.trim().to_owned())
}

fn kill_by_number(pid: &str) {
    assert!(Command::new("kill").args(["-9", pid]).status().expect("kill runs").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_in_a_room_is_found_in_the_district_and_a_room_that_is_gone_is_named() {
    tls::choose_provider();
    let mut district = Node::new("district", "崇川区中心");
    let mut sub = Node::new("subdistrict", "东苑街道分中心");
    let mut room = Node::new("room", "东苑社区监控室");
    let one_time = district.haohe(&["person", "add", "li", "--role", "operator", "--role", "admin", "--one-time"]);
    let one_time = String::from_utf8(one_time.stdout).expect("text").trim().to_owned();
    [&mut district, &mut sub, &mut room].into_iter().for_each(Node::start);
    let person = district.sign_in(&one_time).await;
    let (at_room, _) = (room.client().await, sub.client().await);

    // One command on each side, beside the running nodes.
    for (upper, lower) in [(&district, &sub), (&sub, &room)] {
        let code = upper.invite();
        let joined = lower.haohe(&["join", &code]);
        assert!(joined.status.success(), "{}", String::from_utf8_lossy(&joined.stderr));
        let again = lower.haohe(&["join", &code]);
        assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("this code was used"), "good once");
    }
    let listed = String::from_utf8(sub.haohe(&["ca", "ls"]).stdout).expect("text");
    assert!(listed.contains(&room.id().to_string()) && listed.contains("东苑社区监控室"), "{listed}");

    // What is reported in the room is found in the district, under the room's name, and the answer is whole.
    room.report(&at_room, "a-1").await;
    let complete = |answer: &Value| answer["coverage"]["complete"] == true && crossings(answer, &room) == 1;
    let search = "/api/v1/events?limit=500&kinds=line.crossed";
    until("the room's event in the district", || async { complete(&get(&district, &person, search).await) }).await;
    let answer = get(&district, &person, search).await;
    assert_eq!(answer["events"][0]["node_name"], "东苑社区监控室");
    assert_eq!(source(&answer, &room).map(|source| &source["state"]), Some(&json!("current")), "{answer}");
    assert_eq!(source(&answer, &room).map(|source| &source["via"]), Some(&json!(sub.id().to_string())));
    assert_eq!(source(&answer, &sub).map(|source| &source["name"]), Some(&json!("东苑街道分中心")));
    let metrics = person.get(district.url("/metrics")).header("authorization", format!("Bearer {METRICS_TOKEN}")).send().await;
    let metrics = metrics.expect("an answer").text().await.expect("text");
    assert!(metrics.contains("haohe_nodes_below{state=\"current\"} 2"), "{metrics}");
    let elsewhere = format!("{search}&nodes={}", sub.id());
    assert_eq!(get(&district, &person, &elsewhere).await["events"], json!([]));

    // The room's camera stands in the district's tree; whoever has that part of it finds what is in it, and nobody else does.
    let cameras = get(&district, &person, "/api/v1/cameras").await;
    let camera = &cameras["cameras"][0];
    assert_eq!(camera["place"], json!(["东苑街道分中心", "东苑社区监控室", "东苑"]), "{cameras}");
    assert_eq!((camera["id"].as_u64(), &camera["node"]), (Some(1007), &json!(room.id().to_string())));
    assert!(!cameras.to_string().contains("rtsp://"), "no address: {cameras}");
    let inside = district.with_scope(&person, "wang", &["东苑街道分中心"]).await;
    let outside = district.with_scope(&person, "zhao", &["西苑街道分中心"]).await;
    for (who, found) in [(&inside, 1), (&outside, 0)] {
        assert_eq!(crossings(&get(&district, who, search).await, &room), found);
        let placed = format!("{search}&place=东苑街道分中心/东苑社区监控室/东苑");
        assert_eq!(crossings(&get(&district, who, &placed).await, &room), found);
        assert_eq!(get(&district, who, "/api/v1/cameras").await["cameras"].as_array().map(Vec::len), Some(found));
        let tree = get(&district, who, "/api/v1/tree").await;
        assert_eq!(tree["children"].as_array().map(Vec::len), Some(found), "{tree}");
    }
    let nowhere = format!("{search}&place=西苑街道分中心");
    assert_eq!(crossings(&get(&district, &person, &nowhere).await, &room), 0);

    // What only rooms have is refused in words, never empty.
    let refused = get(&district, &person, "/api/v1/alarms").await;
    assert_eq!(refused["code"], "held_in_rooms", "{refused}");

    // What the room knows alone is asked of it, through the sub-district.
    let coverage = get(&district, &person, "/api/v1/coverage?cameras=1007&from_us=0&to_us=1000000").await;
    assert_eq!(coverage["sources"][0]["name"], "东苑社区监控室", "{coverage}");
    assert_eq!(coverage["rows"][0]["camera"], 1007, "{coverage}");

    // The brokers are killed, and the room's power goes, while events come in: nothing is lost, and who is missing is named.
    for centre in [&sub, &district] {
        kill_by_number(&broker_pid(centre).expect("a broker"));
    }
    room.report(&at_room, "a-2").await;
    until("the event over new brokers", || async { crossings(&get(&district, &person, search).await, &room) == 2 }).await;
    room.report(&at_room, "a-3").await;
    room.kill();
    let missing = |answer: &Value| {
        let told = source(answer, &room);
        told.is_some_and(|told| {
            told["state"] == "missing" && told["reason"]["code"] == "no_contact" && told["covered_to_us"].is_i64()
        })
    };
    until("the room named as missing", || async { missing(&get(&district, &person, search).await) }).await;
    let coverage = get(&district, &person, "/api/v1/coverage?cameras=1007&from_us=0&to_us=1000000").await;
    assert_eq!((&coverage["rows"], &coverage["sources"][0]["state"]), (&json!([]), &json!("missing")), "{coverage}");
    assert_eq!(get(&district, &person, search).await["coverage"]["complete"], false);
    let health = get(&district, &person, "/api/v1/health").await;
    let problems = health["problems"].as_array().expect("a list");
    assert!(problems.iter().any(|problem| problem["kind"] == "node_no_contact"), "{health}");
    assert_eq!(health["below"].as_array().map(Vec::len), Some(2));

    // Also after the centres' own power goes.
    district.kill();
    sub.kill();
    [&mut sub, &mut district, &mut room].into_iter().for_each(Node::start);
    let client = district.client().await;
    let purpose = json!({ "category": "duty", "text": "夜间巡查" });
    let body = json!({ "name": "li", "password": PASSWORD, "purpose": purpose });
    let signed = client.post(district.url("/api/v1/login")).header("x-haohe", "1").json(&body).send().await.expect("an answer");
    assert_eq!(signed.status(), 200);
    let whole = |answer: &Value| answer["coverage"]["complete"] == true && crossings(answer, &room) == 3;
    until("everything once, and whole", || async { whole(&get(&district, &client, search).await) }).await;
}

/// A node that has only joined.
fn joined(upper: &Node, name: &str) -> Node {
    let node = Node::new("room", name);
    let said = node.haohe(&["join", &upper.invite()]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_can_speak_only_as_itself_and_a_stranger_not_at_all() {
    tls::choose_provider();
    let mut centre = Node::new("subdistrict", "东苑街道分中心");
    centre.start();
    drop(centre.client().await);
    let (one, other) = (joined(&centre, "一室"), joined(&centre, "二室"));
    let (_one_leaf, client) = dialled(&one, &one.papers()).await;
    let (_other_leaf, second) = dialled(&other, &other.papers()).await;

    // It hears what it is asked: the centre asks whoever is a member.
    let mut own = client.subscribe(asked_on(one.id())).await.expect("a subscription");
    let heard = tokio::time::timeout(PATIENCE, own.next()).await.expect("the centre asks").expect("a question");
    assert!(message::read_question(&heard.payload).is_ok());

    // It may do what it likes with its own server, and still hears nothing of what another is asked, and nobody answers what it asks.
    let mut others = client.subscribe(asked_on(other.id())).await.expect("a subscription");
    let mut at_other = second.subscribe(asked_on(other.id())).await.expect("a subscription");
    let from_centre = tokio::time::timeout(PATIENCE, at_other.next()).await.expect("the centre asks it too").expect("a question");
    assert!(message::read_question(&from_centre.payload).is_ok());
    let forged = b"asked by a room, and not by the centre";
    client.publish(asked_on(other.id()), forged.to_vec().into()).await.expect("its own server takes it");
    let until = tokio::time::sleep(Duration::from_secs(5));
    tokio::pin!(until);
    loop {
        tokio::select! {
            () = &mut until => break,
            heard = others.next() => assert_eq!(heard.expect("still there").payload, &forged[..], "one room heard what another was asked"),
            heard = at_other.next() => assert_ne!(heard.expect("still there").payload, &forged[..], "one room asked another"),
        }
    }

    // Papers of another centre's authority open nothing here.
    let mut foreign = Node::new("subdistrict", "别处分中心");
    foreign.start();
    drop(foreign.client().await);
    let stranger = joined(&foreign, "别处监控室");
    let forged = Papers { broker: one.papers().broker, authority: one.papers().authority, ..stranger.papers() };
    let (_leaf, client) = dialled(&stranger, &forged).await;
    let mut asked = client.subscribe(asked_on(one.id())).await.expect("its own server takes it");
    let (heard, own) =
        tokio::join!(tokio::time::timeout(Duration::from_secs(5), asked.next()), tokio::time::timeout(PATIENCE, own.next()));
    assert!(heard.is_err(), "a stranger heard what a room was asked");
    assert!(own.is_ok_and(|own| own.is_some()), "and the room still hears it");
}

/// The leaf of a node that does not run, with a client that may say anything to it.
async fn dialled(node: &Node, papers: &Papers) -> (Leaf, async_nats::Client) {
    let (dir, papers, id) = (node.path("state/link"), papers.clone(), node.id());
    let leaf = tokio::task::spawn_blocking(move || Leaf::start(Path::new("nats-server"), &dir, id, &papers)).await;
    let leaf = leaf.expect("no panic").expect("it starts");
    let client = nats::connect_to_leaf(&leaf, node.id()).await.expect("a client");
    (leaf, client)
}

#[test]
fn what_cannot_be_joined_is_refused_with_what_to_do() {
    let room = Node::new("room", "一室");
    let said = |output: Output| (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned());
    let (joined, why) = said(room.haohe(&["join", "haohe1/nonsense"]));
    assert!(!joined && why.contains("ca invite"), "{why}");
    let (invited, why) = said(room.haohe(&["ca", "invite"]));
    assert!(!invited && why.contains("[below]"), "{why}");
    let centre = Node::new("subdistrict", "分中心");
    let (joined, why) = said(room.haohe(&["join", &centre.invite()]));
    assert!(!joined && why.contains("is it running"), "{why}");
}
