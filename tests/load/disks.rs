//! `disks`: what operators meet. One disk of three stands still, is slow, turns read-only, vanishes, comes back, is replaced, is filled
//! by something else; one is added. Cameras go on: what is lost of their new footage, how soon they are recorded elsewhere, how soon
//! somebody is told. Real file systems on loop devices, real processes.

use crate::{
    figures::Figures,
    loop_disk::{LoopDisk, run},
    process::Process,
    site::{Client, Clips, Plan, Site},
};
use anyhow::{Context, Result, bail, ensure};
use index::model::UtcMicros;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Bytes of a disk for segments.
const CAPACITY_MIB: u64 = 448;
/// How long is recorded with a fault, and after it.
const WATCHED: Duration = Duration::from_secs(12);
/// How long anything that shall come is waited for.
const LIMIT: Duration = Duration::from_secs(60);
/// The disk that things happen to. XFS, for its shutdown can be asked for at a shell.
const VICTIM: usize = 1;

/// What happens to the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Stalled,
    Slow,
    ReadOnly,
    Vanished,
    Full,
}

impl Fault {
    const ALL: [Self; 5] = [Self::Stalled, Self::Slow, Self::ReadOnly, Self::Vanished, Self::Full];

    fn word(self) -> &'static str {
        match self {
            Self::Stalled => "stalled",
            Self::Slow => "slow",
            Self::ReadOnly => "read_only",
            Self::Vanished => "vanished",
            Self::Full => "full",
        }
    }

    /// The file system that it can be shown on.
    fn file_system(self) -> &'static str {
        match self {
            Self::ReadOnly => "ext4",
            _ => "xfs",
        }
    }
}

/// `tests/measure disks`.
pub(crate) async fn disks(cameras: u32) -> Result<()> {
    let mut figures = Figures::default();
    if let Err(error) = LoopDisk::make(&std::env::current_dir()?.join(".cache/measure/disks-try"), "xfs") {
        println!("skipped: this machine mounts no loop devices ({error:#})");
        figures.add("skipped", 1.0, "measurements");
        figures.finish();
        return Ok(());
    }
    let (mut others, mut own, mut skipped) = (0.0_f64, 0.0_f64, 0.0);
    for fault in Fault::ALL {
        match watch(fault, cameras, &mut figures).await? {
            Some(lost) => {
                others = others.max(lost.others_s);
                own = own.max(lost.own_s);
            }
            None => skipped += 1.0,
        }
    }
    figures.add("other_footage_lost_s", others, "s");
    figures.add("own_footage_lost_s", own, "s");
    figures.add("skipped", skipped, "faults");
    figures.finish();
    Ok(())
}

/// New footage lost per camera at the worst: of cameras recorded on other disks, and on the one concerned.
struct Lost {
    others_s: f64,
    own_s: f64,
}

/// One fault, on disks and a room of its own. `None` if this machine cannot bring it about.
async fn watch(fault: Fault, cameras: u32, figures: &mut Figures) -> Result<Option<Lost>> {
    let mut site = Site::prepare("disks", Plan { cameras, sub: false, seconds: 60, driver: None, clips: Clips::Full })?;
    let folder = site.config().parent().context("a folder")?.to_owned();
    let mut disks = Vec::new();
    for n in 0..3 {
        let kind = if n == VICTIM { fault.file_system() } else { "ext4" };
        disks.push(LoopDisk::make(&folder.join(format!("d{}", n + 1)), kind)?);
    }
    let config = fs::read_to_string(site.config())?;
    write_config(&site, &config, &disks)?;
    if fault == Fault::Full {
        // Before the pool is: segments that there are cannot be taken away by another file.
        disks[VICTIM].fill(96 << 20)?;
    }
    let fleet = site.start_fleet()?;
    let room = site.start_room()?;
    let client = site.sign_in().await?;
    client.wait_recording(cameras, LIMIT).await?;
    tokio::time::sleep(Duration::from_secs(4)).await;

    let word = fault.word();
    let mine = cameras_on(&client, VICTIM, cameras).await?;
    ensure!(fault == Fault::Full || !mine.is_empty(), "no camera is recorded on the disk that shall fail");
    let from_us = UtcMicros::now().as_micros();
    let began = Instant::now();
    let Some(mut trouble) = Trouble::begin(fault, &disks[VICTIM])? else {
        println!("skipped: {word}: this machine cannot bring it about");
        return Ok(None);
    };
    let alarm = wait(&client, "an alarm", |health| {
        let problems = health["problems"].as_array().into_iter().flatten();
        problems.filter(|problem| problem["kind"].as_str().is_some_and(|kind| kind.starts_with("disk_"))).count() > 0
    });
    let alarm_s = alarm.await.map(|()| began.elapsed().as_secs_f64())?;
    figures.add(&format!("{word}_alarm_s"), alarm_s, "s");
    if fault != Fault::Full {
        wait(&client, "the cameras to move", |health| volume(health, VICTIM)["streams"] == 0).await?;
        figures.add(&format!("{word}_rehome_s"), began.elapsed().as_secs_f64(), "s");
    }
    tokio::time::sleep(WATCHED.saturating_sub(began.elapsed())).await;
    trouble.end()?;
    if fault == Fault::Vanished {
        comes_back(&client, &mut disks, figures).await?;
        is_added(&client, &site, &config, &mut disks, &folder, &room, figures).await?;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let lost = lost(&client, cameras, &mine, from_us).await?;
    figures.add(&format!("{word}_other_footage_lost_s"), lost.others_s, "s");
    figures.add(&format!("{word}_own_footage_lost_s"), lost.own_s, "s");
    room.stop()?;
    fleet.stop()?;
    Ok(Some(lost))
}

/// The disk is mounted again; then another, empty one is in its place.
async fn comes_back(client: &Client, disks: &mut [LoopDisk], figures: &mut Figures) -> Result<()> {
    let ok = |health: &Value| volume(health, VICTIM)["state"] == "ok";
    disks[VICTIM].detach()?;
    let began = Instant::now();
    disks[VICTIM].mount()?;
    wait(client, "the disk to be taken back", ok).await?;
    figures.add("returned_s", began.elapsed().as_secs_f64(), "s");
    disks[VICTIM].detach()?;
    wait(client, "the disk to be missed", |health| !ok(health)).await?;
    let began = Instant::now();
    disks[VICTIM].format("xfs")?;
    disks[VICTIM].mount()?;
    wait(client, "the new disk to be taken in", ok).await?;
    figures.add("replaced_s", began.elapsed().as_secs_f64(), "s");
    Ok(())
}

/// A fourth disk is configured while the room records.
async fn is_added(
    client: &Client,
    site: &Site,
    config: &str,
    disks: &mut Vec<LoopDisk>,
    folder: &Path,
    room: &Process,
    figures: &mut Figures,
) -> Result<()> {
    disks.push(LoopDisk::make(&folder.join("d4"), "ext4")?);
    write_config(site, config, disks)?;
    let began = Instant::now();
    room.reload()?;
    wait(client, "the added disk", |health| volume(health, 3)["state"] == "ok").await?;
    figures.add("added_s", began.elapsed().as_secs_f64(), "s");
    Ok(())
}

/// The room's configuration with these disks instead of its own volume.
fn write_config(site: &Site, config: &str, disks: &[LoopDisk]) -> Result<()> {
    let (before, rest) = config.split_once("[footage]").context("[footage]")?;
    let cameras = rest.find("[[camera]]").map_or("", |at| &rest[at..]);
    let mut text = format!("{before}[footage]\nsegment_mib = 16\nsub_segment_mib = 4\n\n");
    for (n, disk) in disks.iter().enumerate() {
        let path = disk.mount_point.display();
        text += &format!("[[volume]]\nname = \"d{}\"\npath = \"{path}\"\ncapacity = \"{CAPACITY_MIB} MiB\"\n\n", n + 1);
    }
    Ok(fs::write(site.config(), text + cameras)?)
}

fn volume(health: &Value, index: usize) -> &Value {
    &health["volumes"][index]
}

/// Polls the health page until it says so.
async fn wait(client: &Client, what: &str, ready: impl Fn(&Value) -> bool) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let health = client.get("/api/v1/health").await?;
        if ready(&health) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("waited {} s for {what}; the volumes: {}", LIMIT.as_secs(), health["volumes"]);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The cameras whose newest fragment is on a volume.
async fn cameras_on(client: &Client, index: usize, cameras: u32) -> Result<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    let to = UtcMicros::now().as_micros();
    for camera in 1..=cameras {
        let path = format!("/api/v1/fragments/{camera}/main?from_us={}&to_us={to}", to - 4_000_000);
        let answer = client.get(&path).await?;
        let last = answer["fragments"].as_array().and_then(|fragments| fragments.last()).context("no fragment")?;
        // A segment's name begins with the number of its volume.
        let uri = last["uri"].as_str().context("uri")?;
        let name =
            uri.split(['/', '?']).find(|part| part.split('-').count() == 3).with_context(|| format!("no segment in {uri}"))?;
        if name.split('-').next() == Some(&index.to_string()) {
            found.insert(camera);
        }
    }
    Ok(found)
}

/// The seconds since `from_us` that are not recorded, of the worst camera of each kind; up to where recording has surely come.
async fn lost(client: &Client, cameras: u32, mine: &BTreeSet<u32>, from_us: i64) -> Result<Lost> {
    let to_us = UtcMicros::now().as_micros() - 2_500_000;
    let ids: Vec<String> = (1..=cameras).map(|id| id.to_string()).collect();
    let path = format!("/api/v1/coverage?cameras={}&stream=main&from_us={from_us}&to_us={to_us}&px=8192", ids.join(","));
    let answer = client.get(&path).await?;
    let mut worst = BTreeMap::from([(false, 0.0_f64), (true, 0.0)]);
    for row in answer["rows"].as_array().context("rows")? {
        let camera = row["camera"].as_u64().context("camera")? as u32;
        let intervals = row["intervals"].as_array().context("intervals")?;
        let recorded = intervals.iter().filter_map(|i| Some((i[1].as_i64()? - i[0].as_i64()?) as f64 * i[3].as_f64()?));
        let missing = ((to_us - from_us) as f64 - recorded.sum::<f64>()).max(0.0) / 1e6;
        let entry = worst.entry(mine.contains(&camera)).or_default();
        *entry = entry.max(missing);
    }
    Ok(Lost { others_s: worst[&false], own_s: worst[&true] })
}

/// A fault under way; ended when dropped, so that nothing stays frozen.
struct Trouble {
    mount_point: PathBuf,
    thaw: bool,
    slow: Option<std::thread::JoinHandle<()>>,
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Trouble {
    fn begin(fault: Fault, disk: &LoopDisk) -> Result<Option<Self>> {
        let path = disk.mount_point.clone();
        let stop = std::sync::Arc::<std::sync::atomic::AtomicBool>::default();
        let mut trouble = Self { mount_point: path.clone(), thaw: false, slow: None, stop: stop.clone() };
        match fault {
            Fault::Stalled => {
                run("fsfreeze", &["-f".as_ref(), path.as_os_str()])?;
                trouble.thaw = true;
            }
            Fault::Slow => {
                // Answers for a moment in every two seconds.
                trouble.slow = Some(std::thread::spawn(move || {
                    while !stop.load(std::sync::atomic::Ordering::Acquire) {
                        let _ = run("fsfreeze", &["-f".as_ref(), path.as_os_str()]);
                        std::thread::sleep(Duration::from_millis(1800));
                        let _ = run("fsfreeze", &["-u".as_ref(), path.as_os_str()]);
                        std::thread::sleep(Duration::from_millis(100));
                    }
                }));
            }
            Fault::ReadOnly => {
                let device = disk.device.file_name().context("a device")?;
                let trigger = Path::new("/sys/fs/ext4").join(device).join("trigger_fs_error");
                if fs::write(&trigger, "measured").is_err() {
                    return Ok(None);
                }
            }
            Fault::Vanished => {
                if run("xfs_io", &["-x".as_ref(), "-c".as_ref(), "shutdown".as_ref(), path.as_os_str()]).is_err() {
                    return Ok(None);
                }
            }
            Fault::Full => {}
        }
        Ok(Some(trouble))
    }

    fn end(&mut self) -> Result<()> {
        self.stop.store(true, std::sync::atomic::Ordering::Release);
        if let Some(slow) = self.slow.take() {
            drop(slow.join());
        }
        if std::mem::take(&mut self.thaw) {
            run("fsfreeze", &["-u".as_ref(), self.mount_point.as_os_str()])?;
        }
        Ok(())
    }
}

impl Drop for Trouble {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("{error:#}");
        }
    }
}
