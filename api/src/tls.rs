//! HTTPS, always: the node's own certificate where configured, else a self-signed one made at first start.

use crate::config::Http;
use anyhow::{Context, bail};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// One provider for the whole process: the clients that libraries make, for web hooks and pull points, take what the process chose, and
/// end their task in a panic where it chose nothing. Called by whatever starts a node; the first call decides.
pub fn choose_provider() {
    // An error says that it was chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Loads or makes the certificate and builds the server's TLS settings: TLS 1.2 and 1.3 by rustls with ring; HTTP/2 and
/// 1.1 by ALPN. Gives the certificate's SHA-256 fingerprint too, for people who compare it at first visit.
///
/// # Errors
/// A certificate or key that cannot be read or do not belong together; a state directory that cannot be written.
pub fn server_config(http: &Http, state_dir: &Path) -> anyhow::Result<(Arc<ServerConfig>, String)> {
    let (certificate_file, key_file, chain) = chain(http, state_dir)?;
    let Some(own) = chain.first() else { bail!("{} holds no certificate", certificate_file.display()) };
    let fingerprint = fingerprint(own);
    let key = PrivateKeyDer::from_pem_file(&key_file)
        .with_context(|| format!("read private key {}: give a PEM file that this user may read", key_file.display()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .with_context(|| {
            format!("certificate {} and key {} do not belong together", certificate_file.display(), key_file.display())
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((Arc::new(config), fingerprint))
}

/// The certificate that a node shows, made at first need where none is configured.
///
/// # Errors
/// As [`server_config`].
pub fn own_certificate(http: &Http, state_dir: &Path) -> anyhow::Result<CertificateDer<'static>> {
    let (file, _, chain) = chain(http, state_dir)?;
    chain.into_iter().next().with_context(|| format!("{} holds no certificate", file.display()))
}

/// The files of the certificate and its key, and the certificates in the first.
fn chain(http: &Http, state_dir: &Path) -> anyhow::Result<(PathBuf, PathBuf, Vec<CertificateDer<'static>>)> {
    let (certificate_file, key_file) = match &http.certificate {
        Some((certificate, key)) => (certificate.clone(), key.clone()),
        None => {
            let files = (state_dir.join("certificate.pem"), state_dir.join("certificate.key"));
            if !files.0.exists() || !files.1.exists() {
                make_self_signed(http, &files.0, &files.1).context("make a self-signed certificate")?;
            }
            files
        }
    };
    let chain = CertificateDer::pem_file_iter(&certificate_file)
        .and_then(Iterator::collect)
        .with_context(|| format!("read certificate {}: give a PEM file that this user may read", certificate_file.display()))?;
    Ok((certificate_file, key_file, chain))
}

fn make_self_signed(http: &Http, certificate_file: &Path, key_file: &Path) -> anyhow::Result<()> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend(own_host_name());
    names.extend(http.allowed_hosts.iter().cloned());
    let address = http.listen.ip();
    if !address.is_unspecified() {
        names.push(address.to_string());
    }
    names.sort();
    names.dedup();
    let made = rcgen::generate_simple_self_signed(names)?;
    write_private(key_file, made.signing_key.serialize_pem().as_bytes())?;
    write_private(certificate_file, made.cert.pem().as_bytes())
}

/// Writes a file that only its owner may read, durably: whole, or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let half = path.with_extension("new");
    let _ = fs::remove_file(&half);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&half, path)?;
    Ok(())
}

/// The machine's own name, if it has one that may stand in a certificate.
pub(crate) fn own_host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?.trim().to_owned();
    (!name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))).then_some(name)
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(certificate.as_ref());
    digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::SocketAddr, os::unix::fs::PermissionsExt, time::Duration};

    fn http() -> Http {
        Http {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            certificate: None,
            allowed_hosts: vec!["haohe.example".to_owned()],
            login_idle: Duration::from_secs(60),
            login_max: Duration::from_secs(60),
        }
    }

    #[test]
    fn the_first_start_makes_a_certificate_and_the_second_keeps_it() {
        let state = tempfile::tempdir().expect("a directory");
        let (_, first) = server_config(&http(), state.path()).expect("made");
        let (config, second) = server_config(&http(), state.path()).expect("kept");
        assert_eq!((first.len(), first), (95, second));
        assert_eq!(config.alpn_protocols[0], b"h2");
        let mode = fs::metadata(state.path().join("certificate.key")).expect("the key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused_by_name() {
        let (one, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        server_config(&http(), one.path()).expect("made");
        server_config(&http(), other.path()).expect("made");
        let mixed =
            Http { certificate: Some((one.path().join("certificate.pem"), other.path().join("certificate.key"))), ..http() };
        let refused = server_config(&mixed, one.path()).expect_err("must be refused");
        assert!(refused.to_string().contains("do not belong together"), "{refused}");
    }
}
