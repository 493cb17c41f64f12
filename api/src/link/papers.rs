//! What a node that joined an upper one holds: where to dial, whom to believe there, and its own certificate and key.

use crate::tls::write_private;
use anyhow::Context;
use index::model::{NodeId, Tier};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde::{Deserialize, Serialize};
use std::{fs, io, path::Path, sync::Arc};
use utoipa::ToSchema;

/// See the module. In one file, so that it is there whole or not at all; it has no `Debug`, because it holds a private key.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Papers {
    /// The node above.
    #[schema(value_type = String)]
    pub upper: NodeId,
    /// What people call it.
    pub upper_name: String,
    /// Its tier.
    #[schema(value_type = String)]
    pub upper_tier: Tier,
    /// Where its broker listens, `host:port`.
    pub broker: String,
    /// The certificate of its authority, PEM: nobody else is believed.
    pub authority: String,
    /// This node's certificate by that authority, PEM.
    pub certificate: String,
    /// Its private key, PEM.
    pub key: String,
}

impl Papers {
    /// Reads them from a node's directory of the link; `None` if it joined nobody.
    ///
    /// # Errors
    /// If they do not read back.
    pub fn read(dir: &Path) -> anyhow::Result<Option<Self>> {
        let path = dir.join("upper.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        // Its own message could quote the key.
        let papers = serde_json::from_slice(&text).ok();
        papers
            .map(Some)
            .with_context(|| format!("{} does not read back: have the node join again with `haohe join`", path.display()))
    }

    /// Keeps them, durably.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(dir).with_context(|| format!("make the directory {}", dir.display()))?;
        write_private(&dir.join("upper.json"), &serde_json::to_vec(self)?)
    }

    /// TLS that believes the centre's authority alone and shows this node's certificate.
    ///
    /// # Errors
    /// If a certificate or the key is none.
    pub fn tls(&self) -> anyhow::Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.as_bytes()).context("the authority's certificate")?)?;
        let own = CertificateDer::from_pem_slice(self.certificate.as_bytes()).context("this node's certificate")?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).context("this node's key")?;
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![own], key)?;
        Ok(config)
    }
}
