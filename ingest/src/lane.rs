//! One single-threaded runtime on its own thread, and its naps.
//!
//! A thousand sockets that each get a packet every few milliseconds would wake a thread for each packet. So a lane, before it
//! waits for sockets, first sleeps out a tick: then one wake-up finds many sockets readable and reads from each all that
//! came. Timers and connects are late by at most a tick. While somebody watches one of its streams, or packets come as
//! datagrams (which the kernel drops when nobody reads them), the tick is short.

use std::{
    cell::Cell,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, sync::oneshot};

/// The longest tick while anyone watches live: half of what the eye forgives, well within the goal of 20 ms at the 95th
/// percentile from socket to socket.
const WATCHED: Duration = Duration::from_millis(8);

/// See the module.
#[derive(Debug)]
pub(crate) struct Lane {
    handle: Handle,
    /// How many watch a stream that this lane reads.
    pub(crate) viewers: Arc<AtomicUsize>,
    /// How many sessions get datagrams here.
    pub(crate) datagrams: Arc<AtomicUsize>,
    /// How many streams are pinned here.
    pub(crate) streams: AtomicUsize,
    thread: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

impl Lane {
    /// Starts a thread.
    ///
    /// # Errors
    /// What the system says when it cannot.
    pub(crate) fn start(number: usize, tick: Duration) -> io::Result<Arc<Self>> {
        let (viewers, datagrams) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let hurry = [Arc::clone(&viewers), Arc::clone(&datagrams)];
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || {
                let hurried = hurry.iter().any(|many| many.load(Ordering::Relaxed) > 0);
                nap(if hurried { tick.min(WATCHED) } else { tick });
            })
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name(format!("ingest-{number}")).spawn(move || {
            // Ends when the sender says so, or is gone.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_timeout(Duration::from_secs(1));
        })?;
        let thread = Mutex::new(Some((stop, thread)));
        Ok(Arc::new(Self { handle, viewers, datagrams, streams: AtomicUsize::new(0), thread }))
    }

    /// Where its tasks are spawned.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends the thread; tasks that still run are dropped.
    pub(crate) fn stop(&self) {
        let running = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, thread)) = running {
            drop(stop);
            // From one of its own tasks there is no waiting for it.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

/// Sleeps until a tick has passed since the last nap ended; not at all when the work took that long.
fn nap(tick: Duration) {
    thread_local!(static WOKE: Cell<Option<Instant>> = const { Cell::new(None) });
    WOKE.with(|woke| {
        let worked = woke.get().map_or(Duration::ZERO, |at| at.elapsed());
        if let Some(rest) = tick.checked_sub(worked).filter(|rest| !rest.is_zero()) {
            std::thread::sleep(rest);
        }
        woke.set(Some(Instant::now()));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn timers_fire_and_wakers_are_heard_within_a_tick() {
        let lane = Lane::start(0, Duration::from_millis(40)).expect("a thread");
        let fired = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&fired);
        let begun = Instant::now();
        let timers = lane.handle().spawn(async move {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_millis(10)).await;
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        let (send, mut receive) = tokio::sync::mpsc::channel(1);
        let echo = lane.handle().spawn(async move { receive.recv().await });
        futures::executor::block_on(async {
            send.send(7).await.expect("the lane listens");
            assert_eq!(echo.await.expect("it ran"), Some(7));
            timers.await.expect("they ran");
        });
        assert_eq!(fired.load(Ordering::Relaxed), 10);
        assert!(begun.elapsed() < Duration::from_secs(5));
        lane.stop();
    }

    #[test]
    fn one_wake_up_serves_many_events_and_a_viewer_makes_the_naps_short() {
        let lane = Lane::start(1, Duration::from_millis(50)).expect("a thread");
        let round_trips = |lane: &Lane| {
            let begun = Instant::now();
            let task = lane.handle().spawn(async {
                for _ in 0..10 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
            futures::executor::block_on(task).expect("it ran");
            begun.elapsed()
        };
        let alone = round_trips(&lane);
        lane.viewers.fetch_add(1, Ordering::Relaxed);
        let watched = round_trips(&lane);
        assert!(alone >= Duration::from_millis(400), "ten waits took {alone:?} in naps of 50 ms");
        assert!(watched < alone / 2, "{watched:?} watched, {alone:?} alone");
        lane.stop();
    }
}
