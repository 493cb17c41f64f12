//! The program as systemd and an operator meet it: what it says when it cannot start, when it is ready, and how it stops.

use std::{
    fs,
    io::Read,
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, net::UnixDatagram, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// `nobody`, on every Debian.
const NOBODY: u32 = 65_534;

/// A folder with a configuration, a volume, and nothing running yet.
struct Site {
    folder: tempfile::TempDir,
    port: u16,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        fs::create_dir(folder.path().join("disk")).expect("a volume");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let site = Self { folder, port };
        site.configure("");
        site
    }

    fn configure(&self, more: &str) {
        let text = format!(
            "[node]\nname = \"东苑社区\"\ntier = \"room\"\nstate_dir = \"state\"\n[http]\nlisten = \"127.0.0.1:{}\"\n\
             [footage]\nsegment_mib = 1\nsub_segment_mib = 1\n[[volume]]\nname = \"disk-01\"\npath = \"disk\"\ncapacity = \"16 MiB\"\n{more}",
            self.port
        );
        fs::write(self.path("room.toml"), text).expect("a configuration");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg("room").arg("--config").arg(self.path("room.toml"));
        command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the room, which is expected not to start, and gives what it said.
    fn refusal(&self) -> String {
        said(&run(&mut self.command(haohe())))
    }
}

fn haohe() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_haohe"))
}

/// Runs a program to its end, which must come.
fn run(command: &mut Command) -> Output {
    let mut running = Running(command.spawn().expect("it starts"));
    running.wait();
    let mut output = Output { status: running.0.try_wait().expect("a status").expect("ended"), stdout: vec![], stderr: vec![] };
    let pipe = running.0.stderr.as_mut().expect("piped");
    pipe.read_to_end(&mut output.stderr).expect("readable");
    output
}

/// What a program that did not start said; it must be told from success.
fn said(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A room that runs; gone with the test.
struct Running(Child);

impl Running {
    fn wait(&mut self) -> std::process::ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("a status") {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it runs on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.0.id().to_string()]).status().expect("kill runs");
        assert!(status.success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

#[test]
fn a_taken_port_is_named_with_its_remedy_and_nothing_is_touched() {
    let site = Site::new();
    let _other = TcpListener::bind(("127.0.0.1", site.port)).expect("the port");
    let address = format!("127.0.0.1:{}", site.port);
    assert_says(&site.refusal(), &["port taken", &address, "http.listen"]);
    assert!(!site.path("state").exists(), "two nodes of one configuration must not share anything");
    assert_eq!(fs::read_dir(site.path("disk")).expect("readable").count(), 0);
}

#[test]
fn a_state_directory_that_cannot_be_made_is_named_with_its_remedy() {
    let site = Site::new();
    let text = fs::read_to_string(site.path("room.toml")).expect("text");
    fs::write(site.path("room.toml"), text.replace("\"state\"", "\"gone/state\"")).expect("a configuration");
    assert_says(&site.refusal(), &["gone/state", "must exist and be writable"]);
}

#[test]
fn a_disk_that_is_not_there_is_named_with_its_directory() {
    let site = Site::new();
    fs::remove_dir(site.path("disk")).expect("gone");
    assert_says(&site.refusal(), &["disk-01", &site.path("disk").display().to_string(), "does not exist"]);
}

#[test]
fn a_directory_that_this_user_may_not_write_is_named_with_the_reason() {
    for forbidden in ["state", "disk"] {
        let site = Site::new();
        let program = site.path("haohe");
        fs::copy(haohe(), &program).expect("a copy that everybody may run");
        fs::set_permissions(site.folder.path(), fs::Permissions::from_mode(0o755)).expect("readable");
        for name in ["state", "disk"] {
            let path = site.path(name);
            fs::create_dir_all(&path).expect("a directory");
            fs::set_permissions(&path, fs::Permissions::from_mode(if name == forbidden { 0o500 } else { 0o700 })).expect("set");
        }
        let mut command = site.command(&program);
        // Root may write anywhere; then another user is tried, to whom all but the one directory belongs.
        if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
            for name in ["state", "disk"].into_iter().filter(|name| *name != forbidden) {
                std::os::unix::fs::chown(site.path(name), Some(NOBODY), Some(NOBODY)).expect("given away");
            }
            command.uid(NOBODY).gid(NOBODY);
        }
        let text = said(&run(&mut command));
        assert_says(&text.to_lowercase(), &["permission", &site.path(forbidden).display().to_string().to_lowercase()]);
    }
}

#[test]
fn a_disk_without_room_for_one_segment_is_named_with_what_it_has_and_what_it_needs() {
    let site = Site::new();
    // A small disk of its own, in a mount namespace that ends with the program.
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "--", "sh", "-c", "mount -t tmpfs -o size=512k none \"$0\" && exec \"$@\""]);
    command.arg(site.path("disk")).arg(haohe()).arg("room").arg("--config").arg(site.path("room.toml"));
    command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let text = said(&run(&mut command));
    if text.contains("unshare failed") {
        eprintln!("SKIPPED: this machine lets nobody make a mount namespace: {text}");
        return;
    }
    assert_says(&text, &["disk-01", &site.path("disk").display().to_string(), "full", "1048576"]);
}

/// The messages that a service manager gets, until one begins with `wanted`.
fn told(manager: &UnixDatagram, wanted: &str) {
    let mut buffer = [0; 1024];
    loop {
        let length = manager.recv(&mut buffer).expect("a message in time");
        if buffer[..length].starts_with(wanted.as_bytes()) {
            return;
        }
    }
}

#[test]
fn the_service_manager_hears_ready_when_it_listens_and_stopping_before_it_ends_cleanly() {
    let site = Site::new();
    // Cameras that are out of reach keep no room from being ready, nor from stopping.
    site.configure(
        "[[camera]]\nid = 1\nname = \"南门\"\nmain = \"rtsp://127.0.0.1:1/main\"\n[ingest]\nallow_networks = [\"127.0.0.0/8\"]\n",
    );
    let manager = UnixDatagram::bind(site.path("notify")).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a bound");
    let out = fs::File::create(site.path("log")).expect("a log");
    let child = site.command(haohe()).env("NOTIFY_SOCKET", site.path("notify")).stderr(out).spawn().expect("it starts");
    let mut room = Running(child);
    told(&manager, "READY=1");
    TcpStream::connect(("127.0.0.1", site.port)).expect("it listens when it says so");
    room.signal("-HUP");
    let begun = Instant::now();
    let log = || fs::read_to_string(site.path("log")).expect("text");
    while !["configuration reloaded", "camera.offline"].iter().all(|word| log().contains(word)) {
        assert!(begun.elapsed() < PATIENCE, "{}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
    room.signal("-TERM");
    told(&manager, "STOPPING=1");
    let status = room.wait();
    assert!(status.success(), "{status}: {}", log());
    assert_says(&log(), &["no connection", "stopped"]);
    let verify = Command::new(haohe()).args(["journal", "verify", "--state"]).arg(site.path("state")).output().expect("it runs");
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stderr));
}

#[test]
fn the_index_of_events_that_is_gone_is_made_anew_from_the_journal_by_one_command() {
    let site = Site::new();
    let manager = UnixDatagram::bind(site.path("notify")).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a bound");
    let out = fs::File::create(site.path("log")).expect("a log");
    let child = site.command(haohe()).env("NOTIFY_SOCKET", site.path("notify")).stderr(out).spawn().expect("it starts");
    let mut room = Running(child);
    told(&manager, "READY=1");
    room.signal("-TERM");
    assert!(room.wait().success());
    let index = site.path("state").join("events");
    fs::remove_dir_all(&index).expect("there was one");
    let rebuild = || {
        let done =
            Command::new(haohe()).args(["events", "rebuild", "--config"]).arg(site.path("room.toml")).output().expect("it runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        said.split(": ").nth(1).and_then(|rest| rest.split(' ').next()).and_then(|count| count.parse::<u64>().ok())
    };
    let events = rebuild();
    assert!(events.is_some_and(|count| count >= 2), "that it started and stopped, at least: {events:?}");
    assert!(index.join("complete.json").exists());
    assert_eq!(rebuild(), events, "and again, over one that is there");
}

#[test]
fn a_configuration_is_refused_by_file_key_and_remedy_before_anything_listens() {
    let site = Site::new();
    site.configure("[retention]\nstandard_days = 7\n");
    assert_says(&site.refusal(), &["room.toml", "retention.standard_days", "Keep 30 to 3650 days"]);
    assert!(!site.path("state").exists());
}
