//! The checker against files that ffmpeg wrote from the fleet: neither the muxer nor the client is ours.

use fleet::{Checker, Fate, Fleet, FleetSpec, Report, pictures};
use index::model::{StreamKind, Window};
use std::{path::Path, time::Duration};

const PATIENCE: Duration = Duration::from_secs(30);

async fn record(fleet: &Fleet, file: &Path, options: &[&str]) -> Vec<u8> {
    let mut ffmpeg = tokio::process::Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-rtsp_transport", "tcp", "-i", &fleet.url(1, StreamKind::Main)]);
    ffmpeg.args(["-map", "0:v", "-c", "copy", "-frames:v", "40"]).args(options).arg(file).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, ffmpeg.output()).await.expect("in time").expect("package ffmpeg");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(file).expect("a recording")
}

fn check(bytes: &[u8]) -> Report {
    let mut checker = Checker::new();
    checker.file("recording", bytes);
    checker.report(None, Window::ALL)
}

#[tokio::test]
async fn what_ffmpeg_records_from_the_fleet_is_found_whole_in_every_container() {
    let folder = tempfile::tempdir().expect("a directory");
    let fleet = Fleet::start(FleetSpec::tiny(1)).expect("a fleet");
    for (name, options) in [
        ("progressive.mp4", &[][..]),
        ("fast.mp4", &["-movflags", "faststart"]),
        ("fragmented.mp4", &["-movflags", "frag_keyframe+empty_moov"]),
        ("based.mp4", &["-movflags", "frag_keyframe+empty_moov+default_base_moof"]),
        ("stream.h264", &["-f", "h264"]),
    ] {
        let bytes = record(&fleet, &folder.path().join(name), options).await;
        let report = check(&bytes);
        assert!(report.is_good(), "{name}: {report}");
        assert_eq!((report.streams.len(), report.streams[0].present), (1, 40), "{name}");
    }
}

#[tokio::test]
async fn lost_doubled_swapped_and_damaged_pictures_are_named() {
    let folder = tempfile::tempdir().expect("a directory");
    let fleet = Fleet::start(FleetSpec::tiny(1)).expect("a fleet");
    let bytes = record(&fleet, &folder.path().join("a.h264"), &["-f", "h264"]).await;
    let log = fleet.sent("1/main".parse().expect("a stream")).expect("camera 1");
    assert!(pictures_sent(&log) >= 40);
    // Cut where the stamps are: every unit begins with one.
    let starts: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(&fleet::STAMP_UUID)).collect();
    let begin = |unit: usize| bytes[..starts[unit]].windows(4).rposition(|w| w == [0, 0, 0, 1]).expect("a start code");
    let units: Vec<&[u8]> = (0..39).map(|unit| &bytes[begin(unit)..begin(unit + 1)]).collect();
    let joined = |order: &[usize]| order.iter().flat_map(|unit| units[*unit]).copied().collect::<Vec<u8>>();
    let first = check(&bytes).streams[0].clone();
    assert!(first.is_good());

    let lost = &check(&joined(&[0, 1, 2, 5, 6])).streams[0];
    assert_eq!((pictures(&lost.lost), lost.lost[0].last - lost.lost[0].first), (2, 1));
    let doubled = &check(&joined(&[0, 1, 1, 2])).streams[0];
    assert_eq!((pictures(&doubled.duplicated), pictures(&doubled.lost)), (1, 0));
    let swapped = &check(&joined(&[0, 2, 1, 3])).streams[0];
    assert_eq!((pictures(&swapped.reordered), pictures(&swapped.duplicated)), (1, 0));
    let mut damaged = joined(&[0, 1, 2]);
    let last = damaged.len() - 5;
    damaged[last] ^= 0x10;
    assert_eq!(pictures(&check(&damaged).streams[0].altered), 1);
}

fn pictures_sent(log: &fleet::StreamLog) -> u64 {
    log.ranges(Fate::Sent).iter().map(|(first, last)| last - first + 1).sum()
}

#[test]
fn a_cut_or_foreign_file_is_a_fault_and_never_a_panic() {
    for bytes in [&b""[..], b"not an mp4 at all", &[0; 64], b"\0\0\0\x08moof", b"\0\0\0\x10moov\0\0\0\x08trak"] {
        assert!(!check(bytes).is_good());
    }
}
