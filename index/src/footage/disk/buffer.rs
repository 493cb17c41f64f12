//! Memory that direct I/O accepts.

use crate::footage::format::BLOCK;

/// The machine's large pages.
const HUGE: usize = 2 << 20;

/// A growing run of bytes whose first lies on a block's boundary. Kept and reused by its writer: it reaches the size of the largest
/// write once and allocates no more.
#[derive(Default)]
pub(in crate::footage) struct AlignedBuffer {
    /// Longer than what is used by up to a block, to have a boundary inside.
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    /// Forgets what is inside and keeps the memory.
    pub(in crate::footage) fn clear(&mut self) {
        self.len = 0;
    }

    pub(in crate::footage) fn len(&self) -> usize {
        self.len
    }

    /// Makes room for `more` bytes in all behind those that are there.
    pub(in crate::footage) fn reserve(&mut self, more: usize) {
        let needed = self.len + more;
        if self.start + needed <= self.memory.len() {
            return;
        }
        let (mut memory, start) = if needed < HUGE / 8 {
            let memory = vec![0; needed.next_power_of_two() + BLOCK];
            let start = memory.as_ptr().align_offset(BLOCK);
            (memory, start)
        } else {
            let memory = vec![0; needed.next_power_of_two().max(HUGE) + HUGE];
            let start = memory.as_ptr().align_offset(HUGE);
            back_with_huge_pages(&memory[start..]);
            (memory, start)
        };
        memory[start..start + self.len].copy_from_slice(self.bytes());
        (self.memory, self.start) = (memory, start);
    }

    /// Appends bytes.
    pub(in crate::footage) fn push(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        let at = self.start + self.len;
        self.memory[at..at + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Appends `len` bytes of any content, for the caller to fill.
    pub(in crate::footage) fn grow(&mut self, len: usize) -> &mut [u8] {
        self.reserve(len);
        let at = self.start + self.len;
        self.len += len;
        &mut self.memory[at..at + len]
    }

    pub(in crate::footage) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }

    pub(in crate::footage) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }

    /// Lets the memory go if it is larger than `limit`: one huge picture must not be kept for ever.
    pub(in crate::footage) fn shrink(&mut self, limit: usize) {
        if self.memory.len() > limit {
            *self = Self::default();
        }
    }
}

/// Asks for huge pages: a write of half a megabyte then is one piece to the device, not 128, which costs the kernel and the
/// device's driver less. Only advice: refused, everything works as before.
#[expect(unsafe_code, reason = "madvise takes a raw address")]
fn back_with_huge_pages(memory: &[u8]) {
    let len = memory.len() / HUGE * HUGE;
    // SAFETY: the range lies inside a live allocation, and this advice changes neither its contents nor its protection.
    let advised = unsafe { rustix::mm::madvise(memory.as_ptr().cast_mut().cast(), len, rustix::mm::Advice::LinuxHugepage) };
    if let Err(error) = advised {
        tracing::debug!(%error, "no huge pages for the write buffer");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_stays_on_a_block_while_the_buffer_grows() {
        let mut buffer = AlignedBuffer::default();
        let mut expected = Vec::new();
        for n in 1..200usize {
            let piece = vec![n as u8; n * 37];
            buffer.push(&piece);
            expected.extend_from_slice(&piece);
            assert_eq!(buffer.bytes().as_ptr().align_offset(BLOCK), 0);
        }
        assert_eq!(buffer.bytes(), expected);
    }
}
