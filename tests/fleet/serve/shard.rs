//! One sender thread: a runtime, the connections it was given, and a heap of what is due next.
//!
//! It wakes at most every two milliseconds and sends all that is due, one write an access unit: the cost of a camera is
//! its bytes, not its timers.

use super::{
    Shared,
    connection::{self, Link},
};
use std::{
    cell::RefCell,
    cmp::Ordering,
    collections::{BinaryHeap, HashMap},
    net::{SocketAddr, TcpStream},
    rc::{Rc, Weak},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    sync::{Notify, mpsc},
    task::{LocalSet, spawn_local},
    time::sleep,
};

/// Time between two rounds of sending, at least. Well below what a network's own jitter is.
const ROUND: Duration = Duration::from_millis(2);

/// What the connections of one thread share.
pub(super) struct Shard {
    pub(super) shared: Arc<Shared>,
    number: usize,
    due: RefCell<BinaryHeap<Due>>,
    wake: Notify,
    pub(super) udp: UdpPair,
    /// Who sends receiver reports from which port.
    pub(super) udp_peers: RefCell<HashMap<SocketAddr, Weak<RefCell<connection::Connection>>>>,
}

/// The ports that all UDP sessions of a thread share: RTP on an even one, RTCP on the next.
pub(super) struct UdpPair {
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: UdpSocket,
}

struct Due {
    at: u64,
    session: u64,
    link: Weak<RefCell<connection::Connection>>,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    /// The earliest is the greatest: it stands on top of the heap.
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}

impl Shard {
    /// Has a session's next access unit sent at `at`.
    pub(super) fn schedule(&self, at: u64, session: u64, link: &Link) {
        self.due.borrow_mut().push(Due { at, session, link: Rc::downgrade(link) });
        self.wake.notify_one();
    }

    async fn pace(&self) {
        let mut scratch = Vec::new();
        loop {
            let now = self.shared.now_us();
            while let Some(due) = self.pop(now) {
                let Some(link) = due.link.upgrade() else { continue };
                let next = link.borrow_mut().tick(due.session, now, &mut scratch);
                if let Some(at) = next {
                    self.due.borrow_mut().push(Due { at, ..due });
                }
            }
            if let Ok(time) = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).try_into() {
                let time: Duration = time;
                self.shared.counters.cpu_us[self.number].store(time.as_micros() as u64, Relaxed);
            }
            let next = self.due.borrow().peek().map_or(50_000, |due| due.at.saturating_sub(self.shared.now_us()));
            sleep(ROUND).await;
            let rest = Duration::from_micros(next).saturating_sub(ROUND);
            tokio::select! {
                () = sleep(rest), if rest > ROUND => {}
                () = self.wake.notified(), if rest > ROUND => {}
                else => {}
            }
        }
    }

    fn pop(&self, now: u64) -> Option<Due> {
        let mut due = self.due.borrow_mut();
        if due.peek()?.at <= now { due.pop() } else { None }
    }

    async fn hear(&self) {
        let mut packet = [0; 2048];
        loop {
            let Ok((_, from)) = self.udp.rtcp.recv_from(&mut packet).await else { continue };
            let peer = self.udp_peers.borrow().get(&from).and_then(Weak::upgrade);
            if let Some(link) = peer {
                link.borrow_mut().heard();
            }
        }
    }
}

/// Runs one sender thread until the fleet stops.
pub(super) fn run(
    shared: &Arc<Shared>,
    number: usize,
    udp: [std::net::UdpSocket; 2],
    mut new: mpsc::UnboundedReceiver<TcpStream>,
) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return tracing::error!("no runtime for a sender thread");
    };
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        let [rtp, rtcp] = udp;
        let (Ok(rtp), Ok(rtcp)) = (UdpSocket::from_std(rtp), UdpSocket::from_std(rtcp)) else {
            return tracing::error!("UDP sockets refused by the runtime");
        };
        let shard = Rc::new(Shard {
            shared: shared.clone(),
            number,
            due: RefCell::default(),
            wake: Notify::new(),
            udp: UdpPair { rtp, rtcp },
            udp_peers: RefCell::default(),
        });
        let accept = async {
            while let Some(stream) = new.recv().await {
                if let Ok(stream) = tokio::net::TcpStream::from_std(stream) {
                    spawn_local(connection::converse(stream, shard.clone()));
                }
            }
        };
        tokio::select! {
            () = shared.stop.cancelled() => {}
            () = shard.pace() => {}
            () = shard.hear() => {}
            () = accept => {}
        }
    });
}
