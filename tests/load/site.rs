//! One room and its simulated cameras as two processes on loopback, with a folder of their own, and a signed-in client.

use crate::process::{Process, sibling};
use anyhow::{Context, Result, bail, ensure};
use index::model::UtcMicros;
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

/// Sizes of segment files, in MiB. Each stream holds one open, so they decide how much disk a run needs beside what it records.
#[derive(Clone, Copy)]
pub(crate) struct Segments {
    /// Of main streams.
    pub(crate) main_mib: u32,
    /// Of sub-streams.
    pub(crate) sub_mib: u32,
}

impl Segments {
    /// A quarter of the defaults, so that a small disk holds them.
    pub(crate) const QUARTER: Self = Self { main_mib: 64, sub_mib: 16 };
    /// For runs that fill a small machine's disk: what 290 open segments take is a few per cent of what five minutes record.
    pub(crate) const SMALL: Self = Self { main_mib: 16, sub_mib: 2 };
}

/// What to start.
pub(crate) struct Plan {
    /// Simulated cameras.
    pub(crate) cameras: u32,
    /// Whether they are used whole: sub-streams recorded too and their key pictures looked at, what cameras tell made events.
    /// Otherwise main streams are recorded, and nothing else costs anything.
    pub(crate) sub: bool,
    /// For how long it records at the most, in seconds: what the volume must hold.
    pub(crate) seconds: u64,
    /// The driver that every camera's configuration names; `None` leaves it to the probe.
    pub(crate) driver: Option<String>,
    /// What the cameras send.
    pub(crate) clips: Clips,
}

/// How large the simulated pictures are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clips {
    /// 1080p at 4 Mbit/s, and 640×360 at 0.5.
    Full,
    /// 320×180 at 0.4 Mbit/s, for what is not about bytes.
    Tiny,
}

impl Plan {
    /// What all cameras record in the time, and the segment that each stream has open, in MiB.
    fn capacity_mib(&self, segments: Segments) -> u64 {
        self.open_mib(segments) + self.rate_kib_per_s() * self.seconds / 1024
    }

    /// The segments that all streams have open, and one more in eight.
    fn open_mib(&self, segments: Segments) -> u64 {
        let each = segments.main_mib + if self.sub { segments.sub_mib } else { 0 };
        u64::from(self.cameras) * u64::from(each) * 9 / 8
    }

    /// What is written a second: 4 and 0.5 Mbit/s as the cameras' encoders meet them (some 5 % more), and padding to whole blocks.
    fn rate_kib_per_s(&self) -> u64 {
        if self.clips == Clips::Tiny {
            return u64::from(self.cameras) * TINY_RATE_KIB;
        }
        u64::from(self.cameras) * if self.sub { RATE_KIB + SUB_RATE_KIB } else { RATE_KIB }
    }

    /// Refuses a run that the disk under `folder` cannot hold, and says how long a run it could.
    fn check_disk(&self, segments: Segments, folder: &Path) -> Result<()> {
        let free_mib = free_mib(folder)?;
        let fits = free_mib.saturating_sub(self.open_mib(segments)) * 1024 / self.rate_kib_per_s().max(1);
        let needed_mib = self.capacity_mib(segments);
        ensure!(
            needed_mib <= free_mib,
            "disk too small: {} cameras need {needed_mib} MiB for {} s, start included, and {} has {free_mib} MiB to spare, enough for \
             {fits} s. Free some space, or ask for fewer cameras or minutes",
            self.cameras,
            self.seconds,
            folder.display()
        );
        Ok(())
    }
}

/// What the disk under `folder` has to spare, in MiB.
fn free_mib(folder: &Path) -> Result<u64> {
    const SPARE_MIB: u64 = 1024;
    let disk = rustix::fs::statvfs(folder).with_context(|| format!("ask how full the disk under {} is", folder.display()))?;
    Ok(((disk.f_bavail * disk.f_frsize) >> 20).saturating_sub(SPARE_MIB))
}

/// What a main stream writes a second, in KiB.
const RATE_KIB: u64 = 525;
/// What a main stream of tiny pictures writes a second, in KiB: mostly padding of small fragments.
const TINY_RATE_KIB: u64 = 75;
/// What a sub-stream writes a second, in KiB.
const SUB_RATE_KIB: u64 = 75;

/// A folder under `.cache/measure` that holds everything of one run; emptied before, removed after.
pub(crate) struct Site {
    folder: PathBuf,
    plan: Plan,
    segments: Segments,
    capacity_mib: u64,
    ports: Ports,
    password: Option<String>,
}

struct Ports {
    fleet: u16,
    control: u16,
    page: u16,
}

impl Site {
    /// Prepares the folder and the room's configuration, if the disk can hold the run. Nothing runs yet.
    pub(crate) fn prepare(name: &str, plan: Plan) -> Result<Self> {
        Self::prepare_with(name, plan, Segments::QUARTER)
    }

    /// As [`Site::prepare`], with segment files of a size to be named.
    pub(crate) fn prepare_with(name: &str, plan: Plan, segments: Segments) -> Result<Self> {
        let folder = std::env::current_dir()?.join(".cache/measure").join(name);
        let _ = fs::remove_dir_all(&folder);
        for part in ["state", "volume"] {
            fs::create_dir_all(folder.join(part))?;
        }
        restrict(&folder.join("state"))?;
        plan.check_disk(segments, &folder)?;
        let ports = Ports { fleet: free_port()?, control: free_port()?, page: free_port()? };
        let capacity_mib = plan.capacity_mib(segments);
        let site = Self { folder, plan, segments, capacity_mib, ports, password: None };
        fs::write(site.config(), site.toml())?;
        Ok(site)
    }

    /// Lets the volume hold so many bytes more than the run records, if the disk has them.
    pub(crate) fn allow_more(&mut self, bytes: u64) -> Result<()> {
        self.capacity_mib += bytes >> 20;
        let (needed_mib, free_mib) = (self.capacity_mib, free_mib(&self.folder)?);
        ensure!(
            needed_mib <= free_mib,
            "disk too small: what is to be laid down first needs {needed_mib} MiB, and {} has {free_mib} MiB to spare. Free some space, or \
             ask for fewer cameras or days",
            self.folder.display()
        );
        Ok(fs::write(self.config(), self.toml())?)
    }

    fn toml(&self) -> String {
        let folder = self.folder.display();
        let mut text = format!(
            "[node]\nname = \"measure\"\ntier = \"room\"\nstate_dir = \"{folder}/state\"\n\n[http]\nlisten = \"127.0.0.1:{}\"\n\n\
             [ingest]\nallow_networks = [\"127.0.0.1/32\"]\n\n\
             [pictures]\ncpu_percent = {}\n\n\
             [retention]\nstandard_days = 31\n\n[footage]\nsegment_mib = {}\nsub_segment_mib = {}\n\n\
             [[volume]]\nname = \"disk1\"\npath = \"{folder}/volume\"\ncapacity = \"{} MiB\"\n",
            self.ports.page,
            if self.plan.sub { 100 } else { 0 },
            self.segments.main_mib,
            self.segments.sub_mib,
            self.capacity_mib
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

    /// Where the node keeps what it must not forget.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.join("state")
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
        let mut arguments = vec![
            "serve".to_owned(),
            "--cameras".to_owned(),
            self.plan.cameras.to_string(),
            "--listen".to_owned(),
            format!("127.0.0.1:{}", self.ports.fleet),
            "--control".to_owned(),
            format!("127.0.0.1:{}", self.ports.control),
        ];
        if !self.plan.sub {
            arguments.push("--no-metadata".to_owned());
        }
        if self.plan.clips == Clips::Tiny {
            arguments.push("--tiny".to_owned());
        }
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
    pub(crate) fn new(base: String) -> Result<Self> {
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

    /// GET, as JSON; once more where the connection that was kept from before has ended.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        let ask = || Self::json(self.http.get(format!("{}{path}", self.base)));
        let ended = |error: &anyhow::Error| error.downcast_ref().is_some_and(reqwest::Error::is_request);
        match ask().await {
            Err(error) if ended(&error) => ask().await,
            answered => answered,
        }
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

    /// Waits until `wanted` streams have recorded something that was filmed after `since_us`.
    pub(crate) async fn wait_recorded_since(&self, wanted: u32, since_us: i64, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let recording = self.recorded_after(since_us).await?;
            if recording >= wanted {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "only {recording} of {wanted} streams record again after {} s", limit.as_secs());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// How many streams have recorded something within the last three seconds.
    pub(crate) async fn recording(&self) -> Result<u32> {
        self.recorded_after(UtcMicros::now().as_micros() - 3_000_000).await
    }

    async fn recorded_after(&self, since_us: i64) -> Result<u32> {
        let answer = self.get("/api/v1/cameras").await?;
        let streams =
            answer["cameras"].as_array().into_iter().flatten().flat_map(|c| c["streams"].as_array().into_iter().flatten());
        let fresh = streams.filter(|s| s["recorded_to_us"].as_i64().is_some_and(|to| to > since_us)).count();
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

pub(crate) fn free_port() -> Result<u16> {
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
