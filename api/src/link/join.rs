//! The lower node's side of joining: it takes a person's code to the centre above and comes back with papers.
//!
//! The code says which certificate the centre shows, so that nobody in between can take its place, and is good once.

use super::{authority::new_key, members::Code, papers::Papers};
use anyhow::{Context, bail};
use index::model::{NodeId, Tier};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use serde::{Deserialize, Serialize};
use std::{path::Path, sync::Arc, time::Duration};
use utoipa::ToSchema;

/// How long the centre may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a node asks to be admitted with.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinBody {
    /// The code's secret.
    pub secret: String,
    /// Which node.
    #[schema(value_type = String)]
    pub node: NodeId,
    /// What people call it.
    pub name: String,
    /// Its tier.
    #[schema(value_type = String)]
    pub tier: Tier,
    /// Its public key: a point of P-256, hexadecimal.
    pub public_key: String,
}

/// The beginning of the SHA-256 of a certificate, as codes carry it.
#[must_use]
pub fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 16] {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(certificate.as_ref());
    let mut fingerprint = [0; 16];
    fingerprint.copy_from_slice(&digest[..16]);
    fingerprint
}

/// Takes the code to the centre and keeps what it gives in `dir`. Returns what it gave.
///
/// # Errors
/// If the centre cannot be reached, is not the one that the code names, or refuses; then nothing has changed.
pub async fn join(code: &Code, dir: &Path, node: NodeId, name: &str, tier: Tier) -> anyhow::Result<Papers> {
    let (key, public) = new_key()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let pinned = Arc::new(Pinned { fingerprint: code.fingerprint, provider: Arc::clone(&provider) });
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(pinned)
        .with_no_client_auth();
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().timeout(PATIENCE).build()?;
    let public_key = public.iter().map(|byte| format!("{byte:02x}")).collect();
    let body = JoinBody { secret: code.secret(), node, name: name.to_owned(), tier, public_key };
    let url = format!("https://{}/api/v1/link/join", code.address);
    let answer = client.post(&url).header("x-haohe", "1").json(&body).send().await;
    let answer = answer
        .with_context(|| format!("reach the centre at {}: is it running, and is the code one of its own?", code.address))?;
    if !answer.status().is_success() {
        let said: serde_json::Value = answer.json().await.unwrap_or_default();
        let (state, remedy) = (&said["state"]["en"], &said["remedy"]["en"]);
        bail!("the centre refuses: {}. {}", state.as_str().unwrap_or("it gives no reason"), remedy.as_str().unwrap_or_default());
    }
    let given: Papers = answer.json().await.context("the centre's answer is not understood: are both of one version?")?;
    let papers = Papers { key, ..given };
    // Before they replace what may be there: are they good?
    papers.tls().context("what the centre gave are no papers")?;
    papers.write(dir)?;
    Ok(papers)
}

/// Believes one certificate, by its fingerprint, whoever signed it and whatever name it bears.
#[derive(Debug)]
struct Pinned {
    fingerprint: [u8; 16],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if fingerprint(end) == self.fingerprint {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General("this is not the centre that the code names".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
