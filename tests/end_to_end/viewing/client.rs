//! A whole node for tests, and a person at a browser as far as the network can tell.

use api::{config::Config, room::Room, sign_in::passwords};
use fleet::{Fleet, FleetSpec};
use futures::{SinkExt, StreamExt};
use index::{
    access::{Actor, Person, Role, Scope},
    accounts::{Account, PasswordHash},
    model::{Secret, StreamKind},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use std::{
    fmt::Write,
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
const PASSWORD: &str = "moat-and-old-town-five";

/// A room that records a fleet, with an operator, another one and an auditor.
pub(crate) struct Node {
    pub(crate) room: Room,
    pub(crate) fleet: Fleet,
    folder: tempfile::TempDir,
}

impl Node {
    pub(crate) async fn start(cameras: u32) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let fleet = tokio::task::spawn_blocking(move || Fleet::start(FleetSpec::tiny(cameras))).await;
        let fleet = fleet.expect("it ran").expect("clips and a port");
        let folder = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(folder.path().join("d1")).expect("a volume");
        let file = folder.path().join("room.toml");
        std::fs::write(&file, config(&fleet, cameras)).expect("a configuration");
        let config = Config::load(&file).expect("valid");
        let room = Room::start(config).await.expect("a room");
        let hash = passwords::hash_now(&Secret::new(PASSWORD)).expect("hashed");
        for (name, role) in [("operator", Role::Operator), ("other", Role::Operator), ("auditor", Role::Auditor)] {
            let person = Person {
                name: name.to_owned(),
                display: name.to_owned(),
                unit: "东苑社区".to_owned(),
                roles: [role].into(),
                scopes: vec![Scope::Everything],
                must_change_password: false,
            };
            let account = Account { person, password: PasswordHash::new(hash.clone()), disabled: false, staff_expires: None };
            room.node.accounts.add(&Actor::Shell, account).expect("added");
        }
        Self { room, fleet, folder }
    }

    /// Signs in as the page does, purpose included.
    pub(crate) async fn sign_in(&self, name: &str) -> Client {
        self.sign_in_for(name, Some("夜间巡查")).await
    }

    /// Signs in for a purpose, or without saying why.
    pub(crate) async fn sign_in_for(&self, name: &str, purpose: Option<&str>) -> Client {
        let certificate = self.folder.path().join("state/certificate.pem");
        let mut client = Client::new(format!("https://{}", self.room.address), &certificate);
        let purpose = purpose.map(|text| json!({ "category": "duty", "text": text }));
        let answer = client.post("/api/v1/login", &json!({ "name": name, "password": PASSWORD, "purpose": purpose })).await;
        assert_eq!(answer.status(), 200);
        let cookie = answer.headers()["set-cookie"].to_str().expect("text").split(';').next().expect("a pair").to_owned();
        client.cookie = cookie;
        client
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
        let _ = writeln!(text, "[[camera]]\nid = {camera}\nname = \"南门 {camera}\"\nmain = \"{main}\"\nsub = \"{sub}\"");
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
        let url = format!("{}/api/v1/media", self.base.replacen("https", "wss", 1));
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

impl Socket {
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
