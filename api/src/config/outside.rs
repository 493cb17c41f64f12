//! The rules of the sections about other machines: who reports events, and who is told of alarms.

use super::{
    check::{Problem, problem, read_secret},
    file::{HookEntry, SourceEntry},
};
use crate::{hooks::HookConfig, sources::SourceConfig};
use index::access::Scope;
use ingest::{AddressPolicy, Network, NetworkError};
use std::path::{Path, PathBuf};

/// Who may report events.
pub(super) fn check_sources(entries: &[SourceEntry], file_path: &dyn Fn(&Path) -> PathBuf) -> Result<Vec<SourceConfig>, Problem> {
    let mut sources: Vec<SourceConfig> = Vec::new();
    for (n, entry) in entries.iter().enumerate() {
        let place = format!("source {:?} (the {}. [[source]])", entry.name, n + 1);
        if entry.name.trim().is_empty() || sources.iter().any(|source| source.name == entry.name) {
            return Err(problem(place, "its name is empty or another source's", "Name each analytics box once"));
        }
        let places = entry.places.iter().map(|levels| Scope::Place(levels.split('/').map(str::to_owned).collect()));
        let scopes: Vec<Scope> = places.chain(entry.cameras.iter().map(|camera| Scope::Camera(*camera))).collect();
        if scopes.is_empty() || !(1..=20_000).contains(&entry.rate_per_s) {
            return Err(problem(
                place,
                "it names no place and no camera, or its rate is not 1 to 20,000 a second",
                "Write places = [\"东苑社区\"] or cameras = [7], and rate_per_s = 50",
            ));
        }
        let token = read_secret(&file_path(&entry.token_file), &format!("{place}: token_file"))?;
        if token.expose().len() < 16 {
            return Err(problem(place, "its token is shorter than 16 characters", "Make one with: openssl rand -hex 24"));
        }
        sources.push(SourceConfig { name: entry.name.clone(), token, scopes, rate_per_s: entry.rate_per_s });
    }
    Ok(sources)
}

/// Who else is told of alarms: over HTTPS, or on this machine itself.
pub(super) fn check_hooks(entries: &[HookEntry], file_path: &dyn Fn(&Path) -> PathBuf) -> Result<Vec<HookConfig>, Problem> {
    let mut hooks: Vec<HookConfig> = Vec::new();
    for (n, entry) in entries.iter().enumerate() {
        let place = format!("hook {:?} (the {}. [[hook]])", entry.name, n + 1);
        if entry.name.trim().is_empty() || hooks.iter().any(|hook| hook.name == entry.name) {
            return Err(problem(place, "its name is empty or another hook's", "Name each receiver once"));
        }
        let networks = entry.allow_networks.iter().map(|text| text.parse()).collect::<Result<Vec<Network>, NetworkError>>();
        let networks =
            networks.map_err(|error| problem(place.as_str(), error.to_string(), "Write networks as \"192.0.2.0/24\""))?;
        let bad = |what: &str| problem(place.as_str(), what, "Write url = \"https://receiver.example/alarms\"");
        let url = url::Url::parse(&entry.url).map_err(|_| bad("its url cannot be read"))?;
        let loopback = networks.iter().all(|network| network.to_string().starts_with("127."));
        if url.host().is_none() || !(url.scheme() == "https" || (url.scheme() == "http" && loopback)) {
            return Err(bad("its url is not https; http is for this machine itself only"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("its url holds a password; messages are signed instead"));
        }
        if networks.is_empty() {
            return Err(problem(
                place,
                "it names no network",
                "Write where the receiver is: allow_networks = [\"192.0.2.0/24\"]",
            ));
        }
        let secret = read_secret(&file_path(&entry.secret_file), &format!("{place}: secret_file"))?;
        if secret.expose().len() < 32 {
            return Err(problem(place, "its secret is shorter than 32 characters", "Make one with: openssl rand -hex 32"));
        }
        let authority = entry.authority_file.as_deref().map(|path| {
            std::fs::read(file_path(path)).map_err(|error| problem(place.as_str(), error.to_string(), "Name a readable PEM file"))
        });
        let allow = AddressPolicy::new(networks);
        hooks.push(HookConfig { name: entry.name.clone(), url, secret, allow, authority: authority.transpose()? });
    }
    Ok(hooks)
}
