//! What memory there is, and how the process's own is kept small: most of it is video on its way to the disk, taken and given back each second, so
//! what the allocator holds back for later is pure cost.
//!
//! Measured with 50 cameras of 4 Mbit/s: 159 MiB resident as the allocator comes, 128 without huge pages, 113 when freed
//! pages also go back after 10 ms instead of a second; the CPU time is the same within its noise.

use std::fs;

/// `mi_option_purge_delay`, which the bindings do not name: milliseconds until freed pages go back to the system.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
const PURGE_AFTER_MS: i64 = 10;

/// Sets the process up; called once, before any thread begins.
#[expect(unsafe_code, reason = "the allocator's options are C")]
pub fn keep_small() {
    // Where the kernel refuses, memory is larger and all else the same.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    // SAFETY: a plain assignment inside the allocator; no other thread runs yet.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, PURGE_AFTER_MS) };
}

/// Bytes of memory that this process may have: the machine's, or less where its control group is bounded. 0 where the kernel does not
/// say.
#[must_use]
pub fn installed() -> u64 {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let machine = read("/proc/meminfo")
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10));
    // The file holds `max` where there is no bound.
    let bound = read("/sys/fs/cgroup/memory.max").trim().parse::<u64>().ok();
    machine.unwrap_or(0).min(bound.unwrap_or(u64::MAX))
}

/// Bytes of footage that may wait for each of so many volumes: an eighth of the memory in all, 4 GiB at most, so that a room's full
/// rate passes over a disk that stands still for some 15 s on a machine of 24 GiB. Used only then.
#[must_use]
pub fn footage_queue(installed: u64, volumes: usize) -> usize {
    let all = (installed / 8).min(4 << 30);
    usize::try_from(all / volumes.max(1) as u64).map_or(LEAST_QUEUE, |each| each.max(LEAST_QUEUE))
}

/// Of one volume.
const LEAST_QUEUE: usize = 256 << 20;

#[cfg(test)]
mod tests {
    #[test]
    fn what_may_wait_for_disks_is_a_part_of_the_memory() {
        use super::{footage_queue, installed};
        assert!(installed() > 64 << 20);
        assert_eq!(footage_queue(24 << 30, 1), 3 << 30);
        assert_eq!(footage_queue(256 << 30, 8), 512 << 20);
        assert_eq!(footage_queue(1 << 30, 4), 256 << 20);
    }

    #[test]
    #[expect(unsafe_code, reason = "the allocator's options are C")]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: reads a number inside the allocator.
        let default = unsafe { libmimalloc_sys::mi_option_get(super::PURGE_DELAY) };
        assert_eq!(default, 1_000, "the allocator's default for its purge delay: have the options been renumbered?");
    }
}
