//! The clip cache: one file a specification, written aside and renamed, so that processes that start together agree.
//!
//! file: `FLEETCLP` | crc32c of the rest u32 | specification (JSON) | sets | units; every part behind its length u32.

use super::{Clip, ClipError, ClipSpec, Coded, encode::encode};
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

const MAGIC: &[u8; 8] = b"FLEETCLP";
/// Part of every file's name: raise it when painting, encoding or the format changes.
const VERSION: u32 = 2;

impl Clip {
    /// The clip of a specification: from the cache, or made and put there. Waits while another process makes the same one.
    ///
    /// # Errors
    /// [`ClipError`] if the specification is impossible, the encoder fails, or the cache cannot be written.
    pub fn load(spec: &ClipSpec, cache: &Path) -> Result<Self, ClipError> {
        spec.check()?;
        let path = cache.join(name(spec));
        if let Some(clip) = read(&path, spec) {
            return Ok(clip);
        }
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| ClipError::Cache { path, source }
        };
        fs::create_dir_all(cache).map_err(at(cache))?;
        let lock_path = path.with_extension("lock");
        let lock = fs::File::create(&lock_path).map_err(at(&lock_path))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).map_err(|e| at(&lock_path)(e.into()))?;
        if let Some(clip) = read(&path, spec) {
            return Ok(clip);
        }
        let clip = encode(spec)?;
        let aside = path.with_extension("new");
        let mut file = fs::File::create(&aside).map_err(at(&aside))?;
        file.write_all(&clip.to_bytes()).map_err(at(&aside))?;
        fs::rename(&aside, &path).map_err(at(&path))?;
        Ok(clip)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        part(&mut body, json(&self.spec).as_bytes());
        list(&mut body, &self.parameter_sets);
        for unit in &self.units {
            body.push(u8::from(unit.key));
            body.extend(unit.delay.to_be_bytes());
            list(&mut body, &unit.slices);
        }
        let mut file = MAGIC.to_vec();
        file.extend(crc32c::crc32c(&body).to_be_bytes());
        file.extend(body);
        file
    }

    fn from_bytes(file: &[u8], spec: &ClipSpec) -> Option<Self> {
        let (sum, body) = file.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
        if crc32c::crc32c(body) != u32::from_be_bytes(*sum) {
            return None;
        }
        let mut rest = body;
        if take_part(&mut rest)? != json(spec).as_bytes() {
            return None;
        }
        let parameter_sets = take_list(&mut rest)?;
        let mut units = Vec::new();
        while let Some((head, tail)) = rest.split_first_chunk::<5>() {
            rest = tail;
            let delay = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
            units.push(Coded { key: head[0] != 0, delay, slices: take_list(&mut rest)? });
        }
        Some(Self { spec: spec.clone(), parameter_sets, units })
    }
}

/// `None` for a file that is missing, cut, damaged or of another specification: then it is made again.
fn read(path: &Path, spec: &ClipSpec) -> Option<Clip> {
    Clip::from_bytes(&fs::read(path).ok()?, spec)
}

fn name(spec: &ClipSpec) -> PathBuf {
    let hash = Sha256::digest(format!("{VERSION} {}", json(spec)));
    let hex: String = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    PathBuf::from(format!("{hex}.clip"))
}

fn json(spec: &ClipSpec) -> String {
    serde_json::to_string(spec).unwrap_or_default()
}

fn part(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend(bytes);
}

fn list(out: &mut Vec<u8>, parts: &[Vec<u8>]) {
    out.extend((parts.len() as u32).to_be_bytes());
    parts.iter().for_each(|bytes| part(out, bytes));
}

fn take_u32(rest: &mut &[u8]) -> Option<usize> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_be_bytes(*head) as usize)
}

fn take_part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_u32(rest)?;
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

fn take_list(rest: &mut &[u8]) -> Option<Vec<Vec<u8>>> {
    let count = take_u32(rest)?;
    (0..count).map(|_| take_part(rest).map(<[u8]>::to_vec)).collect()
}
