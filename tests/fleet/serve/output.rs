//! What waits for a client that reads too slowly. A camera has little memory: the queue is bounded by its caller.

use crate::stats::Counters;
use std::{collections::VecDeque, io, rc::Rc, sync::atomic::Ordering::Relaxed, time::Instant};
use tokio::net::TcpStream;

/// Bytes on their way to one client.
pub(super) struct Output {
    stream: Rc<TcpStream>,
    pending: Vec<u8>,
    /// How much of `pending` is already written.
    head: usize,
    written: u64,
    /// Pictures in `pending` (or just written), and where each ends in the whole stream of bytes.
    marks: VecDeque<(u64, u64)>,
    blocked: Option<Instant>,
}

impl Output {
    pub(super) fn new(stream: Rc<TcpStream>) -> Self {
        Self { stream, pending: Vec::new(), head: 0, written: 0, marks: VecDeque::new(), blocked: None }
    }

    /// How many bytes wait.
    pub(super) fn waiting(&self) -> usize {
        self.pending.len() - self.head
    }

    /// Sends bytes after all that waits; what the kernel does not take waits.
    pub(super) fn send(&mut self, bytes: &[u8], picture: Option<u64>, counters: &Counters) -> io::Result<()> {
        if let Some(counter) = picture {
            self.marks.push_back((self.written + (self.waiting() + bytes.len()) as u64, counter));
        }
        let taken = if self.waiting() == 0 { self.write(bytes)? } else { 0 };
        if taken < bytes.len() {
            self.pending.extend_from_slice(&bytes[taken..]);
            self.blocked.get_or_insert_with(Instant::now);
        }
        counters.bytes.fetch_add(taken as u64, Relaxed);
        Ok(())
    }

    /// Offers the kernel what waits.
    pub(super) fn flush(&mut self, counters: &Counters) -> io::Result<()> {
        if self.waiting() == 0 {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        let taken = self.write(&pending[self.head..]);
        self.pending = pending;
        let taken = taken?;
        self.head += taken;
        counters.bytes.fetch_add(taken as u64, Relaxed);
        if self.waiting() == 0 {
            self.pending.clear();
            self.head = 0;
            if let Some(since) = self.blocked.take() {
                counters.waited(since.elapsed());
            }
        }
        Ok(())
    }

    /// The next picture whose last byte the kernel has.
    pub(super) fn done(&mut self) -> Option<u64> {
        let (end, counter) = *self.marks.front()?;
        (end <= self.written).then(|| {
            self.marks.pop_front();
            counter
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while taken < bytes.len() {
            match self.stream.try_write(&bytes[taken..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => taken += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.written += taken as u64;
        Ok(taken)
    }
}
