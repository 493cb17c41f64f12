use super::*;
use crate::{parameters, testing};
use proptest::prelude::*;

/// A packet in a script: timestamp, marker, payload.
fn packet(timestamp: u32, marker: bool, payload: &[u8]) -> Packet<'_> {
    Packet { marker, payload_type: 96, sequence: 0, timestamp, ssrc: 1, payload }
}

/// Feeds packets (`None`: some are missing here) and lists the units that come out by their NAL units in hex.
fn listing(codec: VideoCodec, numbered: bool, packets: &[Option<(u32, bool, &[u8])>]) -> String {
    let mut pictures = Pictures::new(codec, numbered);
    let (mut out, mut broken) = (Vec::new(), false);
    for step in packets {
        match step {
            None => broken = true,
            Some((timestamp, marker, payload)) => {
                let hand_on = |picture: Picture| {
                    let nals: Vec<String> = nal::with_lengths(&picture.data)
                        .map(|nal| nal.iter().map(|byte| format!("{byte:02x}")).collect())
                        .collect();
                    out.push(format!("{}{}[{}]", picture.rtp, if picture.key { "K" } else { "" }, nals.join(" ")));
                };
                pictures.push(&packet(*timestamp, *marker, payload), std::mem::take(&mut broken), hand_on);
            }
        }
    }
    out.join(" ")
}

#[track_caller]
fn check(packets: &[Option<(u32, bool, &[u8])>], expected: &str) {
    assert_eq!(listing(VideoCodec::H264, false, packets), expected);
}

#[track_caller]
fn check_h265(packets: &[Option<(u32, bool, &[u8])>], expected: &str) {
    assert_eq!(listing(VideoCodec::H265, false, packets), expected);
}

const SEI: &[u8] = &[0x06, 5];
const IDR: &[u8] = &[0x65, 0x88];
const SLICE: &[u8] = &[0x41, 0x9a];
const MORE: &[u8] = &[0x41, 0x1a];

#[test]
fn single_units_aggregates_and_fragments_are_put_together_in_order() {
    check(
        &[
            Some((1, false, SEI)),
            Some((1, false, &[0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 2])),
            Some((1, false, &[0x7c, 0x85, 0x88])),
            Some((1, false, &[0x7c, 0x05, 0x99])),
            Some((1, true, &[0x7c, 0x45, 0xaa])),
            Some((2, true, SLICE)),
        ],
        "1K[0605 6701 6802 658899aa] 2[419a]",
    );
}

#[test]
fn h265_aggregates_and_fragments_are_put_together_in_order() {
    check_h265(
        &[
            Some((1, false, &[0x60, 1, 0, 3, 0x40, 1, 7, 0, 3, 0x44, 1, 9])),
            Some((1, false, &[0x62, 1, 0x93, 0x80])),
            Some((1, true, &[0x62, 1, 0x53, 0x81])),
            Some((2, true, &[0x02, 1, 0x80])),
        ],
        "1K[400107 440109 26018081] 2[020180]",
    );
}

#[test]
fn q35_start_codes_within_a_packet_separate_units() {
    check(&[Some((1, true, &[0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 1, 0x65, 0x88]))], "1K[6701 6802 6588]");
    check(&[Some((1, true, &[0, 0, 0, 1, 0x65, 0x88]))], "1K[6588]");
    check_h265(&[Some((1, true, &[0x40, 1, 7, 0, 0, 1, 0x44, 1, 9, 0, 0, 1, 0x26, 1, 0x80]))], "1K[400107 440109 260180]");
}

#[test]
fn q35_start_codes_in_a_fragmented_set_separate_units() {
    check(&[Some((1, false, &[0x7c, 0x87, 1, 0, 0])), Some((1, true, &[0x7c, 0x47, 1, 0x65, 0x88]))], "1K[6701 6588]");
}

#[test]
fn q40_packets_of_other_modes_than_announced_are_read() {
    check(&[Some((1, true, &[0x79, 0, 9, 0, 2, 0x41, 0x9a])), Some((2, true, &[0x7d, 0xc1, 0, 9, 0x9a]))], "1[419a] 2[619a]");
}

#[test]
fn q88_a_fragment_whose_end_never_comes_is_dropped_and_the_rest_goes_on() {
    check(
        &[Some((1, false, SEI)), Some((1, false, &[0x7c, 0x85, 0x88])), Some((1, true, SLICE)), Some((2, true, SLICE))],
        "1[0605 419a] 2[419a]",
    );
}

#[test]
fn q87_a_unit_that_misses_packets_is_not_handed_over() {
    let start: &[u8] = &[0x7c, 0x81, 0x9a];
    let end: &[u8] = &[0x7c, 0x41, 0xbb];
    check(&[Some((1, false, start)), None, Some((1, true, end)), Some((2, true, SLICE))], "2[419a]");
    check(&[Some((1, false, start)), None, Some((2, true, SLICE)), Some((3, true, SLICE))], "2[419a] 3[419a]");
    check(&[Some((1, true, SLICE)), None, Some((2, true, end)), Some((3, true, SLICE))], "1[419a] 3[419a]");
    check(&[Some((1, true, SLICE)), None, Some((3, true, SLICE))], "1[419a] 3[419a]");
}

#[test]
fn q92_q93_markers_on_messages_and_sets_do_not_end_a_unit() {
    check(
        &[Some((1, true, SEI)), Some((1, true, &[0x67, 1])), Some((1, true, IDR)), Some((2, true, SLICE))],
        "1K[0605 6701 6588] 2[419a]",
    );
}

#[test]
fn q94_without_markers_a_new_timestamp_ends_a_unit() {
    check(
        &[Some((1, false, IDR)), Some((2, false, SLICE)), Some((2, false, MORE)), Some((3, false, SLICE))],
        "1K[6588] 2[419a 411a]",
    );
}

#[test]
fn q95_markers_on_every_packet_do_not_end_units_early() {
    check(
        &[
            Some((1, true, &[0x7c, 0x85, 0x88])),
            Some((1, true, &[0x7c, 0x45, 0x99])),
            Some((2, true, SLICE)),
            Some((2, true, MORE)),
            Some((3, true, SLICE)),
            Some((3, true, MORE)),
            Some((4, true, SLICE)),
        ],
        // That markers lie is known from the second slice on.
        "1K[658899] 2[419a] 2[411a] 3[419a 411a]",
    );
}

#[test]
fn q96_q97_q98_odd_fragments_are_accepted() {
    check(&[Some((1, true, &[0x7c, 0xc5, 0x88]))], "1K[6588]");
    check(&[Some((1, false, &[0x7c, 0x85, 0x88])), Some((1, true, &[0x1c, 0x41, 0x99]))], "1K[658899]");
    check(
        &[
            Some((1, false, &[0x7c, 0x85])),
            Some((1, false, &[])),
            Some((1, false, &[0x7c, 0x05])),
            Some((1, true, &[0x7c, 0x45, 0x88])),
        ],
        "1K[6588]",
    );
    check(&[Some((1, false, &[0x78, 0, 0, 0, 2, 0x41, 0x9a, 0, 99])), Some((1, true, MORE))], "1[419a 411a]");
}

#[test]
fn q101_delimiters_messages_and_many_slices_make_one_unit() {
    check(
        &[
            Some((1, false, &[0x09, 0x10])),
            Some((1, false, SEI)),
            Some((1, false, SLICE)),
            Some((1, true, MORE)),
            Some((2, true, SLICE)),
        ],
        "1[0910 0605 419a 411a] 2[419a]",
    );
}

#[test]
fn q103_decoding_order_numbers_are_left_out() {
    let packets: &[Option<(u32, bool, &[u8])>] = &[
        Some((1, false, &[0x40, 1, 0, 7, 0xaa])),
        Some((1, false, &[0x60, 1, 0, 8, 0, 3, 0x42, 1, 9, 1, 0, 3, 0x44, 1, 9])),
        Some((1, false, &[0x62, 1, 0x93, 0, 9, 0x80])),
        Some((1, true, &[0x62, 1, 0x53, 0x81])),
    ];
    assert_eq!(listing(VideoCodec::H265, true, packets), "1K[4001aa 420109 440109 26018081]");
}

#[test]
fn q104_every_type_of_h265_picture_is_accepted_and_cra_is_key() {
    check_h265(&[Some((1, true, &[0x00, 1, 0x80])), Some((2, true, &[0x2a, 1, 0x80]))], "1[000180] 2K[2a0180]");
}

#[test]
fn q105_forbidden_bits_and_reserved_types_are_dropped() {
    check(
        &[Some((1, false, &[0xe5, 1])), Some((1, false, &[0x7f, 1])), Some((1, false, &[0x60])), Some((1, true, SLICE))],
        "1[419a]",
    );
    check_h265(&[Some((1, false, &[0xff, 1, 1])), Some((1, false, &[0x64, 1, 1])), Some((1, true, &[2, 1, 0x80]))], "1[020180]");
}

#[test]
fn q106_a_unit_that_never_ends_is_given_up() {
    let mut pictures = Pictures::new(VideoCodec::H264, false);
    let payload = [&[0x7c, 0x01][..], &[7; 60_000]].concat();
    pictures.push(&packet(1, false, &[0x7c, 0x81, 0x9a]), false, |_| panic!("nothing is whole"));
    for _ in 0..1000 {
        pictures.push(&packet(1, false, &payload), false, |_| panic!("nothing is whole"));
        assert!(pictures.unit.capacity() <= 2 * UNIT_BYTES_MAX);
    }
    let mut units = 0;
    pictures.push(&packet(2, true, SLICE), false, |_| units += 1);
    assert_eq!((units, pictures.dropped), (1, 1));
}

/// A real encoder's sets, as the description or the stream carries them.
fn sets(codec: VideoCodec) -> Vec<Vec<u8>> {
    let clip = testing::clip(codec, 128, 96, 1);
    parameters::sets_of(codec, &clip.parameters.decoder_config).into_iter().map(<[u8]>::to_vec).collect()
}

/// Feeds single NAL units, each a unit of its own unless it is a set, and lists which units came with new parameters.
fn news(pictures: &mut Pictures, nals: &[&[u8]]) -> Vec<bool> {
    let mut out = Vec::new();
    for (number, nal) in nals.iter().enumerate() {
        pictures.push(&packet(number as u32, true, nal), false, |picture| out.push(picture.news.is_some()));
    }
    out
}

#[test]
fn q33_q34_parameters_come_from_the_description_or_from_the_stream() {
    let sets = sets(VideoCodec::H264);
    let mut described = Pictures::new(VideoCodec::H264, false);
    described.offer(&[[&[0, 0, 0, 1], &sets[0][..], &[0, 0, 0, 1], &sets[1]].concat()]);
    assert_eq!(news(&mut described, &[IDR, &sets[0], &sets[1], IDR]), [true, false]);
    let mut in_band = Pictures::new(VideoCodec::H264, false);
    in_band.offer(&[vec![0xff, 0xff]]);
    assert_eq!(news(&mut in_band, &[IDR, &sets[0], &sets[1], IDR]), [false, true]);
}

#[test]
fn q36_h265_without_a_vps_in_the_description_waits_for_the_stream() {
    let sets = sets(VideoCodec::H265);
    let mut pictures = Pictures::new(VideoCodec::H265, false);
    pictures.offer(&sets[1..]);
    let idr = &[0x26, 1, 0x80];
    assert!(news(&mut pictures, &[idr, &sets[0], idr])[1]);
}

#[test]
fn q99_sets_that_change_take_effect_at_the_next_key_unit() {
    let old = sets(VideoCodec::H264);
    let clip = testing::clip(VideoCodec::H264, 64, 64, 1);
    let new = parameters::sets_of(VideoCodec::H264, &clip.parameters.decoder_config);
    let mut pictures = Pictures::new(VideoCodec::H264, false);
    pictures.offer(&old);
    assert_eq!(news(&mut pictures, &[IDR, new[0], new[1], SLICE, IDR, IDR]), [true, false, true, false]);
}

#[test]
fn sets_with_a_timestamp_of_their_own_stay_in_front_of_their_picture() {
    check(&[Some((1, true, &[0x67, 1])), Some((2, true, &[0x68, 1])), Some((3, true, IDR))], "3K[6701 6801 6588]");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_payloads_never_panic_and_memory_stays_bounded(
        h265 in any::<bool>(),
        numbered in any::<bool>(),
        packets in prop::collection::vec((0u32..3, any::<bool>(), any::<bool>(), prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0x7c), Just(0x62), any::<u8>()], 0..40)), 0..60),
    ) {
        let codec = if h265 { VideoCodec::H265 } else { VideoCodec::H264 };
        let mut pictures = Pictures::new(codec, numbered);
        let (mut fed, mut got) = (0, 0);
        for (timestamp, marker, broken, payload) in &packets {
            fed += payload.len() + 8 * (payload.len() / 2 + 1);
            pictures.push(&packet(*timestamp, *marker, payload), *broken, |picture| {
                got += picture.data.len();
                let whole: usize = nal::with_lengths(&picture.data).map(|nal| nal.len() + 4).sum();
                assert_eq!(whole, picture.data.len(), "every length is true");
            });
        }
        prop_assert!(got + pictures.unit.len() <= fed);
    }
}
