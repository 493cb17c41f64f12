use super::*;

const SECOND: i64 = 1_000_000;
const START: i64 = 1_795_000_000 * SECOND;

/// A camera at 25 pictures a second with a key unit every 2 s, told picture by picture what goes wrong.
struct Camera {
    timeline: Timeline,
    /// True time since the start.
    now: i64,
    /// What the camera adds to its counter per picture.
    ticks: f64,
    counter: f64,
    pictures: u64,
    delay: i64,
    node_step: i64,
    stamps: Vec<(i64, Stamp)>,
}

impl Camera {
    fn new() -> Self {
        let timeline = Timeline::new();
        Self { timeline, now: 0, ticks: 3_600.0, counter: 4e9, pictures: 0, delay: 0, node_step: 0, stamps: Vec::new() }
    }

    fn picture(&mut self) {
        let rtp = self.counter.rem_euclid(4_294_967_296.0) as u32;
        let received = UtcMicros::from_micros(START + self.now + self.delay + self.node_step);
        let arrival = Arrival { rtp, rate: 90_000, received, monotonic: self.now + self.delay };
        let stamp = self.timeline.stamp(TrackKind::Video, self.pictures.is_multiple_of(50), arrival);
        self.stamps.push((self.now, stamp));
        self.pictures += 1;
        self.now += 40_000;
        self.counter += self.ticks;
    }

    fn pictures(&mut self, count: usize) {
        (0..count).for_each(|_| self.picture());
    }

    fn report(&mut self, camera_ahead: i64) {
        let rtp = self.counter.rem_euclid(4_294_967_296.0) as u32;
        let now = START + self.now;
        let (camera, received) = (UtcMicros::from_micros(now + camera_ahead), UtcMicros::from_micros(now));
        self.timeline.sender_report(TrackKind::Video, rtp, camera, received);
    }

    /// The largest error of the last `count` stamps against true time, in milliseconds.
    fn worst_ms(&self, count: usize) -> i64 {
        let newest = &self.stamps[self.stamps.len() - count..];
        newest.iter().map(|(now, stamp)| (stamp.utc.as_micros() - START - now).abs()).max().unwrap_or(0) / 1_000
    }

    fn assert_decode_grows(&self) {
        for pair in self.stamps.windows(2) {
            let (before, after) = (pair[0].1.decode.get(), pair[1].1.decode.get());
            assert!(after > before || after == 0, "T1: decode went from {before} to {after} at {} µs", pair[1].0);
        }
    }
}

#[test]
fn a_good_camera_gets_its_own_pace_from_zero() {
    let mut camera = Camera::new();
    camera.pictures(100);
    let ticks: Vec<i64> = camera.stamps.iter().take(4).map(|(_, stamp)| stamp.decode.get()).collect();
    assert_eq!(ticks, [0, 3_600, 7_200, 10_800]);
    assert_eq!(camera.worst_ms(100), 0);
    assert_eq!(camera.timeline.clock(), ClockReading { epoch: 0, error_ms: 20, camera_offset_ms: None });
}

#[test]
fn a_counter_that_wraps_goes_on() {
    let mut camera = Camera::new();
    camera.counter = 4_294_967_296.0 - 20.0 * 3_600.0;
    camera.pictures(200);
    assert_eq!((camera.worst_ms(200), camera.timeline.run()), (0, 0));
    camera.assert_decode_grows();
}

#[test]
fn a_crystal_off_by_200_ppm_is_followed_for_a_day_without_a_break() {
    for ppm in [-200.0, 200.0] {
        let mut camera = Camera::new();
        camera.ticks = 3_600.0 * (1.0 + ppm / 1e6);
        camera.pictures(25 * 3_600 * 24);
        assert!(camera.worst_ms(1_000) < 20, "{ppm} ppm: off by {} ms", camera.worst_ms(1_000));
        assert_eq!((camera.timeline.run(), camera.timeline.clock().epoch), (0, 0));
        camera.assert_decode_grows();
    }
}

#[test]
fn the_line_is_bent_by_no_more_than_500_ppm() {
    let mut camera = Camera::new();
    camera.delay = 300_000;
    camera.pictures(50);
    camera.delay = 0;
    camera.pictures(2_000);
    for pair in camera.stamps.windows(2) {
        let span = pair[1].1.utc.micros_from(pair[0].1.utc);
        assert!((span - 40_000).abs() <= 21, "a picture lasted {span} µs");
    }
}

#[test]
fn arrival_jitter_does_not_reach_the_stamps() {
    let mut camera = Camera::new();
    for n in 0..5_000 {
        camera.delay = (n * 7_919) % 60_000;
        camera.picture();
    }
    assert!(camera.worst_ms(5_000) <= 2, "off by {} ms", camera.worst_ms(5_000));
}

#[test]
fn one_picture_from_another_hour_is_stamped_by_the_pace_of_the_others() {
    for jump in [-9_800.0, 37_600.0] {
        let mut camera = Camera::new();
        camera.pictures(30);
        camera.counter += jump * 90_000.0;
        camera.picture();
        camera.counter -= jump * 90_000.0;
        camera.pictures(30);
        assert!(camera.worst_ms(61) <= 1, "jump of {jump} s");
        assert_eq!(camera.timeline.clock().epoch, 0);
        camera.assert_decode_grows();
    }
}

#[test]
fn a_counter_that_restarts_is_believed_after_three_pictures_and_no_run_is_broken() {
    let mut camera = Camera::new();
    camera.pictures(100);
    camera.counter = 5.0;
    camera.pictures(300);
    assert!(camera.worst_ms(400) <= 1, "off by {} ms", camera.worst_ms(400));
    assert_eq!((camera.timeline.run(), camera.timeline.clock().epoch), (0, 1));
    camera.assert_decode_grows();
}

#[test]
fn a_camera_that_jumps_every_few_seconds_is_stamped_as_it_arrives() {
    let mut camera = Camera::new();
    for n in 0..40 {
        camera.counter += if n % 2 == 0 { -9_800.0 * 90_000.0 } else { 37_600.0 * 90_000.0 };
        camera.pictures(75);
    }
    assert!(camera.worst_ms(2_000) <= 1);
    let epochs = camera.timeline.clock().epoch;
    assert!(epochs <= 4, "{epochs} epochs");
    camera.assert_decode_grows();
}

#[test]
fn a_constant_counter_is_left_alone() {
    let mut camera = Camera::new();
    camera.ticks = 0.0;
    camera.pictures(3_000);
    assert_eq!(camera.worst_ms(500), 0);
    camera.assert_decode_grows();
}

#[test]
fn a_camera_that_counts_25_and_sends_21_is_put_right_by_its_sender_reports() {
    let mut camera = Camera::new();
    camera.ticks = 3_600.0 * 21.0 / 25.0;
    for _ in 0..30 {
        camera.pictures(125);
        camera.report(0);
    }
    assert!(camera.worst_ms(1_000) < 900, "off by {} ms", camera.worst_ms(1_000));
    assert!(camera.timeline.run() <= 2, "{} runs", camera.timeline.run());
}

#[test]
fn the_cameras_own_clock_is_told_after_two_reports_that_agree() {
    let mut camera = Camera::new();
    camera.pictures(25);
    camera.report(3 * SECOND);
    assert_eq!(camera.timeline.clock().camera_offset_ms, None);
    camera.pictures(125);
    camera.report(3 * SECOND);
    assert_eq!(camera.timeline.clock().camera_offset_ms, Some(3_000));
    camera.pictures(125);
    camera.report(90 * SECOND);
    assert_eq!(camera.timeline.clock().camera_offset_ms, None, "a stepping clock is not believed");
    camera.report(-START);
    assert_eq!(camera.timeline.clock().camera_offset_ms, None, "1970 is not a time");
}

#[test]
fn a_step_of_the_nodes_clock_begins_a_new_run_at_the_next_key_unit() {
    for step in [-3_600 * SECOND, 5 * SECOND] {
        let mut camera = Camera::new();
        camera.pictures(110);
        camera.node_step = step;
        camera.pictures(30);
        assert_eq!(camera.timeline.run(), 0, "no unit may be lost by it");
        camera.pictures(30);
        assert_eq!((camera.timeline.run(), camera.timeline.clock().epoch), (1, 1));
        assert_eq!(camera.timeline.take_step(), Some(step / 1_000));
        let (now, newest) = camera.stamps[camera.stamps.len() - 1];
        assert_eq!(newest.utc.as_micros(), START + now + step);
    }
}

#[test]
fn a_stall_of_the_network_leaves_the_cameras_pace_alone() {
    let mut camera = Camera::new();
    camera.pictures(100);
    for n in 0..100 {
        camera.delay = 4_000_000 - n * 40_000;
        camera.picture();
    }
    camera.delay = 0;
    camera.pictures(400);
    assert!(camera.worst_ms(600) <= 1);
    assert_eq!(camera.timeline.run(), 0);
}

#[test]
fn pictures_sent_out_of_order_keep_their_time_and_decode_evenly() {
    let mut camera = Camera::new();
    // I0 P3 B1 B2 P6 B4 B5 ...
    for group in 0..200 {
        for place in [3, 1, 2] {
            camera.counter = 9_000.0 + f64::from(group * 3 + place) * 3_600.0;
            camera.picture();
        }
    }
    camera.assert_decode_grows();
    let settled = &camera.stamps[300..];
    for pair in settled.windows(2) {
        let span = pair[1].1.decode.get() - pair[0].1.decode.get();
        assert!((1_800..7_200).contains(&span), "decode advanced by {span} ticks");
    }
    assert!(settled.iter().all(|(_, stamp)| (stamp.present.get() - stamp.decode.get()).abs() < 5 * 3_600));
}
