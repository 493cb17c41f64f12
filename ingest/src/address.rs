//! Which addresses this node dials. Whoever can enter a camera's address must not be able to make the recorder talk to
//! the node's own services or to a cloud's metadata host, so only networks named in the configuration are dialled, a name is
//! resolved once, and the answer is pinned: the driver gets an address, never a name.

use index::model::{CameraAddress, DeviceAddress};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    time::Duration,
};
use url::{Host, Url};

/// How long a resolver may think.
const RESOLVE_LIMIT: Duration = Duration::from_secs(5);

/// The networks in which cameras may stand.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AddressPolicy {
    allowed: Vec<Network>,
}

/// A range of addresses: `10.20.0.0/16`, `fd00::/8`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    base: IpAddr,
    bits: u8,
}

/// Why a text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a network: an address, a slash and a prefix length is, such as 10.20.0.0/16")]
pub struct NetworkError(String);

/// Why an address is not dialled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not an address at all.
    #[error("the address cannot be read")]
    Unreadable,
    /// The name has no address, or the resolver did not answer in time.
    #[error("the name {0} has no address")]
    Unresolved(String),
    /// Outside every network that the configuration allows, or of a kind that is never dialled.
    #[error("{0} is not in a network that this node may dial")]
    Forbidden(IpAddr),
}

/// An address that passed the policy: dial `socket`; `url` names the same host by number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pinned {
    pub(crate) socket: SocketAddr,
    pub(crate) url: Url,
}

impl Network {
    /// Whether `address` is inside. IPv4 addresses mapped into IPv6 count as IPv4.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        let shared = |own: u128, other: u128, width: u8| {
            let shift = u32::from(width - self.bits.min(width));
            shift >= 128 || own >> shift == other >> shift
        };
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => shared(u128::from(own.to_bits()), u128::from(other.to_bits()), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => shared(own.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let refused = || NetworkError(text.to_owned());
        let (base, bits) = text.split_once('/').ok_or_else(refused)?;
        let base: IpAddr = base.parse().map_err(|_| refused())?;
        let bits: u8 = bits.parse().map_err(|_| refused())?;
        let width = if base.is_ipv4() { 32 } else { 128 };
        if bits > width { Err(refused()) } else { Ok(Self { base, bits }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

impl AddressPolicy {
    /// Allows exactly `networks`. Multicast, unspecified, broadcast and link-local addresses are never dialled, loopback
    /// only if one of the networks is a loopback network by name (a wide `0.0.0.0/0` does not open it).
    #[must_use]
    pub fn new(networks: Vec<Network>) -> Self {
        Self { allowed: networks }
    }

    /// Whether `address` may be dialled.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let mut within = self.allowed.iter().filter(|network| network.contains(address));
        if never(address) {
            return false;
        }
        if address.is_loopback() { within.any(|network| network.base.is_loopback()) } else { within.next().is_some() }
    }

    /// Resolves an address once and pins it to the first answer that the policy allows.
    ///
    /// # Errors
    /// See [`AddressError`]; a resolver that says nothing for 5 s counts as no answer.
    pub(crate) async fn pin(&self, address: &CameraAddress) -> Result<Pinned, AddressError> {
        let url = Url::parse(address.as_str()).map_err(|_| AddressError::Unreadable)?;
        let port = url.port().unwrap_or(if url.scheme() == "rtsps" { 322 } else { 554 });
        self.pin_url(url, port).await
    }

    /// The same for a device service: its address with the host by number.
    ///
    /// # Errors
    /// As [`AddressPolicy::pin`].
    pub(crate) async fn pin_device(&self, address: &DeviceAddress) -> Result<Url, AddressError> {
        let url = Url::parse(address.as_str()).map_err(|_| AddressError::Unreadable)?;
        let port = url.port_or_known_default().unwrap_or(80);
        Ok(self.pin_url(url, port).await?.url)
    }

    async fn pin_url(&self, mut url: Url, port: u16) -> Result<Pinned, AddressError> {
        let candidates: Vec<IpAddr> = match url.host().ok_or(AddressError::Unreadable)? {
            // rtsp is not a scheme that the URL standard knows, so numbers arrive as names.
            Host::Domain(name) => match name.parse::<IpAddr>() {
                Ok(number) => vec![number],
                Err(_) => resolve(name, port).await?,
            },
            Host::Ipv4(number) => vec![number.into()],
            Host::Ipv6(number) => vec![number.into()],
        };
        let first = candidates.first().copied().ok_or(AddressError::Unreadable)?;
        let chosen = candidates.into_iter().find(|ip| self.allows(*ip)).ok_or(AddressError::Forbidden(first))?;
        url.set_ip_host(chosen)
            .or_else(|()| url.set_host(Some(&host_text(chosen))).map_err(|_| ()))
            .map_err(|()| AddressError::Unreadable)?;
        Ok(Pinned { socket: SocketAddr::new(chosen, port), url })
    }
}

fn host_text(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

async fn resolve(name: &str, port: u16) -> Result<Vec<IpAddr>, AddressError> {
    let unresolved = || AddressError::Unresolved(name.to_owned());
    let lookup = tokio::time::timeout(RESOLVE_LIMIT, tokio::net::lookup_host((name, port)));
    let found = lookup.await.map_err(|_| unresolved())?.map_err(|_| unresolved())?;
    let addresses: Vec<IpAddr> = found.map(|socket| socket.ip()).collect();
    if addresses.is_empty() { Err(unresolved()) } else { Ok(addresses) }
}

/// What no camera has, whatever the configuration says.
fn never(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_unspecified() || v4.octets()[0] == 0 || v4.is_multicast() || v4.is_link_local() || v4 == Ipv4Addr::BROADCAST
        }
        IpAddr::V6(v6) => v6 == Ipv6Addr::UNSPECIFIED || v6.is_multicast() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(networks: &[&str]) -> AddressPolicy {
        AddressPolicy::new(networks.iter().map(|text| text.parse().expect("a network")).collect())
    }

    fn check(networks: &[&str], allowed: &[&str], refused: &[&str]) {
        let policy = policy(networks);
        for text in allowed {
            assert!(policy.allows(text.parse().expect("an address")), "{text} should be dialled under {networks:?}");
        }
        for text in refused {
            assert!(!policy.allows(text.parse().expect("an address")), "{text} should be refused under {networks:?}");
        }
    }

    #[test]
    fn only_configured_networks_are_dialled() {
        check(&[], &[], &["10.0.0.1", "192.0.2.7", "127.0.0.1", "::1"]);
        check(&["10.20.0.0/16"], &["10.20.255.9", "::ffff:10.20.0.1"], &["10.21.0.1", "192.0.2.7", "fd00::1"]);
        check(&["fd00::/8"], &["fd12::1"], &["fe80::1", "2001:db8::1"]);
    }

    #[test]
    fn what_no_camera_has_is_refused_even_under_a_network_of_everything() {
        let never =
            ["0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "255.255.255.255", "127.0.0.1", "::ffff:169.254.169.254"];
        check(&["0.0.0.0/0"], &["8.8.8.8"], &never);
        check(&["::/0"], &["2001:db8::1"], &["::", "::1", "fe80::1", "ff02::1"]);
    }

    #[test]
    fn loopback_is_dialled_only_when_named() {
        check(&["127.0.0.0/8"], &["127.0.0.1"], &["10.0.0.1"]);
    }

    #[test]
    fn a_text_that_is_no_network_is_refused() {
        for text in ["", "10.0.0.0", "10.0.0.0/33", "x/8", "10.0.0.0/-1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_number_is_pinned_as_it_stands_and_keeps_path_and_query() {
        let policy = policy(&["10.0.0.0/8"]);
        let address = CameraAddress::new("rtsp://10.1.2.3/cam?channel=1&subtype=0").expect("an address");
        let pinned = policy.pin(&address).await.expect("allowed");
        assert_eq!(pinned.socket, "10.1.2.3:554".parse().expect("a socket address"));
        assert_eq!(pinned.url.as_str(), "rtsp://10.1.2.3/cam?channel=1&subtype=0");
        let outside = CameraAddress::new("rtsp://192.0.2.7:8554/x").expect("an address");
        assert_eq!(policy.pin(&outside).await, Err(AddressError::Forbidden("192.0.2.7".parse().expect("ip"))));
    }

    #[tokio::test]
    async fn a_name_becomes_a_number() {
        let policy = policy(&["127.0.0.0/8", "::1/128"]);
        let address = CameraAddress::new("rtsp://localhost:8554/cam/1/main").expect("an address");
        let pinned = policy.pin(&address).await.expect("allowed");
        assert!(pinned.socket.ip().is_loopback());
        assert!(!pinned.url.as_str().contains("localhost"), "{}", pinned.url);
    }
}
