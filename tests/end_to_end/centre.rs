//! Centres above a room, with brokers between them, in one process.

use crate::node::{Client, Node};
use api::{
    centre::Centre,
    config::Config,
    link::{join, members},
    sign_in::passwords,
};
use index::{
    access::{Actor, Person, Role, Scope},
    accounts::{Account, PasswordHash},
    model::{NodeId, Secret, Tier},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::{net::TcpListener, path::Path};

/// A centre, with an operator, one for a part of the site tree, and an auditor.
pub(crate) struct Above {
    pub(crate) centre: Centre,
    folder: tempfile::TempDir,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port()
}

impl Above {
    pub(crate) async fn start(tier: Tier, name: &str) -> Self {
        Self::start_with(tier, name, "").await
    }

    /// As [`Above::start`], with more in its section `[below]`.
    pub(crate) async fn start_with(tier: Tier, name: &str, below: &str) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("centre.toml");
        let text = format!(
            "[node]\nname = \"{name}\"\ntier = \"{tier}\"\nstate_dir = \"state\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [below]\nlisten = \"127.0.0.1:{}\"\nnames = [\"127.0.0.1\"]\n{below}\n",
            free_port()
        );
        std::fs::write(&file, text).expect("a configuration");
        let centre = Centre::start(Config::load(&file).expect("valid")).await.expect("a centre");
        let hash = passwords::hash_now(&Secret::new(crate::node::PASSWORD)).expect("hashed");
        for (name, role, scope) in [
            ("operator", Role::Operator, Scope::Everything),
            ("other", Role::Operator, Scope::Everything),
            ("gate", Role::Operator, Scope::Place(vec!["西苑".to_owned()])),
            ("auditor", Role::Auditor, Scope::Everything),
        ] {
            let person = Person {
                name: name.to_owned(),
                display: name.to_owned(),
                unit: "区公安分局".to_owned(),
                roles: [role].into(),
                scopes: vec![scope],
                must_change_password: false,
            };
            let account = Account { person, password: PasswordHash::new(hash.clone()), disabled: false, staff_expires: None };
            centre.node.accounts.add(&Actor::Shell, account).expect("added");
        }
        Self { centre, folder }
    }

    /// Joins a node below this centre, as the two commands do.
    pub(crate) async fn admit(&self, state: &Path, node: NodeId, name: &str, tier: Tier) {
        let own = self.folder.path().join("state");
        let pem = std::fs::read(own.join("certificate.pem")).expect("the certificate of the first start");
        let fingerprint = join::fingerprint(&CertificateDer::from_pem_slice(&pem).expect("a certificate"));
        let code = members::invite(&own.join("link"), self.centre.address.to_string(), fingerprint).expect("a code");
        join::join(&code, &state.join("link"), node, name, tier).await.expect("joined");
    }

    pub(crate) async fn admit_centre(&self, lower: &Self, name: &str) {
        let node = &lower.centre.node;
        self.admit(&lower.folder.path().join("state"), node.id, name, node.config.tier).await;
    }

    pub(crate) async fn admit_room(&self, room: &Node, name: &str) {
        self.admit(&room.state(), room.room.node.id, name, Tier::Room).await;
    }

    pub(crate) async fn sign_in(&self, name: &str) -> Client {
        Client::sign_in(self.centre.address, &self.folder.path().join("state"), name, Some("跨级巡查")).await
    }

    pub(crate) async fn stop(self) {
        self.centre.drain().await;
    }
}
