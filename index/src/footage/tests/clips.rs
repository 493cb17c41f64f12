//! Real bitstreams: a few seconds of a test picture, coded by x264 and cut into access units.

use super::*;
use std::process::{Command, Stdio};

pub(super) struct Clip {
    pub(super) tracks: Arc<Tracks>,
    /// Of each access unit: whether it is a key unit, and its bytes with lengths.
    pub(super) units: Vec<(bool, Bytes)>,
}

/// `seconds` of 320×180 at 25 pictures a second, a key unit every 50.
pub(super) fn h264(seconds: u32) -> Clip {
    let source = format!("testsrc2=size=320x180:rate=25:duration={seconds}");
    let coded = ffmpeg(&["-f", "lavfi", "-i", &source, "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "50"]);
    let (mut sps, mut pps) = (None, None);
    let mut units: Vec<(bool, Vec<u8>)> = Vec::new();
    for nal in nals(&coded) {
        match nal[0] & 0x1f {
            9 => units.push((false, Vec::new())),
            7 => sps = Some(nal.to_vec()),
            8 => pps = Some(nal.to_vec()),
            kind => {
                let (key, data) = units.last_mut().expect("an access unit delimiter comes first");
                *key |= kind == 5;
                data.extend_from_slice(&(nal.len() as u32).to_be_bytes());
                data.extend_from_slice(nal);
            }
        }
    }
    let (sps, pps) = (sps.expect("a sequence parameter set"), pps.expect("a picture parameter set"));
    let mut config = vec![1, sps[1], sps[2], sps[3], 0xff, 0xe1];
    config.extend_from_slice(&(sps.len() as u16).to_be_bytes());
    config.extend_from_slice(&sps);
    config.push(1);
    config.extend_from_slice(&(pps.len() as u16).to_be_bytes());
    config.extend_from_slice(&pps);
    let rfc6381 = mp4::rfc6381(VideoCodec::H264, &config).expect("long enough");
    let video = VideoParameters { codec: VideoCodec::H264, width: 320, height: 180, decoder_config: config.into(), rfc6381 };
    let units = units.into_iter().map(|(key, data)| (key, data.into())).collect();
    Clip { tracks: Arc::new(Tracks { video, audio: None, metadata: false }), units }
}

fn ffmpeg(args: &[&str]) -> Vec<u8> {
    let tail = ["-bsf:v", "h264_metadata=aud=insert", "-f", "h264", "-"];
    let run = Command::new("ffmpeg").args(["-v", "error"]).args(args).args(tail).stdin(Stdio::null()).output();
    let run = run.expect("ffmpeg is installed");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    run.stdout
}

/// The NAL units of an Annex B stream.
fn nals(bytes: &[u8]) -> Vec<&[u8]> {
    let mut starts: Vec<usize> = bytes.windows(3).enumerate().filter(|(_, code)| *code == [0, 0, 1]).map(|(i, _)| i).collect();
    starts.push(bytes.len());
    let trim = |nal: &[u8]| nal.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    starts.windows(2).map(|pair| &bytes[pair[0] + 3..pair[1]]).map(|nal| &nal[..trim(nal)]).collect()
}

impl Clip {
    /// The clip as fragments of a second each, with a sound and a metadata unit in each if the tracks have them.
    pub(super) fn drafts(&self, stream: StreamId) -> Vec<Draft> {
        let drafts = self.units.chunks(25).enumerate().map(|(second, units)| {
            let unit = |i: usize, (key, data): &(bool, Bytes)| {
                let n = (second * 25 + i) as i64;
                let utc = UtcMicros::from_micros(EPOCH + n * 40_000);
                let ticks = MediaTicks::new(n * 3600);
                AccessUnit {
                    track: TrackKind::Video,
                    key: *key,
                    decode: ticks,
                    present: ticks,
                    utc,
                    received: utc,
                    rtp: ticks.get() as u32,
                    data: data.clone(),
                }
            };
            let mut units: Vec<_> = units.iter().enumerate().map(|(i, coded)| unit(i, coded)).collect();
            let duration = MediaTicks::new(units.len() as i64 * 3600);
            let other = |track, data: Bytes| AccessUnit { track, key: true, data, ..units[0].clone() };
            let sound = self.tracks.audio.is_some().then(|| other(TrackKind::Audio, vec![0xd5; 8000].into()));
            let document = Bytes::from_static(b"<tt:MetadataStream xmlns:tt=\"http://www.onvif.org/ver10/schema\"/>");
            let metadata = self.tracks.metadata.then(|| other(TrackKind::Metadata, document));
            units.extend(sound.into_iter().chain(metadata));
            Draft { tracks: Arc::clone(&self.tracks), units, duration, ..super::second(stream, 0) }
        });
        drafts.collect()
    }
}

/// What ffmpeg's tools say about a file: pictures decoded, and everything on standard error.
pub(super) fn decode(path: &Path) -> (usize, String) {
    let args = ["-v", "warning", "-count_frames", "-select_streams", "v:0", "-show_entries", "stream=nb_read_frames"];
    let run = Command::new("ffprobe").args(args).args(["-of", "csv=p=0"]).arg(path).stdin(Stdio::null()).output();
    let run = run.expect("ffprobe is installed");
    let count = String::from_utf8_lossy(&run.stdout).trim().trim_end_matches(',').parse().unwrap_or(0);
    (count, String::from_utf8_lossy(&run.stderr).into_owned())
}

/// The tracks that ffprobe finds, as `h264,video pcm_alaw,audio`.
pub(super) fn kinds(path: &Path) -> String {
    let args = ["-v", "error", "-show_entries", "stream=codec_name,codec_type", "-of", "csv=p=0"];
    let run = Command::new("ffprobe").args(args).arg(path).stdin(Stdio::null()).output().expect("ffprobe is installed");
    String::from_utf8_lossy(&run.stdout).split_whitespace().collect::<Vec<_>>().join(" ")
}
