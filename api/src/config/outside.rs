//! The rules of the sections about other machines: who reports events, and who is told of alarms.

use super::{
    check::{Problem, problem, read_secret},
    file::{HookEntry, Mqtt, SourceEntry},
};
use crate::{hooks::HookConfig, mqtt::MqttConfig, sources::SourceConfig};
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

/// Where analytics boxes report by MQTT, if anywhere: a broker that is reached by TLS, or is on this machine itself.
pub(super) fn check_mqtt(
    section: Option<&Mqtt>,
    sources: &[SourceEntry],
    file_path: &dyn Fn(&Path) -> PathBuf,
) -> Result<Option<MqttConfig>, Problem> {
    let mut topics: Vec<(String, String)> = Vec::new();
    for source in sources {
        let Some(topic) = &source.mqtt_topic else { continue };
        let taken = topics.iter().any(|(known, _)| known == topic);
        if topic.is_empty() || topic.len() > 200 || topic.contains(['+', '#', '\0']) || topic.starts_with('$') || taken {
            return Err(problem(
                format!("source {:?}: mqtt_topic", source.name),
                "it is empty, a pattern, or another source's",
                "Write one topic that only this box may publish to, as \"haohe/box-1\"",
            ));
        }
        topics.push((topic.clone(), source.name.clone()));
    }
    let Some(section) = section else {
        let missing =
            || problem("mqtt", "a source has an mqtt_topic and no broker is named", "Add a section [mqtt], or remove mqtt_topic");
        return if topics.is_empty() { Ok(None) } else { Err(missing()) };
    };
    if topics.is_empty() {
        return Err(problem("mqtt", "no source has a topic", "Write mqtt_topic in the [[source]] whose events come that way"));
    }
    let bad = |what: &str| problem("mqtt.broker", what, "Write broker = \"mqtts://broker.example:8883\"");
    let url = url::Url::parse(&section.broker).map_err(|_| bad("it cannot be read"))?;
    let networks = networks(&section.allow_networks, "mqtt")?;
    let tls = url.scheme() == "mqtts";
    let plain = url.scheme() == "mqtt" && only_here(&networks);
    if !(tls || plain) {
        return Err(bad("it is not mqtts; mqtt is for a broker on this machine itself"));
    }
    if !url.username().is_empty() || url.password().is_some() || !matches!(url.path(), "" | "/") {
        return Err(bad("it holds a user, a password or a path; write mqtt.user and mqtt.password_file"));
    }
    let host = url.host_str().ok_or_else(|| bad("it names no host"))?.trim_matches(['[', ']']).to_owned();
    if tls != section.authority_file.is_some() {
        let what = if tls { "it is missing, and TLS believes nobody without it" } else { "it means nothing without mqtts" };
        return Err(problem(
            "mqtt.authority_file",
            what,
            "Name the PEM file of the authority that signed the broker's certificate",
        ));
    }
    let authority = section.authority_file.as_deref().map(|path| {
        std::fs::read(file_path(path))
            .map_err(|error| problem("mqtt.authority_file", error.to_string(), "Name a readable PEM file"))
    });
    let user = match (&section.user, &section.password_file) {
        (None, None) => None,
        (Some(user), Some(path)) => Some((user.clone(), read_secret(&file_path(path), "mqtt.password_file")?)),
        _ => return Err(problem("mqtt", "user and password_file go together", "Write both or neither")),
    };
    Ok(Some(MqttConfig {
        host,
        port: url.port().unwrap_or(if tls { 8883 } else { 1883 }),
        authority: authority.transpose()?,
        allow: AddressPolicy::new(networks),
        client_id: section.client_id.clone(),
        user,
        topics,
    }))
}

/// Where another machine may be; at least one network.
fn networks(written: &[String], place: &str) -> Result<Vec<Network>, Problem> {
    let networks = written.iter().map(|text| text.parse()).collect::<Result<Vec<Network>, NetworkError>>();
    let networks = networks.map_err(|error| problem(place, error.to_string(), "Write networks as \"192.0.2.0/24\""))?;
    if networks.is_empty() {
        return Err(problem(
            place,
            "it names no network",
            "Write where the other machine is: allow_networks = [\"192.0.2.0/24\"]",
        ));
    }
    Ok(networks)
}

fn only_here(networks: &[Network]) -> bool {
    networks.iter().all(|network| network.to_string().starts_with("127."))
}

/// Who else is told of alarms: over HTTPS, or on this machine itself.
pub(super) fn check_hooks(entries: &[HookEntry], file_path: &dyn Fn(&Path) -> PathBuf) -> Result<Vec<HookConfig>, Problem> {
    let mut hooks: Vec<HookConfig> = Vec::new();
    for (n, entry) in entries.iter().enumerate() {
        let place = format!("hook {:?} (the {}. [[hook]])", entry.name, n + 1);
        if entry.name.trim().is_empty() || hooks.iter().any(|hook| hook.name == entry.name) {
            return Err(problem(place, "its name is empty or another hook's", "Name each receiver once"));
        }
        let networks = networks(&entry.allow_networks, &place)?;
        let bad = |what: &str| problem(place.as_str(), what, "Write url = \"https://receiver.example/alarms\"");
        let url = url::Url::parse(&entry.url).map_err(|_| bad("its url cannot be read"))?;
        let loopback = only_here(&networks);
        if url.host().is_none() || !(url.scheme() == "https" || (url.scheme() == "http" && loopback)) {
            return Err(bad("its url is not https; http is for this machine itself only"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("its url holds a password; messages are signed instead"));
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
