//! Reads ISO base media boxes (ISO/IEC 14496-12), written apart from the recorder's own code on purpose: a checker that
//! shared a mistake with what it checks would see nothing.

/// One box: its type and its payload.
#[derive(Clone, Copy)]
pub(super) struct Mp4Box<'a> {
    /// `moof`, `mdat`, …
    pub(super) kind: [u8; 4],
    /// What follows the header.
    pub(super) payload: &'a [u8],
    /// Where the box starts in the bytes it was read from.
    pub(super) start: usize,
    /// Where its payload starts there.
    pub(super) payload_start: usize,
}

/// The boxes of `bytes`, up to the first that is none: a size that is 0, too small or beyond the end.
pub(super) fn boxes(bytes: &[u8]) -> impl Iterator<Item = Mp4Box<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let found = read_box(bytes, at)?;
        at = found.payload_start + found.payload.len();
        Some(found)
    })
}

fn read_box(bytes: &[u8], start: usize) -> Option<Mp4Box<'_>> {
    let short = u32_at(bytes, start)? as usize;
    let kind = bytes.get(start + 4..start + 8)?.try_into().ok()?;
    let (size, header) = if short == 1 { (usize::try_from(u64_at(bytes, start + 8)?).ok()?, 16) } else { (short, 8) };
    let payload = bytes.get(start.checked_add(header)?..start.checked_add(size)?)?;
    Some(Mp4Box { kind, payload, start, payload_start: start + header })
}

/// The first box of a kind among `bytes`.
pub(super) fn find<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<Mp4Box<'a>> {
    boxes(bytes).find(|b| &b.kind == kind)
}

/// Descends through the first box of each kind.
pub(super) fn path<'a>(bytes: &'a [u8], kinds: &[&[u8; 4]]) -> Option<&'a [u8]> {
    kinds.iter().try_fold(bytes, |inner, kind| Some(find(inner, kind)?.payload))
}

/// A big-endian number, if it is there.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// A big-endian number, if it is there.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_stops_where_the_boxes_end() {
        let mut bytes = Vec::new();
        bytes.extend([0, 0, 0, 12]);
        bytes.extend(b"freeabcd");
        bytes.extend([0; 64]);
        let all: Vec<_> = boxes(&bytes).map(|b| (b.kind, b.payload.to_vec())).collect();
        assert_eq!(all, [(*b"free", b"abcd".to_vec())]);
        assert!(boxes(&[0, 0, 0, 200, b'm', b'd', b'a', b't']).next().is_none(), "a box longer than the file is none");
    }
}
