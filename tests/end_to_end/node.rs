//! A whole node for tests, and a person at a browser as far as the network can tell.

use api::{config::Config, room::Room, sign_in::passwords};
use fleet::{Checker, Fleet, FleetSpec, Report};
use futures::{SinkExt, StreamExt};
use index::{
    access::{Actor, Person, Role, Scope},
    accounts::{Account, PasswordHash},
    model::{Secret, StreamId, StreamKind, UtcMicros, Window},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use std::{
    fmt::Write,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{Message, client::IntoClientRequest},
};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);
pub(crate) const PASSWORD: &str = "moat-and-old-town-five";

/// A room that records a fleet, with an operator, another one and an auditor.
pub(crate) struct Node {
    pub(crate) room: Room,
    pub(crate) fleet: Fleet,
    folder: tempfile::TempDir,
    config: String,
}

impl Node {
    pub(crate) async fn start(cameras: u32) -> Self {
        Self::start_with(cameras, |_, _| {}).await
    }

    /// As [`Node::start`], with a fleet and a configuration that differ.
    pub(crate) async fn start_with(cameras: u32, change: impl FnOnce(&Fleet, &mut String)) -> Self {
        Self::start_fleet(FleetSpec::tiny(cameras), change).await
    }

    /// As [`Node::start_with`], with cameras of another make.
    pub(crate) async fn start_fleet(spec: FleetSpec, change: impl FnOnce(&Fleet, &mut String)) -> Self {
        let cameras = spec.cameras;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let fleet = tokio::task::spawn_blocking(move || Fleet::start(spec)).await;
        let fleet = fleet.expect("it ran").expect("clips and a port");
        let folder = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(folder.path().join("d1")).expect("a volume");
        let file = folder.path().join("room.toml");
        let mut text = config(&fleet, cameras);
        change(&fleet, &mut text);
        std::fs::write(&file, &text).expect("a configuration");
        let config = Config::load(&file).expect("valid");
        let room = Room::start(config).await.expect("a room");
        let hash = passwords::hash_now(&Secret::new(PASSWORD)).expect("hashed");
        let gate = || Scope::Place(vec!["东苑".to_owned()]);
        for (name, role, scope) in [
            ("operator", Role::Operator, Scope::Everything),
            ("other", Role::Operator, Scope::Everything),
            ("gate", Role::Operator, gate()),
            ("auditor", Role::Auditor, Scope::Everything),
            ("admin", Role::Admin, Scope::Everything),
        ] {
            let person = Person {
                name: name.to_owned(),
                display: name.to_owned(),
                unit: "东苑社区".to_owned(),
                roles: [role].into(),
                scopes: vec![scope],
                must_change_password: false,
            };
            let account = Account { person, password: PasswordHash::new(hash.clone()), disabled: false, staff_expires: None };
            room.node.accounts.add(&Actor::Shell, account).expect("added");
        }
        Self { room, fleet, folder, config: text }
    }

    /// Changes the configuration file and has the room take its cameras anew, as SIGHUP does.
    pub(crate) async fn reload(&mut self, change: impl FnOnce(&mut String)) {
        change(&mut self.config);
        let file = self.folder.path().join("room.toml");
        std::fs::write(&file, &self.config).expect("a configuration");
        self.room.reload(&file).await.expect("taken");
    }

    /// Stops the room and starts it again on what it left, when the cameras have filmed so much that nobody recorded.
    pub(crate) async fn restart_after(self, away: Duration) -> Self {
        let Self { room, fleet, folder, config } = self;
        room.drain().await;
        let stopped = Instant::now();
        while stopped.elapsed() < away {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let room = Room::start(Config::load(&folder.path().join("room.toml")).expect("valid")).await.expect("a room");
        Self { room, fleet, folder, config }
    }

    /// Signs in as the page does, purpose included.
    pub(crate) async fn sign_in(&self, name: &str) -> Client {
        self.sign_in_for(name, Some("夜间巡查")).await
    }

    /// Signs in for a purpose, or without saying why.
    pub(crate) async fn sign_in_for(&self, name: &str, purpose: Option<&str>) -> Client {
        Client::sign_in(self.room.address, &self.state(), name, purpose).await
    }

    /// Its state directory.
    pub(crate) fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    /// What is served of a camera's main stream between two instants, against what was sent, half a second at both ends apart.
    pub(crate) async fn check(&self, camera: u32, client: &Client, from_us: i64, to_us: i64) -> Report {
        let path = format!("/api/v1/footage/{camera}/main.mp4?from_us={from_us}&to_us={to_us}");
        let mut checker = Checker::new();
        checker.file(&path, &client.get_bytes(&path).await);
        let stream = StreamId::new(camera.try_into().expect("a number"), StreamKind::Main);
        let sent = self.fleet.sent(stream).expect("a camera");
        let inner = Window::new(UtcMicros::from_micros(from_us + 500_000), UtcMicros::from_micros(to_us - 500_000));
        checker.report(Some(&[sent]), inner)
    }

    pub(crate) async fn stop(self) {
        let Self { room, fleet, .. } = self;
        room.drain().await;
        tokio::task::spawn_blocking(move || fleet.stop()).await.expect("it stopped");
    }
}

fn config(fleet: &Fleet, cameras: u32) -> String {
    let mut text = r#"
        [node]
        name = "东苑社区"
        tier = "room"
        state_dir = "state"
        [http]
        listen = "127.0.0.1:0"
        [ingest]
        cores = 2
        allow_networks = ["127.0.0.0/8"]
        [footage]
        segment_mib = 4
        sub_segment_mib = 1
        [[volume]]
        name = "d1"
        path = "d1"
        capacity = "256 MiB"
    "#
    .to_owned();
    for camera in 1..=cameras {
        let (main, sub) = (fleet.url(camera, StreamKind::Main), fleet.url(camera, StreamKind::Sub));
        let head = format!("[[camera]]\nid = {camera}\nname = \"南门 {camera}\"\nplace = [\"东苑\"]");
        let _ = writeln!(text, "{head}\nmain = \"{main}\"\nsub = \"{sub}\"");
    }
    text
}

/// Somebody signed in.
pub(crate) struct Client {
    base: String,
    http: reqwest::Client,
    tls: Arc<rustls::ClientConfig>,
    pub(crate) cookie: String,
}

impl Client {
    /// Signs in at a node, for a purpose or without saying why.
    pub(crate) async fn sign_in(address: SocketAddr, state: &Path, name: &str, purpose: Option<&str>) -> Self {
        let mut client = Self::new(format!("https://{address}"), &state.join("certificate.pem"));
        let purpose = purpose.map(|text| json!({ "category": "duty", "text": text }));
        let answer = client.post("/api/v1/login", &json!({ "name": name, "password": PASSWORD, "purpose": purpose })).await;
        assert_eq!(answer.status(), 200);
        let cookie = answer.headers()["set-cookie"].to_str().expect("text").split(';').next().expect("a pair").to_owned();
        client.cookie = cookie;
        client
    }

    /// Asks until there is an answer.
    pub(crate) async fn until_ok(&self, path: &str) {
        let begin = Instant::now();
        while self.get(path, None).await.status() != 200 {
            assert!(begin.elapsed() < PATIENCE, "{path} was not answered");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn new(base: String, certificate: &Path) -> Self {
        let pem = std::fs::read(certificate).expect("the certificate of the first start");
        let trusted = reqwest::Certificate::from_pem(&pem).expect("a certificate");
        let http = reqwest::Client::builder().tls_certs_only([trusted]).build().expect("a client");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&pem).expect("a certificate")).expect("trusted");
        let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Self { base, http, tls: Arc::new(tls), cookie: String::new() }
    }

    pub(crate) async fn get(&self, path: &str, range: Option<&str>) -> reqwest::Response {
        let mut request = self.http.get(format!("{}{path}", self.base)).header("cookie", &self.cookie);
        if let Some(range) = range {
            request = request.header("range", range);
        }
        request.send().await.expect("an answer")
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> reqwest::Response {
        let request = self.http.post(format!("{}{path}", self.base)).header("cookie", &self.cookie).header("x-haohe", "1");
        request.json(body).send().await.expect("an answer")
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> reqwest::Response {
        let request = self.http.put(format!("{}{path}", self.base)).header("cookie", &self.cookie).header("x-haohe", "1");
        request.json(body).send().await.expect("an answer")
    }

    pub(crate) async fn get_bytes(&self, path: &str) -> Vec<u8> {
        let answer = self.get(path, None).await;
        let status = answer.status();
        let bytes = answer.bytes().await.expect("a whole body").to_vec();
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&bytes));
        bytes
    }

    pub(crate) async fn get_json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.get_bytes(path).await).expect("JSON")
    }

    /// Asks until the answer is as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let answer = self.get_json(path).await;
            if wanted(&answer) {
                return answer;
            }
            assert!(begin.elapsed() < PATIENCE, "{path} stayed {answer}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// From the first to the last durable picture of a camera's main stream.
    pub(crate) async fn recorded(&self, camera: usize) -> (i64, i64) {
        let cameras = self.get_json("/api/v1/cameras").await;
        let to = cameras["cameras"][camera - 1]["streams"][0]["recorded_to_us"].as_i64().expect("recorded");
        let from = to - 3_600_000_000;
        let coverage = self.get_json(&format!("/api/v1/coverage?cameras={camera}&from_us={from}&to_us={to}")).await;
        (coverage["rows"][0]["first_us"].as_i64().expect("recorded"), to)
    }

    pub(crate) async fn until_recorded(&self, camera: usize, lasting: Duration) {
        let path = "/api/v1/cameras";
        self.until(path, |all| all["cameras"][camera - 1]["streams"][0]["recorded_to_us"].is_i64()).await;
        let begin = Instant::now();
        loop {
            let (from, to) = self.recorded(camera).await;
            if u128::try_from(to - from).unwrap_or(0) >= lasting.as_micros() {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "only {} µs are recorded", to - from);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) async fn socket(&self) -> Socket {
        self.socket_at("/api/v1/media").await
    }

    pub(crate) async fn socket_at(&self, path: &str) -> Socket {
        let url = format!("{}{path}", self.base.replacen("https", "wss", 1));
        let mut request = url.into_client_request().expect("a request");
        request.headers_mut().insert("cookie", self.cookie.parse().expect("a header"));
        let connector = Connector::Rustls(Arc::clone(&self.tls));
        let (socket, _) = connect_async_tls_with_config(request, None, true, Some(connector)).await.expect("a socket");
        Socket(socket)
    }
}

/// The live socket of one window.
pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>);

/// What came on it.
pub(crate) enum Heard {
    Text(Value),
    Frame(Vec<u8>),
}

impl Heard {
    /// Whether it is a picture of a channel.
    pub(crate) fn is_unit_of(&self, ch: u16) -> bool {
        matches!(self, Self::Frame(frame) if matches!(frame[1], 1 | 2) && frame[2..4] == ch.to_be_bytes())
    }
}

impl Socket {
    /// Asks for a camera's pictures on a channel, and reads until the first key unit.
    pub(crate) async fn watch(&mut self, ch: u16, camera: u32) {
        self.say(json!({ "op": "sub", "ch": ch, "camera": camera, "tier": "main" })).await;
        while !self.next().await.is_unit_of(ch) {}
    }

    pub(crate) async fn say(&mut self, control: Value) {
        self.0.send(Message::text(control.to_string())).await.expect("sent");
    }

    pub(crate) async fn next(&mut self) -> Heard {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("something comes");
            match message.expect("the socket is open").expect("a message") {
                Message::Text(text) => return Heard::Text(serde_json::from_str(&text).expect("JSON")),
                Message::Binary(bytes) => return Heard::Frame(bytes.to_vec()),
                _ => {}
            }
        }
    }

    /// Reads on until the node closes the socket; the code it gives.
    pub(crate) async fn until_closed(&mut self) -> Option<u16> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("it closes");
            match message?.ok()? {
                Message::Close(frame) => return frame.map(|frame| frame.code.into()),
                _ => continue,
            }
        }
    }

    pub(crate) async fn close(mut self) {
        self.0.close(None).await.expect("closed");
    }
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Every NAL unit of an access unit in AVCC form.
pub(crate) fn nals(mut data: &[u8]) -> Vec<&[u8]> {
    let mut nals = Vec::new();
    while let Some((length, rest)) = data.split_first_chunk::<4>() {
        let (nal, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        nals.push(nal);
        data = rest;
    }
    nals
}
