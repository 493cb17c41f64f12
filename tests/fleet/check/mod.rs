//! The checker: reads what was recorded, played back or exported, and compares it with what the simulated cameras sent,
//! access unit by access unit, by the stamp that each carries.
//!
//! It shares no code with the recorder: a reader that shared a mistake with the writer would call it right.

mod boxes;
mod report;
mod samples;

pub use report::{Report, SentLog, StreamReport};

use crate::sei::{self, Stamp};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// Collects access units from any number of files, then reports.
#[derive(Default)]
pub struct Checker {
    seen: BTreeMap<String, Vec<Seen>>,
    unstamped: u64,
    unreadable: Vec<String>,
}

struct Seen {
    stamp: Stamp,
    altered: bool,
    reordered: bool,
}

impl Checker {
    /// Reads one MP4 file, fragmented or progressive. `name` is how the report calls it.
    pub fn read(&mut self, name: &str, file: &[u8]) {
        let Some(movie) = samples::movie(file) else {
            self.unreadable.push(name.to_owned());
            return;
        };
        let mut newest: BTreeMap<String, u64> = BTreeMap::new();
        for sample in samples::samples(file, &movie) {
            let Some(unit) = file.get(sample) else {
                self.unreadable.push(format!("{name}: a sample lies beyond its end"));
                return;
            };
            let Some((stamp, altered)) = examine(unit, movie.hevc) else {
                self.unstamped += 1;
                continue;
            };
            let stream = stream_name(&stamp);
            let newest = newest.entry(stream.clone()).or_insert(stamp.counter);
            let reordered = stamp.counter < *newest;
            *newest = stamp.counter.max(*newest);
            self.seen.entry(stream).or_default().push(Seen { stamp, altered, reordered });
        }
    }

    /// Reads files, and all `.mp4` files in folders below. Empty preallocated segments are passed over.
    ///
    /// # Errors
    /// Those of reading files and folders.
    pub fn read_paths(&mut self, paths: &[PathBuf]) -> io::Result<()> {
        for path in paths {
            if path.is_dir() {
                let mut inner: Vec<PathBuf> = fs::read_dir(path)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
                inner.retain(|p| p.is_dir() || p.extension().is_some_and(|e| e == "mp4"));
                inner.sort();
                self.read_paths(&inner)?;
            } else if !never_used(path)? {
                self.read(&path.display().to_string(), &fs::read(path)?);
            }
        }
        Ok(())
    }

    /// What was found, compared with what was sent. Without a log, all numbers between the first and the last found of a
    /// stream count as sent.
    #[must_use]
    pub fn report(mut self, sent: Option<&SentLog>) -> Report {
        let streams = std::mem::take(&mut self.seen).into_iter().map(|(name, seen)| {
            let log = sent.and_then(|log| log.get(&name)).map(Vec::as_slice);
            let report = stream_report(seen, log);
            (name, report)
        });
        Report { streams: streams.collect(), unstamped: self.unstamped, unreadable: self.unreadable }
    }
}

/// A preallocated segment that no camera was given yet starts with zeros.
fn never_used(path: &Path) -> io::Result<bool> {
    use io::Read;
    let mut start = [0; 8];
    let read = fs::File::open(path)?.take(8).read(&mut start)?;
    Ok(start[..read].iter().all(|byte| *byte == 0))
}

/// The stamp of an access unit, and whether its picture differs from the one that was stamped.
fn examine(unit: &[u8], hevc: bool) -> Option<(Stamp, bool)> {
    let mut stamp = None;
    let mut crc = 0;
    let mut rest = unit;
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let (nal, tail) = tail.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        rest = tail;
        if is_picture(nal, hevc) {
            crc = crc32c::crc32c_append(crc, nal);
        } else if stamp.is_none() {
            stamp = sei::parse(nal, hevc);
        }
    }
    let stamp = stamp?;
    let altered = !rest.is_empty() || crc != stamp.crc;
    Some((stamp, altered))
}

fn is_picture(nal: &[u8], hevc: bool) -> bool {
    match nal.first() {
        Some(header) if hevc => header >> 1 & 0x3f < 32,
        Some(header) => (1..=5).contains(&(header & 0x1f)),
        None => false,
    }
}

fn stream_name(stamp: &Stamp) -> String {
    format!("{}/{}", stamp.camera, if stamp.stream == 0 { "main" } else { "sub" })
}

const PLACES_NAMED: usize = 100;

fn stream_report(mut seen: Vec<Seen>, sent: Option<&[std::ops::RangeInclusive<u64>]>) -> StreamReport {
    seen.sort_by_key(|s| s.stamp.counter);
    let mut report = StreamReport {
        reordered: seen.iter().filter(|s| s.reordered).count() as u64,
        altered: seen.iter().filter(|s| s.altered).count() as u64,
        altered_at: seen.iter().filter(|s| s.altered).map(|s| s.stamp.counter).take(PLACES_NAMED).collect(),
        ..StreamReport::default()
    };
    let (Some(first), Some(last)) = (seen.first(), seen.last()) else { return report };
    let (from, to) = (first.stamp.counter, last.stamp.counter);
    report.first = Some(from);
    report.last = Some(to);
    report.first_utc_us = Some(first.stamp.utc_us);
    report.last_utc_us = Some(last.stamp.utc_us);

    let whole = [from..=to];
    let sent =
        sent.unwrap_or(&whole).iter().map(|run| *run.start().max(&from)..=*run.end().min(&to)).filter(|run| !run.is_empty());
    let mut numbers: Vec<u64> = seen.iter().map(|s| s.stamp.counter).collect();
    numbers.dedup();
    report.present = numbers.len() as u64;
    report.duplicated = seen.len() as u64 - report.present;
    for run in sent {
        report.sent += run.end() - run.start() + 1;
        let inside = &numbers[numbers.partition_point(|n| n < run.start())..numbers.partition_point(|n| n <= run.end())];
        let mut expected = *run.start();
        for number in inside.iter().copied().chain([run.end() + 1]) {
            if number > expected {
                report.lost += number - expected;
                if report.lost_at.len() < PLACES_NAMED {
                    report.lost_at.push((expected, number - 1));
                }
            }
            expected = number + 1;
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(counters: &[u64]) -> Vec<Seen> {
        let stamp = |counter| Stamp { camera: 1, stream: 0, counter, utc_us: 0, crc: 0 };
        counters.iter().map(|&counter| Seen { stamp: stamp(counter), altered: false, reordered: false }).collect()
    }

    #[test]
    fn a_hole_is_lost_and_a_second_copy_is_doubled() {
        let report = stream_report(seen(&[10, 11, 14, 14, 15]), None);
        assert_eq!((report.sent, report.present, report.lost, report.duplicated), (6, 4, 2, 1));
        assert_eq!(report.lost_at, [(12, 13)]);
    }

    #[test]
    fn what_the_camera_did_not_send_is_not_lost() {
        let report = stream_report(seen(&[10, 11, 14, 15]), Some(&[0..=11, 14..=99]));
        assert_eq!((report.sent, report.present, report.lost), (4, 4, 0));
        let report = stream_report(seen(&[10, 11, 14, 15]), Some(&[0..=12, 14..=99]));
        assert_eq!((report.lost, &report.lost_at[..]), (1, &[(12, 12)][..]));
    }
}
