use super::{clips::Clip, *};
use crate::model::{AudioCodec, AudioParameters};

pub(super) fn segments(site: &Site) -> Vec<std::path::PathBuf> {
    let dir = std::fs::read_dir(site.dir.path().join("disk-1/segs")).expect("segments");
    let mut paths: Vec<_> = dir.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

pub(super) fn sealed(site: &mut Site, clip: &Clip) -> std::path::PathBuf {
    let gate = stream(1, StreamKind::Main);
    for draft in clip.drafts(gate) {
        site.store.append(draft).expect("room");
    }
    // Another run ends the segment.
    site.store.flush();
    site.store.append(draft(gate, 100, 500, 99)).expect("room");
    site.store.flush();
    let fragments = site.reader(&[gate]).fragments(gate, window(0.0, 50.0));
    let number = fragments[0].segment.0.number;
    segments(site).into_iter().find(|path| path.ends_with(format!("{number:08}.mp4"))).expect("the file")
}

#[test]
fn a_sealed_segment_plays_as_it_is() {
    let mut site = Site::new();
    let clip = clips::h264(6);
    let file = sealed(&mut site, &clip);
    let (pictures, complaints) = clips::decode(&file);
    assert_eq!((pictures, complaints.as_str()), (clip.units.len(), ""));
}

#[test]
fn sound_and_metadata_are_tracks_of_a_segment() {
    let mut site = Site::new();
    let mut clip = clips::h264(4);
    let audio = AudioParameters { codec: AudioCodec::Pcma, sample_rate: 8000, channels: 1, config: Bytes::new() };
    clip.tracks = Arc::new(Tracks { audio: Some(audio), metadata: true, ..(*clip.tracks).clone() });
    let file = sealed(&mut site, &clip);
    assert_eq!(clips::decode(&file).0, clip.units.len());
    let kinds = clips::kinds(&file);
    assert!(kinds.contains("h264,video") && kinds.contains("pcm_alaw,audio"), "{kinds}");
    let gate = stream(1, StreamKind::Main);
    let reader = site.reader(&[gate]);
    let read: Vec<_> =
        reader.fragments(gate, window(0.0, 50.0)).iter().map(|f| reader.fetch(f).expect("readable").units()).collect();
    let sent: Vec<_> = clip.drafts(gate).into_iter().map(|draft| draft.units).collect();
    assert!(read == sent, "every unit of every track comes back");
}

#[test]
fn fragments_of_a_recording_join_to_one_that_plays_from_any_second() {
    let mut site = Site::new();
    let clip = clips::h264(6);
    sealed(&mut site, &clip);
    let gate = stream(1, StreamKind::Main);
    let reader = site.reader(&[gate]);
    let mut file = mp4::init_segment(&clip.tracks).to_vec();
    for (n, fragment) in reader.fragments(gate, window(2.0, 5.0)).iter().enumerate() {
        file.extend_from_slice(&reader.fetch(fragment).expect("readable").retimed(n as u64 * 90_000, n as u32 + 1));
    }
    let path = site.dir.path().join("joined.mp4");
    std::fs::write(&path, file).expect("written");
    assert_eq!(clips::decode(&path), (75, String::new()));
}

#[test]
fn an_export_is_one_plain_movie() {
    let mut site = Site::new();
    let clip = clips::h264(6);
    sealed(&mut site, &clip);
    let gate = stream(1, StreamKind::Main);
    let reader = site.reader(&[gate]);
    let mut table = mp4::TrackTable { track: TrackKind::Video, samples: vec![], chunks: vec![] };
    let mut media = Vec::new();
    for fragment in reader.fragments(gate, window(0.0, 50.0)) {
        let fragment = reader.fetch(&fragment).expect("readable");
        let before = table.samples.len();
        table.chunks.push((media.len() as u64, 0));
        for (row, offset) in fragment.samples(TrackKind::Video) {
            table.samples.push(row);
            media.extend_from_slice(&fragment.bytes()[offset..offset + row.size as usize]);
        }
        let samples = (table.samples.len() - before) as u32;
        table.chunks.last_mut().expect("just pushed").1 = samples;
    }
    let mut file = mp4::movie_header(&clip.tracks, &[table], media.len() as u64).to_vec();
    file.extend_from_slice(&media);
    let path = site.dir.path().join("export.mp4");
    std::fs::write(&path, file).expect("written");
    assert_eq!(clips::decode(&path), (clip.units.len(), String::new()));
}
