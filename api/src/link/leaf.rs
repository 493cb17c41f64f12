//! The lower node's end of the line: a NATS server of its own that dials the centre's broker as its leaf.
//!
//! It opens no port but on this machine, to its own node and nobody else: a name and a word made anew at each start.

use super::{
    papers::Papers,
    server::{self, LIMITS, Server},
};
use crate::tls::write_private;
use index::model::NodeId;
use std::{net::SocketAddr, path::Path};

/// A leaf that is kept running until this is dropped, which waits for its end.
pub struct Leaf {
    own: SocketAddr,
    word: String,
    _server: Server,
}

impl Leaf {
    /// Writes its papers and its configuration beside each other in the node's directory of the link, and starts it.
    ///
    /// # Errors
    /// If the files cannot be written, or there is no such program.
    pub fn start(program: &Path, dir: &Path, node: NodeId, papers: &Papers) -> anyhow::Result<Self> {
        for (name, text) in [("leaf.pem", &papers.certificate), ("leaf.key", &papers.key), ("upper.pem", &papers.authority)] {
            write_private(&dir.join(name), text.as_bytes())?;
        }
        let (own, word) = (server::own_address()?, format!("{:032x}", rand::random::<u128>()));
        let text = written(own, &word, dir, node, &papers.broker);
        let server = Server::start("leaf", program, dir.join("leaf.conf"), &text)?;
        Ok(Self { own, word, _server: server })
    }

    /// Where its node reaches it, and with which word, while this is there.
    #[must_use]
    pub fn own_address(&self) -> (SocketAddr, &str) {
        (self.own, &self.word)
    }
}

/// Its user's name.
pub(super) const NAME: &str = "haohe";

fn written(own: SocketAddr, word: &str, dir: &Path, node: NodeId, broker: &str) -> String {
    let file = |name: &str| format!("{:?}", dir.join(name).display().to_string());
    format!(
        "# Written by haohe at each start.\nserver_name: \"haohe-leaf-{node}\"\nlisten: \"{own}\"\npid_file: {}\n{LIMITS}\
         authorization {{ user: \"{NAME}\", password: \"{word}\" }}\n\
         leafnodes {{ reconnect: \"1s\", remotes: [ {{ url: \"tls://{broker}\", \
         tls {{ cert_file: {}, key_file: {}, ca_file: {}, timeout: 10 }} }} ] }}\n",
        file("leaf.pid"),
        file("leaf.pem"),
        file("leaf.key"),
        file("upper.pem")
    )
}
