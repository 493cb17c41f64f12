//! Prints the figures that README's table and the goals name. Run through `tests/measure`, which builds what is needed.
//!
//! Each measurement runs the release programs as a user would, `fleet` and `haohe` as processes of their own on loopback,
//! and takes costs from the kernel's accounting. Nothing here fails because a figure is bad: it prints it. It fails when it
//! could not measure.

mod chinese;
mod crash;
mod disk_trouble;
mod disks;
mod district;
mod events;
mod figures;
mod film;
mod fleet;
mod live;
mod loop_disk;
mod mass_return;
mod month;
mod namespaces;
mod page;
mod picture;
mod powercut;
mod process;
mod record;
mod region;
mod reports;
mod room;
mod seek;
mod site;
mod start;
mod sums;
mod tiers;
mod viewing;
mod wan;
mod watch;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "tests/measure",
    about = "Prints the figures behind a promise, and as the last line a JSON object of them all",
    after_help = "What is measured inside the store, on simulated disks and clocks (simulate, ledger, retention and others), stands at the \
                  head of tests/measure itself."
)]
struct Arguments {
    #[command(subcommand)]
    name: Name,
}

#[derive(Subcommand)]
enum Name {
    /// CPU, memory and system calls of a recorder with 50, 100 and 200 cameras of 4 Mbit/s, and frames lost
    Record {
        /// Numbers of cameras
        #[arg(long, value_delimiter = ',', default_value = "50,100,200")]
        cameras: Vec<u32>,
        /// Seconds measured each
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Give every camera this driver (retina, native, libav) instead of probing
        #[arg(long)]
        driver: Option<String>,
    },
    /// A full room: 290 cameras, main and sub-stream, the cameras on the same machine
    Room {
        /// Cameras
        #[arg(long, default_value_t = 290)]
        cameras: u32,
        /// Minutes measured; each writes some 10 GB
        #[arg(long, default_value_t = 5.0)]
        minutes: f64,
        /// Give every camera this driver (retina, native, libav) instead of probing
        #[arg(long)]
        driver: Option<String>,
    },
    /// kill -9 while recording, again and again: what is lost, and how soon it records again
    Crash {
        /// Cameras
        #[arg(long, default_value_t = 50)]
        cameras: u32,
        /// Kills
        #[arg(long, default_value_t = 20)]
        kills: u32,
        /// Times that the recorder is stopped (SIGSTOP) and continued, after the kills
        #[arg(long, default_value_t = 3)]
        stops: u32,
        /// Seconds that each stop lasts
        #[arg(long, default_value_t = 10)]
        stopped: u64,
    },
    /// The store on ext4 and XFS whose power is cut while it writes: what of the acknowledged is lost, and how soon all is known again
    Powercut {
        /// Power cuts of each file system
        #[arg(long, default_value_t = 50)]
        cycles: u32,
        /// What decides when the power goes
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Disks that stand still, are slow, turn read-only, vanish, return, are replaced, full, added: what cameras lose by it
    Disks {
        /// Cameras
        #[arg(long, default_value_t = 6)]
        cameras: u32,
    },
    /// All cameras gone and back at once: until 95 % and all record again, and what that asks of the recorder
    Return {
        /// Cameras
        #[arg(long, default_value_t = 290)]
        cameras: u32,
        /// Seconds they are gone: long enough that waits between attempts have grown to their longest
        #[arg(long, default_value_t = 90)]
        outage: u64,
    },
    /// Time to the first fragment, to coverage, to a still; speed of an export
    Seek {
        /// Cameras recording beside
        #[arg(long, default_value_t = 16)]
        cameras: u32,
        /// Reads of each kind
        #[arg(long, default_value_t = 200)]
        reads: u32,
        /// Days of 50 cameras to lay down and search; 0 leaves that part out
        #[arg(long, default_value_t = 30)]
        days: u32,
    },
    /// The ledger of a whole room and month over HTTPS: how long its sums take
    Sums {
        /// Cameras
        #[arg(long, default_value_t = 290)]
        cameras: u32,
        /// Days
        #[arg(long, default_value_t = 30)]
        days: u32,
    },
    /// The simulated cameras themselves: sessions, Mbit/s, CPU, jitter, with a client that throws the bytes away
    Fleet {
        /// Seconds measured each
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
    /// Frame in at the socket to bytes out at the WebSocket, with 1, 16 and 64 viewers
    Live {
        /// Seconds measured each
        #[arg(long, default_value_t = 20)]
        seconds: u64,
    },
    /// People at a centre in front of a room's cameras, over a line of 100 Mbit/s and within its budget
    Viewing {
        /// People
        #[arg(long, default_value_t = 20)]
        viewers: u32,
        /// Seconds measured of each round, of two
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
    /// Events through journal and index: how many a second on one core, bytes each, how soon they are found
    Index {
        /// Events
        #[arg(long, default_value_t = 300_000)]
        events: u64,
    },
    /// Questions to a month of events, by class, while 2,000 a second come in
    Search {
        /// Events in the month
        #[arg(long, default_value_t = 10_000_000)]
        events: u64,
        /// Questions of each class
        #[arg(long, default_value_t = 100)]
        questions: u32,
    },
    /// Chinese questions with labelled answers: precision at 10 and recall, of both halves of the set
    Chinese,
    /// kill -9 in a storm of events, again and again: lost, doubled, and whether a rebuild is the same index
    EventsCrash {
        /// Kills
        #[arg(long, default_value_t = 50)]
        kills: u32,
    },
    /// What `events-crash` kills
    #[command(hide = true)]
    EventsStorm {
        /// The folder of journal and index
        folder: std::path::PathBuf,
    },
    /// Diagnosis of pictures with known faults, by fault and for both halves of the scenes; motion against what moved; CPU a camera
    Picture {
        /// Streets
        #[arg(long, default_value_t = 64)]
        scenes: u64,
        /// Say what was told wrongly, and the figures behind it
        #[arg(long)]
        explain: bool,
    },
    /// Region search over a month of one camera and of fifty
    Region {
        /// Days
        #[arg(long, default_value_t = 30)]
        days: u32,
        /// Questions of each kind
        #[arg(long, default_value_t = 12)]
        questions: u32,
    },
    /// A crossed line at a camera's socket until its alarm stands on the page in headless Chromium
    Alarm {
        /// Alarms measured
        #[arg(long, default_value_t = 100)]
        alarms: u32,
    },
    /// 45 rooms and the two tiers above them, simulated with everything that goes wrong between: events lost, doubled, out of order
    District {
        /// What decides what goes wrong
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Events a second in all rooms together
        #[arg(long, default_value_t = 2000)]
        events: usize,
        /// Simulated minutes
        #[arg(long, default_value_t = 10)]
        minutes: u64,
    },
    /// A room behind a line that was cut for a day and comes back narrow, lossy and flapping: events lost, and how fast it is caught up with
    Wan {
        /// Events a second of the day
        #[arg(long, default_value_t = 5)]
        events_per_s: u64,
    },
    /// `deploy/demo --district`, from the command to all cameras recorded and all tiers in sync
    DistrictStart {
        /// Times that it is started
        #[arg(long, default_value_t = 3)]
        runs: u32,
        /// Cameras in each of the five rooms
        #[arg(long, default_value_t = 4)]
        cameras: u32,
    },
    /// Incidents in three tiers under kills and cuts: escalated twice or late, moves lost, tiers that disagree after healing
    Incidents {
        /// What decides who does what and what goes wrong
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Incidents
        #[arg(long, default_value_t = 10_000)]
        incidents: usize,
    },
    /// A month of a district's rooms from a seed: what the centres report of them against what each room finds in its own ledger
    Reports {
        /// What decides what happens
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Days
        #[arg(long, default_value_t = 31)]
        days: usize,
    },
    /// The page in headless Chromium: first picture on a wall of 16, scrubbing, memory
    Page {
        /// Minutes of watching before memory is read
        #[arg(long, default_value_t = 5)]
        minutes: u32,
    },
}

fn main() -> Result<()> {
    // The one TLS provider of this workspace; a second call would be a defect, and fails loudly here.
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider is installed twice"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        match Arguments::parse().name {
            Name::Record { cameras, seconds, driver } => record::record(&cameras, seconds, driver.as_deref()).await,
            Name::Room { cameras, minutes, driver } => room::room(cameras, minutes, driver.as_deref()).await,
            Name::Crash { cameras, kills, stops, stopped } => crash::crash(cameras, kills, stops, stopped).await,
            Name::Powercut { cycles, seed } => powercut::powercut(cycles, seed),
            Name::Disks { cameras } => disks::disks(cameras).await,
            Name::Return { cameras, outage } => mass_return::mass_return(cameras, outage).await,
            Name::Seek { cameras, reads, days } => seek::seek(cameras, reads, days).await,
            Name::Sums { cameras, days } => sums::sums(cameras, days).await,
            Name::Fleet { seconds } => fleet::fleet(seconds).await,
            Name::Live { seconds } => live::live(seconds).await,
            Name::Viewing { viewers, seconds } => viewing::viewing(viewers, seconds).await,
            Name::Index { events } => events::index(events),
            Name::Search { events, questions } => events::search(events, questions),
            Name::Chinese => chinese::chinese(),
            Name::EventsCrash { kills } => events::crash(kills),
            Name::EventsStorm { folder } => events::storm(&folder),
            Name::Picture { scenes, explain } => picture::picture(scenes, explain),
            Name::Region { days, questions } => region::region(days, questions),
            Name::District { seed, events, minutes } => tiers::district(seed, events, minutes),
            Name::Wan { events_per_s } => wan::wan(events_per_s).await,
            Name::DistrictStart { runs, cameras } => start::district_start(runs, cameras),
            Name::Incidents { seed, incidents } => tiers::incidents(seed, incidents),
            Name::Reports { seed, days } => reports::reports(seed, days),
            Name::Alarm { alarms } => page::alarm(alarms).await,
            Name::Page { minutes } => page::page(minutes).await,
        }
    })
}
