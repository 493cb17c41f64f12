//! `disks`: what operators meet. One disk of three stands still, is slow, turns read-only, vanishes, comes back, is replaced, is filled
//! by something else; one is added. Cameras go on: what is lost of their new footage, how soon they are recorded elsewhere, how soon
//! somebody is told. Real file systems on loop devices, real processes.

use crate::{
    disk_trouble::{Fault, Trouble},
    figures::Figures,
    loop_disk::LoopDisk,
    process::Process,
    site::{Client, Clips, Plan, Site},
};
use anyhow::{Context, Result, bail, ensure};
use index::model::UtcMicros;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

/// Bytes of a disk for segments.
const CAPACITY_MIB: u64 = 448;
/// Bytes that a file of somebody else's leaves of a disk.
const LEFT: u64 = 96 << 20;
/// How long is recorded with a fault, and after it.
const WATCHED: Duration = Duration::from_secs(12);
/// How long anything that shall come is waited for.
const LIMIT: Duration = Duration::from_secs(60);
/// The disk that things happen to.
const VICTIM: usize = 1;

/// `tests/measure disks`.
pub(crate) async fn disks(cameras: u32) -> Result<()> {
    let mut figures = Figures::default();
    if let Err(error) = LoopDisk::make(&std::env::current_dir()?.join(".cache/measure/disks-try"), "xfs") {
        println!("skipped: this machine mounts no loop devices ({error:#})");
        figures.add("skipped", 1.0, "measurements");
        figures.finish();
        return Ok(());
    }
    let (mut worst, mut skipped) = (Lost::default(), 0.0);
    for fault in Fault::ALL {
        match watch(fault, cameras, &mut figures).await? {
            Some(lost) => worst = worst.max(&lost),
            None => skipped += 1.0,
        }
    }
    figures.add("other_footage_lost_s", worst.others_s, "s");
    figures.add("own_footage_lost_s", worst.own_s, "s");
    figures.add("skipped", skipped, "faults");
    figures.finish();
    Ok(())
}

/// New footage lost per camera at the worst: of cameras recorded on other disks, and on the one concerned.
#[derive(Default)]
struct Lost {
    others_s: f64,
    own_s: f64,
}

impl Lost {
    fn max(&self, other: &Self) -> Self {
        Self { others_s: self.others_s.max(other.others_s), own_s: self.own_s.max(other.own_s) }
    }
}

/// A room with disks of its own, and who looks at it.
struct Bench {
    site: Site,
    config: String,
    folder: PathBuf,
    cameras: u32,
    client: Client,
    room: Process,
    fleet: Process,
    /// When the room was started.
    began: Instant,
    /// Go last: the room uses them.
    disks: Vec<LoopDisk>,
}

/// Something that is being watched: since when, and whose cameras it concerns.
struct Phase {
    mine: BTreeSet<u32>,
    from_us: i64,
    began: Instant,
}

/// One fault, on disks and a room of its own. `None` if this machine cannot bring it about.
async fn watch(fault: Fault, cameras: u32, figures: &mut Figures) -> Result<Option<Lost>> {
    let mut bench = Bench::start(fault, cameras).await?;
    let word = fault.word();
    if fault == Fault::Full {
        // Known from the start: by its size it is given fewer cameras, or none.
        bench.alarm(word, bench.began, figures).await?;
    }
    let phase = bench.settled().await?;
    ensure!(fault == Fault::Full || !phase.mine.is_empty(), "no camera is recorded on the disk that something shall happen to");
    let Some(mut trouble) = Trouble::begin(fault, &bench.disks[VICTIM])? else {
        println!("skipped: {word}: this machine cannot bring it about");
        return Ok(None);
    };
    // Of a disk whose segments are all there nobody needs to be told, and nothing needs to move.
    if !matches!(fault, Fault::Full | Fault::Filled) {
        bench.alarm(word, phase.began, figures).await?;
        bench.moved(word, &phase, figures).await?;
    }
    tokio::time::sleep(WATCHED.saturating_sub(phase.began.elapsed())).await;
    trouble.end()?;
    let mut worst = bench.lost(word, &phase, figures).await?;
    if fault == Fault::Vanished {
        for after in [bench.returns(figures).await?, bench.is_replaced(figures).await?, bench.is_added(figures).await?] {
            worst = worst.max(&after);
        }
    }
    bench.stop()?;
    Ok(Some(worst))
}

impl Bench {
    async fn start(fault: Fault, cameras: u32) -> Result<Self> {
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
            disks[VICTIM].fill(LEFT)?;
        }
        let fleet = site.start_fleet()?;
        let (began, room) = (Instant::now(), site.start_room()?);
        let client = site.sign_in().await?;
        Ok(Self { site, config, folder, cameras, client, room, fleet, began, disks })
    }

    fn stop(self) -> Result<()> {
        let Self { room, fleet, disks, .. } = self;
        room.stop()?;
        fleet.stop()?;
        drop(disks);
        Ok(())
    }

    /// All cameras are recorded: from now on is watched.
    async fn settled(&self) -> Result<Phase> {
        self.client.wait_recording(self.cameras, LIMIT).await?;
        tokio::time::sleep(Duration::from_secs(4)).await;
        self.phase().await
    }

    async fn phase(&self) -> Result<Phase> {
        let mine = cameras_on(&self.client, VICTIM, self.cameras).await?;
        Ok(Phase { mine, from_us: UtcMicros::now().as_micros(), began: Instant::now() })
    }

    /// Until somebody is told of a disk.
    async fn alarm(&self, word: &str, began: Instant, figures: &mut Figures) -> Result<()> {
        let of_a_disk = |problem: &Value| problem["kind"].as_str().is_some_and(|kind| kind.starts_with("disk_"));
        self.wait("an alarm", |health| health["problems"].as_array().into_iter().flatten().any(of_a_disk)).await?;
        figures.add(&format!("{word}_alarm_s"), began.elapsed().as_secs_f64(), "s");
        Ok(())
    }

    /// Until the disk's cameras are recorded on others.
    async fn moved(&self, word: &str, phase: &Phase, figures: &mut Figures) -> Result<()> {
        self.wait("the cameras to move", |health| volume(health, VICTIM)["streams"] == 0).await?;
        figures.add(&format!("{word}_rehome_s"), phase.began.elapsed().as_secs_f64(), "s");
        Ok(())
    }

    async fn lost(&self, word: &str, phase: &Phase, figures: &mut Figures) -> Result<Lost> {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let lost = lost(&self.client, self.cameras, &phase.mine, phase.from_us).await?;
        figures.add(&format!("{word}_other_footage_lost_s"), lost.others_s, "s");
        figures.add(&format!("{word}_own_footage_lost_s"), lost.own_s, "s");
        Ok(lost)
    }

    /// The disk that vanished is mounted again. Nobody is recorded there now, so nobody's footage may be touched by it.
    async fn returns(&mut self, figures: &mut Figures) -> Result<Lost> {
        let phase = Phase { mine: BTreeSet::new(), from_us: UtcMicros::now().as_micros(), began: Instant::now() };
        // The room has let go of it: otherwise this fails.
        self.disks[VICTIM].unmount()?;
        self.disks[VICTIM].mount()?;
        self.taken_in("returned", &phase, figures).await
    }

    /// The disk vanishes again, and another, empty one is put in its place.
    async fn is_replaced(&mut self, figures: &mut Figures) -> Result<Lost> {
        self.wait("a camera to be recorded on it again", |health| volume(health, VICTIM)["streams"] != 0).await?;
        tokio::time::sleep(Duration::from_secs(4)).await;
        let phase = self.phase().await?;
        drop(Trouble::begin(Fault::Vanished, &self.disks[VICTIM])?.context("it vanished before")?);
        self.moved("replaced", &phase, figures).await?;
        self.wait("the disk to be missed", |health| volume(health, VICTIM)["state"] == "failed").await?;
        self.disks[VICTIM].unmount()?;
        self.disks[VICTIM].format("xfs")?;
        let mounted = Phase { began: Instant::now(), ..phase };
        self.disks[VICTIM].mount()?;
        self.taken_in("replaced", &mounted, figures).await
    }

    /// A fourth disk is configured while the room records.
    async fn is_added(&mut self, figures: &mut Figures) -> Result<Lost> {
        self.disks.push(LoopDisk::make(&self.folder.join("d4"), "ext4")?);
        write_config(&self.site, &self.config, &self.disks)?;
        let phase = Phase { mine: BTreeSet::new(), from_us: UtcMicros::now().as_micros(), began: Instant::now() };
        self.room.reload()?;
        self.wait("the added disk", |health| volume(health, 3)["state"] == "ok").await?;
        figures.add("added_s", phase.began.elapsed().as_secs_f64(), "s");
        self.wait("a camera to be recorded on it", |health| volume(health, 3)["streams"] != 0).await?;
        figures.add("added_used_s", phase.began.elapsed().as_secs_f64(), "s");
        self.lost("added", &phase, figures).await
    }

    async fn taken_in(&self, word: &str, phase: &Phase, figures: &mut Figures) -> Result<Lost> {
        self.wait("the disk to be taken in", |health| volume(health, VICTIM)["state"] == "ok").await?;
        figures.add(&format!("{word}_s"), phase.began.elapsed().as_secs_f64(), "s");
        tokio::time::sleep(Duration::from_secs(4)).await;
        self.lost(word, phase, figures).await
    }

    /// Polls the health page until it says so.
    async fn wait(&self, what: &str, ready: impl Fn(&Value) -> bool) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let health = self.client.get("/api/v1/health").await?;
            if ready(&health) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("waited {} s for {what}; the volumes: {}", LIMIT.as_secs(), health["volumes"]);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
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
