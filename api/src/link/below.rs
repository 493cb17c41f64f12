//! The upper node's side of all its lines: its authority, its broker, who may dial in, and what is fetched from each.

use super::{
    Line, Standings,
    authority::{Authority, name_of, new_key},
    broker::{Broker, BrokerConfig},
    deliver::deliver,
    down::{self, ExportsBelow, Places, Relays},
    members::{Member, Members, NotAdmitted},
    message::{MAX_NAME, Named},
    nats::{self, NatsLine},
    papers::Papers,
    pull::Peer,
    replicate,
    roster::Roster,
};
use anyhow::Context;
use index::{
    incidents::Casebook,
    journal::Copies,
    model::{NodeId, Tier, UtcMicros},
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What a centre has of the nodes below it.
pub struct Below {
    node: NodeId,
    tier: Tier,
    name: String,
    dir: PathBuf,
    config: BrokerConfig,
    authority: Authority,
    /// Who may dial in.
    pub members: Members,
    /// What is kept of their journals.
    pub copies: Arc<Copies>,
    /// How each copy stands.
    pub standings: Arc<Standings>,
    /// What they are called.
    pub roster: Arc<Roster>,
    /// What is asked of them.
    pub down: Arc<down::Down>,
    /// Which of them has which camera.
    pub places: Places,
    /// What rooms copy for people of this centre.
    pub exports: ExportsBelow,
    /// Their live streams, once the centre runs.
    pub relays: OnceLock<Arc<Relays>>,
    broker: Mutex<Option<Broker>>,
}

impl Below {
    /// Opens what a centre keeps of the nodes below, in its directory of the link. Nothing is asked yet.
    ///
    /// # Errors
    /// If a file does not read back.
    pub fn open(
        (node, tier, name): (NodeId, Tier, &str),
        dir: &Path,
        copies: Arc<Copies>,
        config: BrokerConfig,
    ) -> anyhow::Result<Self> {
        let authority = Authority::open_or_make(dir, node)?;
        let members = Members::open(dir)?;
        let roster = Roster::open(dir);
        for Member { node, name, tier, .. } in members.list() {
            if roster.of(node).is_none_or(|known| known.via != node) {
                roster.admit(Named { node, name, tier });
            }
        }
        let roster = Arc::new(roster);
        let down = Arc::new(down::Down::new(node, Arc::clone(&roster)));
        Ok(Self {
            places: Places::new(Arc::clone(&down), Arc::clone(&roster)),
            exports: ExportsBelow::default(),
            relays: OnceLock::new(),
            down,
            node,
            tier,
            name: name.to_owned(),
            dir: dir.to_owned(),
            config,
            authority,
            members,
            copies,
            standings: Arc::default(),
            roster,
            broker: Mutex::default(),
        })
    }

    /// Admits a node for a one-time code and gives it what it needs to dial in. Waits for the disk.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, secret: &str, member: Member, public_key: &[u8]) -> Result<Papers, NotAdmitted> {
        let certificate = self.authority.vouch_for(member.node, public_key).map_err(NotAdmitted::Disk)?;
        self.members.admit(secret, member.clone(), |member| {
            if member.tier >= self.tier {
                return Err(NotAdmitted::Tier(member.tier));
            }
            let elsewhere = self.roster.of(member.node).is_some_and(|known| known.via != member.node);
            let named = (1..=MAX_NAME).contains(&member.name.chars().count());
            if member.node == self.node || elsewhere || !named { Err(NotAdmitted::Known) } else { Ok(()) }
        })?;
        self.roster.admit(Named { node: member.node, name: member.name, tier: member.tier });
        if let Some(broker) = &*self.broker.lock().unwrap_or_else(PoisonError::into_inner) {
            broker.admit(&self.members.list()).map_err(NotAdmitted::Disk)?;
        }
        Ok(Papers {
            upper: self.node,
            upper_name: self.name.clone(),
            upper_tier: self.tier,
            broker: self.address(),
            authority: self.authority.certificate().to_owned(),
            certificate,
            // The other side has it, and nobody else.
            key: String::new(),
        })
    }

    fn address(&self) -> String {
        let host = self.config.names.first().map_or("127.0.0.1", String::as_str);
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        format!("{host}:{}", self.config.listen.port())
    }

    /// Starts the broker and fetches from every member, also those admitted later, until told to stop.
    ///
    /// # Errors
    /// If the broker does not start.
    pub async fn run(self: Arc<Self>, down: Down, stop: CancellationToken) -> anyhow::Result<tokio::task::JoinHandle<()>> {
        let below = Arc::clone(&self);
        let papers = tokio::task::spawn_blocking(move || {
            let members = below.members.list();
            let broker = Broker::start(below.config.clone(), &below.dir, below.node, &below.authority, &members)?;
            let own = broker.own_address();
            *below.broker.lock().unwrap_or_else(PoisonError::into_inner) = Some(broker);
            below.own_papers(own)
        });
        let papers = papers.await?.context("start the broker for nodes below")?;
        let client = nats::connect(&papers, self.node).await?;
        Ok(tokio::spawn(self.fetch_all(client, down, stop)))
    }

    async fn fetch_all(self: Arc<Self>, client: async_nats::Client, down: Down, stop: CancellationToken) {
        let mut members = self.members.watch();
        let mut fetched: BTreeMap<NodeId, Tier> = BTreeMap::new();
        loop {
            let now = members.borrow_and_update().clone();
            for Member { node, tier, .. } in now {
                if fetched.insert(node, tier).is_none() {
                    let line: Arc<dyn Line> = Arc::new(NatsLine::to(client.clone(), node));
                    let parts = (Arc::clone(&down.incidents), Arc::clone(&self.roster));
                    let (own_line, grew) = (Arc::clone(&line), down.commits.clone());
                    tokio::spawn(deliver(own_line, node, parts, rand::random(), grew, stop.child_token()));
                    self.down.add(node, Arc::clone(&line));
                    let peer = Peer { node, carries: !tier.records() };
                    let known = (Arc::clone(&self.standings), Arc::clone(&self.roster));
                    tokio::spawn(replicate(line, peer, Arc::clone(&self.copies), known, rand::random(), stop.child_token()));
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                changed = members.changed() => if changed.is_err() { break },
            }
        }
        let below = Arc::clone(&self);
        // Ending the broker waits for its process.
        let ended = tokio::task::spawn_blocking(move || drop(below.broker.lock().unwrap_or_else(PoisonError::into_inner).take()));
        if ended.await.is_err() {
            tracing::warn!("the broker did not end cleanly");
        }
    }

    /// What the centre itself shows its broker, made anew at each start.
    fn own_papers(&self, broker: SocketAddr) -> anyhow::Result<Papers> {
        let (key, public) = new_key()?;
        Ok(Papers {
            upper: self.node,
            upper_name: name_of(self.node),
            upper_tier: self.tier,
            broker: broker.to_string(),
            authority: self.authority.certificate().to_owned(),
            certificate: self.authority.vouch_for(self.node, &public)?,
            key,
        })
    }

    /// Each node that a copy is kept of, with its name where it is known, how its copy stands and why it is not complete up to now.
    #[must_use]
    pub fn look(&self, now: UtcMicros) -> Vec<NodeBelow> {
        let copies = self.copies.list();
        let node = |copy: &Arc<index::journal::JournalCopy>| {
            let standing = self.standings.of_copy(copy);
            let node = index::journal::History::node(&**copy);
            NodeBelow { node, known: self.roster.of(node), standing, missing: standing.missing(now) }
        };
        copies.iter().map(node).collect()
    }
}

/// What is handed down to the nodes below.
pub struct Down {
    /// What was done about incidents.
    pub incidents: Arc<Casebook>,
    /// Rung when the node's own journal grew.
    pub commits: watch::Receiver<()>,
}

/// A node below, as people are told of it.
#[derive(Clone, Debug)]
pub struct NodeBelow {
    /// Which node.
    pub node: NodeId,
    /// What it is called.
    pub known: Option<super::roster::Known>,
    /// How its copy stands.
    pub standing: super::Standing,
    /// Why the copy is not complete up to now; `None` if it is.
    pub missing: Option<super::Trouble>,
}

impl std::fmt::Debug for Below {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Below").field("node", &self.node).field("dir", &self.dir).finish_non_exhaustive()
    }
}
