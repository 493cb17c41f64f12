//! The centre's broker: a NATS server of its own, configured by the list of members and kept running.
//!
//! The nodes below run servers of their own and dial in as its leaves ([`super::leaf`]). Whoever dials in is who its certificate says, by
//! TLS and before anything else. Each member is an account of its own, of which the centre sees one thing: that it answers what it is
//! asked. So no room can speak as another, hear another, or ask anything. The centre itself is a client, on this machine only.

use super::{
    authority::{Authority, name_of},
    members::Member,
    server::{self, LIMITS, Server},
};
use crate::tls::write_private;
use index::model::NodeId;
use std::{
    fmt::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Where it listens and how it is started.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Where lower nodes dial in.
    pub listen: SocketAddr,
    /// The names that they dial, as they stand in its certificate; the first is the one they are told.
    pub names: Vec<String>,
    /// The program.
    pub program: PathBuf,
}

/// The subject on which a node is asked.
#[must_use]
pub fn asked_on(node: NodeId) -> String {
    format!("haohe.link.{node}.ask")
}

/// Where a centre's answers come to.
#[must_use]
pub fn answered_on(centre: NodeId) -> String {
    format!("haohe.answer.{centre}")
}

/// What the server reads: who may come, and what each may say. Pure. `own` is where the centre itself reaches it.
#[must_use]
pub fn written(config: &BrokerConfig, own: SocketAddr, dir: &Path, centre: NodeId, members: &[Member]) -> String {
    let file = |name: &str| format!("{:?}", dir.join(name).display().to_string());
    let tls = format!(
        "tls {{ cert_file: {}, key_file: {}, ca_file: {}, verify_and_map: true, timeout: 10 }}",
        file("broker.pem"),
        file("broker.key"),
        file("authority.pem")
    );
    let mut text = format!(
        "# Written by haohe; changed whenever a node joins.\nserver_name: \"haohe-{centre}\"\nlisten: \"{own}\"\npid_file: {}\n\
         {LIMITS}{tls}\nleafnodes {{ listen: \"{}\", {tls} }}\naccounts {{\n",
        file("broker.pid"),
        config.listen
    );
    let imports = members
        .iter()
        .map(|Member { node, .. }| format!("{{ service: {{ account: \"{node}\", subject: \"{}\" }} }}", asked_on(*node)));
    let _ = writeln!(
        text,
        "  \"{centre}\" {{\n    users: [ {{ user: \"{}\", permissions: {{ publish: \"haohe.link.*.ask\", subscribe: \"{}.>\" }} }} ]\n    \
         imports: [ {} ]\n  }}",
        name_of(centre),
        answered_on(centre),
        imports.collect::<Vec<_>>().join(", ")
    );
    for Member { node, .. } in members {
        // `_R_` is where the server has answers to another account's questions go.
        let _ = writeln!(
            text,
            "  \"{node}\" {{\n    users: [ {{ user: \"{}\", permissions: {{ subscribe: \"{asked}\", publish: \"_R_.>\" }} }} ]\n    \
             exports: [ {{ service: \"{asked}\", accounts: [ \"{centre}\" ] }} ]\n  }}",
            name_of(*node),
            asked = asked_on(*node)
        );
    }
    text.push_str("}\n");
    text
}

/// A broker that is kept running until this is dropped.
pub struct Broker {
    config: BrokerConfig,
    dir: PathBuf,
    centre: NodeId,
    own: SocketAddr,
    server: Server,
}

impl Broker {
    /// Makes its certificate, writes its configuration, and starts it.
    ///
    /// # Errors
    /// If the files cannot be written, or there is no such program.
    pub fn start(
        config: BrokerConfig,
        dir: &Path,
        centre: NodeId,
        authority: &Authority,
        members: &[Member],
    ) -> anyhow::Result<Self> {
        let own = server::own_address()?;
        let names: Vec<String> = config.names.iter().cloned().chain([own.ip().to_string()]).collect();
        let (certificate, key) = authority.for_broker(&names)?;
        write_private(&dir.join("broker.pem"), certificate.as_bytes())?;
        write_private(&dir.join("broker.key"), key.as_bytes())?;
        let text = written(&config, own, dir, centre, members);
        let server = Server::start("broker", &config.program, dir.join("broker.conf"), &text)?;
        Ok(Self { config, dir: dir.to_owned(), centre, own, server })
    }

    /// Where the centre itself reaches it, while this is there.
    #[must_use]
    pub fn own_address(&self) -> SocketAddr {
        self.own
    }

    /// Has it take another list of members: who is on it may come at once, who is not is cut off.
    ///
    /// # Errors
    /// If the list cannot be written.
    pub fn admit(&self, members: &[Member]) -> anyhow::Result<()> {
        self.server.change(&written(&self.config, self.own, &self.dir, self.centre, members))
    }
}
