//! A centre's own small certificate authority: it vouches for the nodes below it, for itself, and for the broker that carries between.
//!
//! Each centre has its own, because a line joins two neighbours and nobody else: what leaks in one sub-district opens no other.
//! Whose certificate it is stands in it as a name, `<node>.haohe`, which the broker takes as the user's. A lower node's private key never
//! leaves it: it sends its public key and gets a certificate back.

use crate::tls::write_private;
use anyhow::Context;
use index::model::NodeId;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm,
};
use std::{fs, path::Path};

/// Years that a certificate is good for. Whoever shall not come any more is taken off the list of members, at once.
const YEARS: i32 = 20;
/// Bytes of a public key: a point of P-256, as it is.
pub const PUBLIC_KEY: usize = 65;

/// See the module.
pub struct Authority {
    node: NodeId,
    key: KeyPair,
    certificate: String,
}

/// The name that a node's certificate is made out to.
#[must_use]
pub fn name_of(node: NodeId) -> String {
    format!("{node}.haohe")
}

/// A new key of one's own, as PEM, and its public half.
///
/// # Errors
/// If there is no randomness.
pub fn new_key() -> anyhow::Result<(String, Vec<u8>)> {
    let key = KeyPair::generate().context("make a key")?;
    Ok((key.serialize_pem(), key.public_key_raw().to_vec()))
}

/// A public key that somebody sent.
struct Sent<'a>(&'a [u8]);

impl PublicKeyData for Sent<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl Authority {
    /// Opens the authority in `dir`, or makes one at the first start.
    ///
    /// # Errors
    /// If its files cannot be read or written: then name what is there, and restore it from a backup.
    pub fn open_or_make(dir: &Path, node: NodeId) -> anyhow::Result<Self> {
        let (certificate_file, key_file) = (dir.join("authority.pem"), dir.join("authority.key"));
        let read =
            |path: &Path| fs::read_to_string(path).with_context(|| format!("read {}: restore it from a backup", path.display()));
        if key_file.exists() || certificate_file.exists() {
            let key = KeyPair::from_pem(&read(&key_file)?).with_context(|| format!("{} holds no key", key_file.display()))?;
            return Ok(Self { node, key, certificate: read(&certificate_file)? });
        }
        fs::create_dir_all(dir).with_context(|| format!("make the directory {}", dir.display()))?;
        let key = KeyPair::generate().context("make the authority's key")?;
        let certificate = own_params(node)?.self_signed(&key).context("make the authority's certificate")?.pem();
        // The key first: a certificate without its key is of no use, a key alone is replaced.
        write_private(&key_file, key.serialize_pem().as_bytes())?;
        write_private(&certificate_file, certificate.as_bytes())?;
        Ok(Self { node, key, certificate })
    }

    /// Its own certificate, PEM: what those who believe it keep.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for a node's key, with which it dials in. PEM.
    ///
    /// # Errors
    /// If the key is not one of P-256.
    pub fn vouch_for(&self, node: NodeId, public_key: &[u8]) -> anyhow::Result<String> {
        anyhow::ensure!(public_key.len() == PUBLIC_KEY && public_key[0] == 4, "this is no public key of P-256");
        let params = params_for(&[name_of(node)], ExtendedKeyUsagePurpose::ClientAuth)?;
        Ok(params.signed_by(&Sent(public_key), &self.issuer()?).context("sign a certificate")?.pem())
    }

    /// A certificate and its key for the broker, which is dialled by these names. PEM.
    ///
    /// # Errors
    /// If a name cannot stand in a certificate.
    pub fn for_broker(&self, names: &[String]) -> anyhow::Result<(String, String)> {
        let key = KeyPair::generate().context("make the broker's key")?;
        let params = params_for(names, ExtendedKeyUsagePurpose::ServerAuth)?;
        let certificate = params.signed_by(&key, &self.issuer()?).context("sign the broker's certificate")?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    fn issuer(&self) -> anyhow::Result<Issuer<'_, &KeyPair>> {
        Ok(Issuer::new(own_params(self.node)?, &self.key))
    }
}

fn own_params(node: NodeId) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, format!("Haohe centre {node}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    lasting(&mut params);
    Ok(params)
}

fn params_for(names: &[String], purpose: ExtendedKeyUsagePurpose) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(names.to_vec()).context("a name cannot stand in a certificate")?;
    params.distinguished_name.push(DnType::CommonName, names.first().cloned().unwrap_or_default());
    params.extended_key_usages = vec![purpose];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    lasting(&mut params);
    Ok(params)
}

/// From yesterday: clocks differ.
fn lasting(params: &mut CertificateParams) {
    let yesterday = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date().yesterday().unwrap_or_default();
    let (month, day) = (yesterday.month() as u8, (yesterday.day() as u8).min(28));
    params.not_before = rcgen::date_time_ymd(i32::from(yesterday.year()), month, day);
    params.not_after = rcgen::date_time_ymd(i32::from(yesterday.year()) + YEARS, month, day);
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("node", &self.node).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_made_once_and_vouches_for_keys_that_it_never_saw() {
        let dir = tempfile::tempdir().expect("a directory");
        let node = NodeId::from_bytes([1; 16]);
        let first = Authority::open_or_make(dir.path(), node).expect("made");
        let again = Authority::open_or_make(dir.path(), node).expect("opened");
        assert_eq!(first.certificate(), again.certificate());
        let (_, public) = new_key().expect("a key");
        assert!(again.vouch_for(NodeId::from_bytes([2; 16]), &public).expect("signed").contains("BEGIN CERTIFICATE"));
        for bad in [&public[1..], &[0; PUBLIC_KEY], &[]] {
            assert!(again.vouch_for(node, bad).is_err());
        }
    }

    #[test]
    fn an_authority_that_lost_its_key_is_not_replaced_by_another() {
        let dir = tempfile::tempdir().expect("a directory");
        let node = NodeId::from_bytes([1; 16]);
        drop(Authority::open_or_make(dir.path(), node).expect("made"));
        fs::remove_file(dir.path().join("authority.key")).expect("removable");
        assert!(Authority::open_or_make(dir.path(), node).is_err());
    }
}
