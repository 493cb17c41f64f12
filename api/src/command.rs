//! What people do at a shell: run a node, check its configuration, look after its files while it is stopped.

use crate::{
    centre,
    config::{Config, LogFormat},
    link::{join, members},
    room,
    sign_in::passwords,
    tls,
};
use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use index::{
    access::{Actor, Person, Role, Scope},
    accounts::{Account, Accounts, PasswordHash},
    events::{self, IndexLimits, Sources},
    footage::tools::{self, Verdict},
    journal::{Copies, CopyLimits, Journal},
    model::{NodeId, Tier},
    node::StateDir,
};
use std::{io::Write, os::unix::fs::OpenOptionsExt, path::PathBuf, sync::Arc};

/// How long reads that are under way when the node has stopped may take.
const LAST_READS: std::time::Duration = std::time::Duration::from_secs(1);

/// A subcommand.
#[derive(Subcommand)]
pub enum Command {
    /// Records a room's cameras and serves its page until told to stop (SIGTERM); SIGHUP takes the configured volumes and cameras anew.
    Room(ConfigFile),
    /// Runs a centre, of a sub-district or of the district: fetches from the nodes below, finds what happened there, and serves its page
    /// until told to stop (SIGTERM).
    Centre(ConfigFile),
    /// Decides who may join a centre. Works beside the running centre.
    #[command(subcommand)]
    Ca(CaCommand),
    /// Joins this node to the centre above, with the code that `haohe ca invite` printed there. Works beside the running node.
    Join {
        /// The code, from haohe1 on.
        code: String,
        /// This node's configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Checks a configuration and everything it refers to, and changes nothing.
    CheckConfig(ConfigFile),
    /// Looks at the footage on a disk, with or without its node.
    #[command(subcommand)]
    Footage(FootageCommand),
    /// Looks after the journal of a stopped node.
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Looks after the people of a stopped node.
    #[command(subcommand)]
    Person(PersonCommand),
    /// Looks after the index of events of a stopped node.
    #[command(subcommand)]
    Events(EventsCommand),
}

/// Which configuration.
#[derive(Args)]
pub struct ConfigFile {
    /// The configuration file.
    #[arg(value_name = "FILE", required_unless_present = "config")]
    file: Option<PathBuf>,
    /// The configuration file.
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
}

/// See [`Command::Footage`].
#[derive(Subcommand)]
pub enum FootageCommand {
    /// Lists what is stored: number, state, stream, from, to, fragments, bytes.
    Ls(VolumeDir),
    /// Reads every byte and compares it with what was written. Fails if anything is damaged.
    Verify(VolumeDir),
    /// Writes a playable MP4 of whatever is whole in a segment's file.
    Extract {
        /// The segment's file.
        segment: PathBuf,
        /// The MP4 to write; it must not exist yet.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Forgets a stopped volume's checkpoint, so that the next start reads every file, and lists what it will find.
    Rebuild(VolumeDir),
}

/// Which volume.
#[derive(Args)]
pub struct VolumeDir {
    /// The volume's directory, as configured.
    #[arg(long, value_name = "DIR")]
    volume: PathBuf,
}

/// See [`Command::Journal`].
#[derive(Subcommand)]
pub enum JournalCommand {
    /// Checks that no record was changed, removed or put elsewhere.
    Verify {
        /// The node's state directory.
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
    },
}

/// See [`Command::Ca`].
#[derive(Subcommand)]
pub enum CaCommand {
    /// Prints a code with which one node may join below this centre, once and within a day. Give it to nobody else.
    Invite {
        /// The centre's configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Where the node reaches this centre's page, host:port; the first of below.names and the port of http.listen if left out.
        #[arg(long)]
        address: Option<String>,
    },
    /// Lists the nodes that joined: node, tier, since, name.
    Ls {
        /// The centre's configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// See [`Command::Events`].
#[derive(Subcommand)]
pub enum EventsCommand {
    /// Makes the index anew from the journal. The old one serves until the new one is complete.
    Rebuild {
        /// The node's configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// See [`Command::Person`].
#[derive(Subcommand)]
pub enum PersonCommand {
    /// Adds a person, who may see the whole site, with a one-time password. Prints only that password.
    Add {
        /// The name to sign in with: a-z, 0-9, dot, underscore and dash.
        name: String,
        /// The node's configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// What they are trusted with; may be given again.
        #[arg(long = "role", value_enum, required = true)]
        roles: Vec<RoleName>,
        /// The name colleagues know; the sign-in name if left out.
        #[arg(long)]
        display: Option<String>,
        /// Always so; the flag says what to expect.
        #[arg(long)]
        one_time: bool,
    },
}

/// A role at the shell.
#[derive(Clone, Copy, ValueEnum)]
pub enum RoleName {
    /// Watches, plays back and exports.
    Operator,
    /// Reads who watched what; holds no other role.
    Auditor,
    /// Configures cameras and people.
    Admin,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Operator => Self::Operator,
            RoleName::Auditor => Self::Auditor,
            RoleName::Admin => Self::Admin,
        }
    }
}

impl ConfigFile {
    fn load(self) -> anyhow::Result<(PathBuf, Config)> {
        let Some(file) = self.file.or(self.config) else { bail!("name a configuration file") };
        let config = Config::load(&file)?;
        Ok((file, config))
    }
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// Why not, in words for whoever typed it.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Room(file) => {
                let (file, config) = file.load()?;
                begin_log(&config)?;
                let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
                let ran = runtime.block_on(room::run(file, config));
                // All that must be kept is on disk by now; a read that still waits for a disk is let go.
                runtime.shutdown_timeout(LAST_READS);
                ran
            }
            Self::Centre(file) => {
                let (_, config) = file.load()?;
                begin_log(&config)?;
                let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
                let ran = runtime.block_on(centre::run(config));
                runtime.shutdown_timeout(LAST_READS);
                ran
            }
            Self::Ca(CaCommand::Invite { config, address }) => invite(&Config::load(&config)?, address),
            Self::Ca(CaCommand::Ls { config }) => list_members(&Config::load(&config)?),
            Self::Join { code, config } => join(&Config::load(&config)?, &code),
            Self::CheckConfig(file) => check_config(file),
            Self::Footage(footage) => footage.run(),
            Self::Journal(JournalCommand::Verify { state }) => verify_journal(&state),
            Self::Events(EventsCommand::Rebuild { config }) => rebuild_events(&Config::load(&config)?),
            Self::Person(PersonCommand::Add { name, config, roles, display, one_time: _ }) => {
                let config = Config::load(&config)?;
                add_person(&config, name, roles, display)
            }
        }
    }
}

impl FootageCommand {
    fn run(self) -> anyhow::Result<()> {
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        match self {
            Self::Ls(VolumeDir { volume }) => tools::ls(&volume, &mut out)?,
            Self::Rebuild(VolumeDir { volume }) => tools::rebuild(&volume, &mut out)?,
            Self::Verify(VolumeDir { volume }) => {
                let Verdict { segments, fragments, bytes, damaged, erased } = tools::verify(&volume, &mut out)?;
                writeln!(
                    out,
                    "{segments} segments, {fragments} fragments, {bytes} bytes, {damaged} damaged, {erased} erased by order"
                )?;
                if damaged > 0 {
                    out.flush()?;
                    bail!("{damaged} fragments or files in {} are not what was written: check the disk", volume.display());
                }
            }
            Self::Extract { segment, out: path } => {
                let options = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
                let file = options.with_context(|| format!("write {}: name a file that does not exist yet", path.display()))?;
                let mut file = std::io::BufWriter::new(file);
                let extracted = tools::extract(&segment, &mut file).map_err(anyhow::Error::from);
                let extracted = extracted.and_then(|fragments| Ok(file.flush().map(|()| fragments)?));
                let fragments = extracted.inspect_err(|_| drop(std::fs::remove_file(&path)))?;
                writeln!(out, "{}: {fragments} fragments", path.display())?;
            }
        }
        out.flush()?;
        Ok(())
    }
}

fn begin_log(config: &Config) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log_filter)
        .with_context(|| format!("log.filter {:?} is not a filter: write info, or info,ingest=debug", config.log_filter))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

fn check_config(file: ConfigFile) -> anyhow::Result<()> {
    let (file, config) = file.load()?;
    for volume in &config.volumes {
        if !volume.path.is_dir() {
            println!("note: volume {}: {} is not there now; mount the disk before starting", volume.name, volume.path.display());
        }
    }
    if let Some((certificate, key)) = &config.http.certificate {
        for path in [certificate, key] {
            std::fs::File::open(path)
                .with_context(|| format!("http: {}: name a file that this user may read", path.display()))?;
        }
    }
    println!("{}: valid, {} cameras, {} volumes", file.display(), config.cameras.len(), config.volumes.len());
    Ok(())
}

/// Who a node is, which may be running; made now if it never ran.
fn identity(config: &Config) -> anyhow::Result<NodeId> {
    match StateDir::peek(&config.state_dir)? {
        Some(node) => Ok(node),
        None => Ok(room::open_state(&config.state_dir)?.node()),
    }
}

fn invite(config: &Config, address: Option<String>) -> anyhow::Result<()> {
    let Some(below) = &config.below else {
        bail!("this configuration has no section [below]: only a centre that has one can be joined")
    };
    identity(config)?;
    let host = below.names.first().map_or("127.0.0.1", String::as_str);
    let address = address.unwrap_or_else(|| format!("{host}:{}", config.http.listen.port()));
    let certificate = tls::own_certificate(&config.http, &config.state_dir)?;
    let code = members::invite(&config.state_dir.join("link"), address, join::fingerprint(&certificate))?;
    println!("{code}");
    Ok(())
}

fn list_members(config: &Config) -> anyhow::Result<()> {
    for member in members::Members::open(&config.state_dir.join("link"))?.list() {
        println!("{} {} {} {}", member.node, member.tier, member.since, member.name);
    }
    Ok(())
}

fn join(config: &Config, code: &str) -> anyhow::Result<()> {
    let code: members::Code = code.parse().map_err(anyhow::Error::msg)?;
    if config.tier == Tier::District {
        bail!("this is the configuration of a district, which has nobody above it");
    }
    tls::choose_provider();
    let node = identity(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let link = config.state_dir.join("link");
    let papers = runtime.block_on(join::join(&code, &link, node, &config.name, config.tier))?;
    println!("joined {} ({}, {}); the running node dials it within seconds", papers.upper_name, papers.upper_tier, papers.broker);
    Ok(())
}

fn verify_journal(state: &std::path::Path) -> anyhow::Result<()> {
    let dir = state.join("journal");
    match Journal::verify(&dir).with_context(|| format!("the journal in {} does not verify", dir.display()))? {
        Some(verified) => println!("{}: the chain holds: {verified:?}", dir.display()),
        None => bail!("{} holds no journal", dir.display()),
    }
    Ok(())
}

fn rebuild_events(config: &Config) -> anyhow::Result<()> {
    let state = room::open_state(&config.state_dir)?;
    let journal = Journal::open(&state.journal(), state.node()).context("open the journal")?;
    let limits = IndexLimits { keep_days: config.event_days };
    let sources = if config.tier.records() {
        Sources::own(journal)
    } else {
        let copies = Copies::open(&state.copies(), CopyLimits::default()).context("open the copies of journals below")?;
        Sources::with_copies(journal, Arc::new(copies))
    };
    let rebuilt = events::rebuild(&state.events(), sources, limits).context("make the index of events anew")?;
    println!("{}: {} events in {:.1} s", state.events().display(), rebuilt.events, rebuilt.took.as_secs_f64());
    Ok(())
}

fn add_person(config: &Config, name: String, roles: Vec<RoleName>, display: Option<String>) -> anyhow::Result<()> {
    let state = room::open_state(&config.state_dir)?;
    let journal = Journal::open(&state.journal(), state.node()).context("open the journal")?;
    let accounts = Accounts::open(&state.people(), journal.clone()).context("open the people file")?;
    let password = passwords::one_time();
    let hash = passwords::hash_now(&password).map_err(anyhow::Error::msg).context("hash the password")?;
    let person = Person {
        display: display.unwrap_or_else(|| name.clone()),
        unit: config.name.clone(),
        roles: roles.into_iter().map(Role::from).collect(),
        scopes: vec![Scope::Everything],
        must_change_password: true,
        name,
    };
    let account = Account { person, password: PasswordHash::new(hash), disabled: false, staff_expires: None };
    accounts.add(&Actor::Shell, account).context("add the person")?;
    journal.close();
    println!("{}", password.expose());
    Ok(())
}
