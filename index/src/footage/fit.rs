//! Whether volumes bear the streams that are to be recorded on them. Each stream holds one segment open, so a volume with fewer
//! segments than streams leaves some of them unrecorded, however much space it has.

use super::pool::AHEAD;

/// What volumes lack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shortfall {
    /// Streams without a segment: main streams, sub-streams.
    pub streams: [usize; 2],
    /// Bytes that all volumes together should have at least.
    pub needed: u64,
}

/// Looks whether volumes of these capacities, in bytes, have a segment for each main and sub-stream at once, and on each volume two of
/// each size to go on in. `segment_bytes` are the sizes of a main and a sub-stream's. `None` if they have.
#[must_use]
pub fn shortfall(segment_bytes: [u64; 2], capacities: &[u64], streams: [usize; 2]) -> Option<Shortfall> {
    let ahead: u64 = (0..2).filter(|size| streams[*size] > 0).map(|size| AHEAD as u64 * segment_bytes[size]).sum();
    let mut left: Vec<u64> = capacities.iter().map(|capacity| capacity.saturating_sub(ahead)).collect();
    let mut without = streams;
    for (size, without) in without.iter_mut().enumerate() {
        for bytes in &mut left {
            let fit = (*bytes / segment_bytes[size].max(1)).min(*without as u64);
            *bytes -= fit * segment_bytes[size];
            *without -= fit as usize;
        }
    }
    let open: u64 = (0..2).map(|size| streams[size] as u64 * segment_bytes[size]).sum();
    let needed = open + ahead * capacities.len() as u64;
    (without != [0, 0]).then_some(Shortfall { streams: without, needed })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [u64; 2] = [256, 64];

    #[test]
    fn each_stream_needs_a_segment_and_each_volume_two_more_of_each_size() {
        assert_eq!(shortfall(SIZES, &[10 * 256 + 10 * 64 + 2 * 320], [10, 10]), None);
        let short = shortfall(SIZES, &[10 * 256 + 10 * 64 + 2 * 320 - 64], [10, 10]).expect("one sub-stream too many");
        assert_eq!(short, Shortfall { streams: [0, 1], needed: 10 * 320 + 640 });
        assert_eq!(shortfall(SIZES, &[4 * 256, 4 * 256], [4, 0]), None, "two on each of two volumes");
        assert_eq!(shortfall(SIZES, &[4 * 256, 4 * 256], [5, 0]).map(|short| short.streams), Some([1, 0]));
        assert_eq!(shortfall(SIZES, &[1 << 30], [0, 0]), None);
    }
}
