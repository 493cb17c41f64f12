use super::*;
use crate::footage::tools::{self, ToolError, Verdict};
use std::os::unix::fs::FileExt as _;

fn text(tool: impl FnOnce(&mut dyn std::io::Write) -> Result<(), ToolError>) -> String {
    let mut out = Vec::new();
    tool(&mut out).expect("the tool works");
    String::from_utf8(out).expect("text")
}

fn verify(dir: &Path) -> (Verdict, String) {
    let mut out = Vec::new();
    let verdict = tools::verify(dir, &mut out).expect("the tool works");
    (verdict, String::from_utf8(out).expect("text"))
}

#[test]
fn a_volume_is_listed_and_verified_and_a_flipped_bit_in_it_is_found() {
    let mut site = Site::new();
    let clip = clips::h264(4);
    let file = play::sealed(&mut site, &clip);
    site.store.close();
    let dir = site.dir.path().join("disk-1");
    let listed = text(|out| tools::ls(&dir, out));
    assert_eq!(listed.lines().count(), 2);
    assert!(listed.contains("sealed 1/main 2023-11-14T22:13:20.000000Z 2023-11-14T22:13:24.000000Z 4 "), "{listed}");
    assert!(listed.contains("unsealed 1/main"), "{listed}");
    let (whole, _) = verify(&dir);
    assert_eq!((whole.segments, whole.fragments, whole.damaged), (2, 5, 0));

    let raw = std::fs::File::options().read(true).write(true).open(&file).expect("the segment");
    let mut byte = [0];
    raw.read_exact_at(&mut byte, (64 << 10) + 2000).expect("a byte of media");
    raw.write_all_at(&[byte[0] ^ 4], (64 << 10) + 2000).expect("written");
    let (damaged, said) = verify(&dir);
    assert_eq!((damaged.fragments, damaged.damaged), (4, 1));
    assert!(said.contains("its media are damaged"), "{said}");
}

#[test]
fn a_segment_that_was_never_sealed_or_lost_a_record_is_extracted_to_a_file_that_plays() {
    let site = Site::new();
    let clip = clips::h264(4);
    let gate = stream(1, StreamKind::Main);
    clip.drafts(gate).into_iter().for_each(|draft| site.store.append(draft).expect("room"));
    site.store.flush();
    let fragment = site.reader(&[gate]).fragments(gate, window(0.0, 1.0))[0];
    let name = format!("{:08}.mp4", fragment.segment.0.number);
    let file = play::segments(&site).into_iter().find(|path| path.ends_with(&name)).expect("the file");
    let copy = site.dir.path().join("copy.mp4");
    let extract = || tools::extract(&file, &mut std::fs::File::create(&copy).expect("a file")).expect("extracted");
    assert_eq!(extract(), 4);
    assert_eq!(clips::decode(&copy), (100, String::new()));

    site.store.close();
    let raw = std::fs::File::options().write(true).open(&file).expect("the segment");
    raw.write_all_at(&[0xff; 64], fragment.offset + 100).expect("written");
    assert_eq!(extract(), 3);
    // The second behind it needs the key unit that is lost.
    assert_eq!(clips::decode(&copy).0, 50);
}

#[test]
fn tools_say_what_is_no_volume_and_what_is_in_use() {
    let site = Site::new();
    let mut out = Vec::new();
    assert!(matches!(tools::ls(site.dir.path(), &mut out), Err(ToolError::NotAVolume { .. })));
    assert!(matches!(tools::rebuild(&site.dir.path().join("disk-1"), &mut out), Err(ToolError::InUse(_))));
    site.store.close();
    tools::rebuild(&site.dir.path().join("disk-1"), &mut out).expect("nobody records there");
    let junk = site.dir.path().join("junk");
    std::fs::write(&junk, vec![7; 1 << 20]).expect("written");
    assert!(matches!(tools::extract(&junk, &mut out), Err(ToolError::NotASegment(_))));
}
