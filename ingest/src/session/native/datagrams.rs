//! The UDP sockets of a session: their ports, their buffers, and what the kernel dropped because nobody read in time.
//!
//! A thread that naps lets datagrams wait in the kernel. What the kernel keeps of them is sized for a key unit of a large camera
//! and a nap; where it may not keep so much, that is said once with the remedy. What it drops nevertheless is counted, so
//! that loss on the network and loss on this machine are told apart.

use crate::session::Fault;
use rustix::net::sockopt;
use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Mutex, Once, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tokio::{io::ReadBuf, net::UdpSocket};

/// What the kernel shall keep of a track's packets while the thread naps: 1 MiB of payload, which the kernel counts twice.
const PACKET_BUFFER: usize = 2 << 20;
/// What it shall keep of reports, which are few and small.
const REPORT_BUFFER: usize = 64 << 10;
/// How often the kernel is asked for what it dropped.
const DROPS_EVERY: Duration = Duration::from_secs(5);

/// A track's sockets: packets and reports.
pub(super) type Pair = [UdpSocket; 2];

/// Two sockets on neighbouring ports, the even one first (RFC 3550 §11), for each of the three tracks there may be.
///
/// # Errors
/// No ports are free.
pub(super) fn bind_all(host: IpAddr) -> Result<Vec<Pair>, Fault> {
    let any = if host.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let pair = || (0..64).find_map(|_| bind_pair(any).ok());
    let pairs: Option<Vec<_>> = (0..3).map(|_| pair()).collect();
    pairs.ok_or_else(|| Fault::Unreachable("no UDP ports are free".to_owned()))
}

fn bind_pair(any: IpAddr) -> io::Result<Pair> {
    let first = std::net::UdpSocket::bind((any, 0))?;
    let port = first.local_addr()?.port();
    let (even, odd) = if port.is_multiple_of(2) {
        (first, std::net::UdpSocket::bind((any, port.saturating_add(1)))?)
    } else {
        (std::net::UdpSocket::bind((any, port - 1))?, first)
    };
    let ready = |socket: std::net::UdpSocket, buffer: usize| {
        socket.set_nonblocking(true)?;
        enlarge(&socket, buffer);
        UdpSocket::from_std(socket)
    };
    Ok([ready(even, PACKET_BUFFER)?, ready(odd, REPORT_BUFFER)?])
}

/// Asks for a buffer of so many bytes: past the system's limit where this process may (CAP_NET_ADMIN), else up to it.
fn enlarge(socket: &std::net::UdpSocket, bytes: usize) {
    static TOLD: Once = Once::new();
    if sockopt::set_socket_recv_buffer_size_force(socket, bytes).is_ok() {
        return;
    }
    let _ = sockopt::set_socket_recv_buffer_size(socket, bytes);
    // The kernel answers with twice what it grants.
    let granted = sockopt::socket_recv_buffer_size(socket).unwrap_or(0) / 2;
    if granted < bytes {
        TOLD.call_once(|| {
            tracing::warn!(
                granted,
                wanted = bytes,
                "the system limits the buffers for UDP cameras: packets may be lost; set net.core.rmem_max to 2097152"
            );
        });
    }
}

/// Takes one datagram if one is there: its length, and whose it is.
pub(super) fn poll_datagram(
    socket: &UdpSocket,
    cx: &mut Context<'_>,
    shared: &mut [u8],
) -> Poll<io::Result<(usize, SocketAddr)>> {
    let mut buffer = ReadBuf::new(shared);
    let from = ready!(socket.poll_recv_from(cx, &mut buffer));
    Poll::Ready(from.map(|from| (buffer.filled().len(), from)))
}

/// Counts what the kernel dropped of a session's datagrams.
#[derive(Debug)]
pub(super) struct Drops {
    ports: Vec<u16>,
    asked: Instant,
    told: u32,
}

impl Drops {
    /// Of these sockets.
    pub(super) fn of(pairs: &[Pair], now: Instant) -> Self {
        let ports = pairs.iter().flatten().filter_map(|socket| Some(socket.local_addr().ok()?.port())).collect();
        Self { ports, asked: now, told: 0 }
    }

    /// What was dropped since this was last asked; 0 when it was asked a moment ago.
    pub(super) fn since(&mut self, now: Instant) -> u32 {
        if self.ports.is_empty() || now - self.asked < DROPS_EVERY {
            return 0;
        }
        self.asked = now;
        let all = dropped_by_port(&self.ports, now);
        let new = all.saturating_sub(self.told);
        self.told += new;
        new
    }
}

/// What the kernel dropped at these ports since their sockets were opened. Its table is read once for all sessions that ask
/// within a second.
fn dropped_by_port(ports: &[u16], now: Instant) -> u32 {
    static TABLE: Mutex<Option<(Instant, HashMap<u16, u32>)>> = Mutex::new(None);
    let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    if table.as_ref().is_none_or(|(read, _)| now.saturating_duration_since(*read) >= Duration::from_secs(1)) {
        let mut drops = HashMap::new();
        for file in ["/proc/self/net/udp", "/proc/self/net/udp6"] {
            drops.extend(std::fs::read_to_string(file).unwrap_or_default().lines().filter_map(port_and_drops));
        }
        *table = Some((now, drops));
    }
    table.as_ref().map_or(0, |(_, drops)| ports.iter().filter_map(|port| drops.get(port)).sum())
}

/// `  3527: 0100007F:9C4E 00000000:0000 07 … 0 12345 2 0000000000000000 17`: the local port, and the drops at the end. Lines
/// without any drop say nothing.
fn port_and_drops(line: &str) -> Option<(u16, u32)> {
    let mut words = line.split_ascii_whitespace();
    let port = words.nth(1)?.rsplit_once(':')?.1;
    let drops = words.next_back()?.parse().ok().filter(|drops| *drops > 0)?;
    Some((u16::from_str_radix(port, 16).ok()?, drops))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read_as_it_is_written() {
        let line = "  3527: 0100007F:9C4E 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 4711 2 0000000000000000 17";
        assert_eq!(port_and_drops(line), Some((40_014, 17)));
        let six = line.replace("0100007F", "00000000000000000000000001000000");
        assert_eq!(port_and_drops(&six), Some((40_014, 17)));
        assert_eq!(port_and_drops(&line.replace(" 17", " 0")), None);
        assert_eq!(port_and_drops("   sl  local_address rem_address   st tx_queue rx_queue tr drops"), None);
    }

    #[tokio::test]
    async fn what_the_kernel_drops_because_nobody_reads_is_counted() {
        let now = Instant::now();
        let pairs = bind_all(IpAddr::V4(Ipv4Addr::LOCALHOST)).expect("ports");
        let mut drops = Drops::of(&pairs, now);
        let port = pairs[0][0].local_addr().expect("bound").port();
        let camera = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let packet = vec![0; 60_000];
        for _ in 0..200 {
            camera.send_to(&packet, ("127.0.0.1", port)).expect("loopback");
        }
        assert_eq!(drops.since(now + Duration::from_secs(1)), 0, "asked a moment ago");
        let lost = drops.since(now + DROPS_EVERY);
        assert!((1..200).contains(&lost), "12 MB do not fit: {lost} dropped");
        assert_eq!(drops.since(now + 2 * DROPS_EVERY), 0, "told once");
    }
}
