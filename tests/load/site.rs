//! One room and its simulated cameras as two processes on loopback, with a folder of their own, and a signed-in client.

use crate::process::{Process, sibling};
use anyhow::{Context, Result, bail, ensure};
use reqwest::cookie::{CookieStore, Jar};
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, tungstenite::client::IntoClientRequest};

/// Sizes of segment files. A quarter of the defaults: each stream holds one open, and the disk of a small machine must hold
/// those of 290 cameras beside what they record.
const SEGMENT_MIB: u32 = 64;
/// See [`SEGMENT_MIB`].
const SUB_SEGMENT_MIB: u32 = 16;

/// What to start.
pub(crate) struct Plan {
    /// Simulated cameras.
    pub(crate) cameras: u32,
    /// Whether their sub-streams are recorded too.
    pub(crate) sub: bool,
    /// For how long it records at the most, in seconds: what the volume must hold.
    pub(crate) seconds: u64,
    /// The driver that every camera's configuration names; `None` leaves it to the probe.
    pub(crate) driver: Option<String>,
}

impl Plan {
    /// What all cameras record in the time, at 4 and 0.5 Mbit/s and a fifth more; a segment that each stream has open, and one more.
    fn capacity_mib(&self) -> u64 {
        let cameras = u64::from(self.cameras);
        let (rate_kbit, open_mib) = if self.sub { (4500, SEGMENT_MIB + SUB_SEGMENT_MIB) } else { (4000, SEGMENT_MIB) };
        cameras * self.seconds * rate_kbit * 6 / 5 / 8 / 1000 + 2 * cameras * u64::from(open_mib)
    }
}

/// A folder under `.cache/measure` that holds everything of one run; emptied before, removed after.
pub(crate) struct Site {
    folder: PathBuf,
    plan: Plan,
    ports: Ports,
    password: Option<String>,
}

struct Ports {
    fleet: u16,
    control: u16,
    page: u16,
}

impl Site {
    /// Prepares the folder and the room's configuration. Nothing runs yet.
    pub(crate) fn prepare(name: &str, plan: Plan) -> Result<Self> {
        let folder = std::env::current_dir()?.join(".cache/measure").join(name);
        let _ = fs::remove_dir_all(&folder);
        for part in ["state", "volume"] {
            fs::create_dir_all(folder.join(part))?;
        }
        restrict(&folder.join("state"))?;
        let ports = Ports { fleet: free_port()?, control: free_port()?, page: free_port()? };
        let site = Self { folder, plan, ports, password: None };
        fs::write(site.config(), site.toml())?;
        Ok(site)
    }

    fn toml(&self) -> String {
        let folder = self.folder.display();
        let mut text = format!(
            "[node]\nname = \"measure\"\ntier = \"room\"\nstate_dir = \"{folder}/state\"\n\n[http]\nlisten = \"127.0.0.1:{}\"\n\n\
             [ingest]\nallow_networks = [\"127.0.0.1/32\"]\n\n\
             [footage]\nsegment_mib = {SEGMENT_MIB}\nsub_segment_mib = {SUB_SEGMENT_MIB}\n\n\
             [[volume]]\nname = \"disk1\"\npath = \"{folder}/volume\"\ncapacity = \"{} GiB\"\n",
            self.ports.page,
            self.plan.capacity_mib().div_ceil(1024)
        );
        for i in 1..=self.plan.cameras {
            let address = |kind: &str| format!("rtsp://127.0.0.1:{}/cam/{i}/{kind}", self.ports.fleet);
            let _ = write!(text, "\n[[camera]]\nid = {i}\nname = \"camera {i}\"\nmain = \"{}\"\n", address("main"));
            if let Some(driver) = &self.plan.driver {
                let _ = writeln!(text, "driver = \"{driver}\"");
            }
            if self.plan.sub {
                let _ = writeln!(text, "sub = \"{}\"", address("sub"));
            }
        }
        text
    }

    /// Where the segments are.
    pub(crate) fn volume(&self) -> PathBuf {
        self.folder.join("volume")
    }

    /// The room's configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("room.toml")
    }

    /// The simulated cameras' control port.
    pub(crate) fn control(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.control))
    }

    /// How many streams the room records.
    pub(crate) fn streams(&self) -> u32 {
        self.plan.cameras * if self.plan.sub { 2 } else { 1 }
    }

    /// Where the page is.
    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.page)
    }

    /// Starts the cameras.
    pub(crate) fn start_fleet(&self) -> Result<Process> {
        let arguments = [
            "serve".to_owned(),
            "--cameras".to_owned(),
            self.plan.cameras.to_string(),
            "--listen".to_owned(),
            format!("127.0.0.1:{}", self.ports.fleet),
            "--control".to_owned(),
            format!("127.0.0.1:{}", self.ports.control),
        ];
        let mut fleet = Process::start("fleet", &arguments, self.folder.join("fleet.log"))?;
        wait_for("the cameras to listen", Duration::from_secs(300), || {
            fleet.check_alive()?;
            Ok(std::net::TcpStream::connect(("127.0.0.1", self.ports.fleet)).is_ok().then_some(()))
        })?;
        Ok(fleet)
    }

    /// Starts the room. Its people are made at the first start.
    pub(crate) fn start_room(&mut self) -> Result<Process> {
        if self.password.is_none() {
            self.password = Some(self.add_person()?);
        }
        let arguments = ["room".to_owned(), "--config".to_owned(), self.config().display().to_string()];
        Process::start("haohe", &arguments, self.folder.join("room.log"))
    }

    fn add_person(&self) -> Result<String> {
        let output = Command::new(sibling("haohe")?)
            .args(["person", "add", "measure", "--one-time"])
            .args(["--role", "admin", "--role", "operator", "--config"])
            .arg(self.config())
            .output()?;
        ensure!(output.status.success(), "haohe person add: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Signs in to a running room, as a person who may do everything and has said why.
    pub(crate) async fn sign_in(&mut self) -> Result<Client> {
        let client = Client::new(self.url())?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while client.get("/api/v1/version").await.is_err() {
            ensure!(Instant::now() < deadline, "the room does not answer on {}", self.url());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let first = self.password.clone().context("the room was not started")?;
        let answer = client.post("/api/v1/login", &json!({"name": "measure", "password": first})).await?;
        if answer["must_change_password"] == json!(true) {
            let lasting = format!("{first}-Lasting-7");
            client.post("/api/v1/me/password", &json!({"old": first, "new": lasting})).await?;
            self.password = Some(lasting.clone());
            client.post("/api/v1/login", &json!({"name": "measure", "password": lasting})).await?;
        }
        client.put("/api/v1/me/purpose", &json!({"category": "maintenance", "text": "measuring this recorder's speed"})).await?;
        Ok(client)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // The logs of a run that failed are worth keeping; its footage is not.
        let _ = fs::remove_dir_all(self.volume());
    }
}

/// A person at the room's API. Keeps the login's cookie.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    cookies: Arc<Jar>,
    base: String,
}

/// A WebSocket to the room.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

impl Client {
    fn new(base: String) -> Result<Self> {
        // Loopback and a certificate made minutes ago: there is nobody to be deceived by.
        let cookies = Arc::new(Jar::default());
        let http = reqwest::Client::builder().danger_accept_invalid_certs(true).cookie_provider(cookies.clone()).build()?;
        Ok(Self { http, cookies, base })
    }

    /// Opens a WebSocket with the login's cookie.
    pub(crate) async fn web_socket(&self, path: &str) -> Result<Socket> {
        let url = reqwest::Url::parse(&self.base)?;
        let mut request = format!("{}{path}", self.base.replacen("https", "wss", 1)).into_client_request()?;
        request.headers_mut().insert("cookie", self.cookies.cookies(&url).context("not signed in")?);
        request.headers_mut().insert("origin", self.base.parse()?);
        let tls = rustls::ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate))
            .with_no_client_auth();
        let (socket, _) =
            tokio_tungstenite::connect_async_tls_with_config(request, None, true, Some(Connector::Rustls(Arc::new(tls)))).await?;
        Ok(socket)
    }

    /// GET, as JSON.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        Self::json(self.http.get(format!("{}{path}", self.base))).await
    }

    /// GET, as bytes.
    pub(crate) async fn bytes(&self, path: &str) -> Result<Vec<u8>> {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        ensure!(status.is_success(), "GET {path}: {status} {}", String::from_utf8_lossy(&body[..body.len().min(400)]));
        Ok(body.to_vec())
    }

    /// POST of JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        Self::json(self.http.post(format!("{}{path}", self.base)).json(body)).await
    }

    /// PUT of JSON.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        Self::json(self.http.put(format!("{}{path}", self.base)).json(body)).await
    }

    async fn json(request: reqwest::RequestBuilder) -> Result<Value> {
        let (client, request) = request.header("x-haohe", "1").build_split();
        let request = request?;
        let what = format!("{} {}", request.method(), request.url());
        let answer = client.execute(request).await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{what}: {status} {text}");
        if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text).with_context(|| format!("{what}: {text}")) }
    }

    /// Waits until `wanted` streams have recorded something within the last three seconds.
    pub(crate) async fn wait_recording(&self, wanted: u32, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let recording = self.recording().await?;
            if recording >= wanted {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("only {recording} of {wanted} streams record after {} s", limit.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// How many streams have recorded something within the last three seconds.
    pub(crate) async fn recording(&self) -> Result<u32> {
        let answer = self.get("/api/v1/cameras").await?;
        let now = answer["as_of_us"].as_i64().context("as_of_us")?;
        let streams =
            answer["cameras"].as_array().into_iter().flatten().flat_map(|c| c["streams"].as_array().into_iter().flatten());
        let fresh = streams.filter(|s| s["recorded_to_us"].as_i64().is_some_and(|to| now - to < 3_000_000)).count();
        Ok(u32::try_from(fresh)?)
    }
}

/// Polls until `ready` answers, at most `limit`.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = ready()? {
            return Ok(value);
        }
        ensure!(Instant::now() < deadline, "waited {} s for {what}", limit.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn restrict(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?)
}

/// Takes any certificate: the room on loopback made its own a moment ago.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
