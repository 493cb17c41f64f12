//! However a day is looked through, by lists or by columns, the answer is the one that reading every event would give.

use super::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::collections::BTreeMap;

/// Sixty cameras: more than lists are followed for, and the first of them alone few enough.
const CAMERAS: u32 = 60;
const SPOTS: [&str; 3] = ["南门岗亭", "地下车库", "沿河步道"];
const KINDS: [Kind; 4] = [Kind::Motion, Kind::Motion, Kind::Motion, Kind::Crowd];
const KINDS_ASKED: [&[Kind]; 3] = [&[], &[Kind::Crowd], &[Kind::Motion, Kind::Crowd]];

fn events(rng: &mut StdRng, count: usize) -> Vec<Event> {
    let now = UtcMicros::now().as_micros();
    let one = |_| {
        let camera = rng.random_range(1..=CAMERAS);
        let at = now - rng.random_range(0..3 * 86_400_000_000_i64);
        let corner = rng.random_range(0.0..0.8_f32);
        // Now and then one is about several cameras, or about none.
        let (alone, several) = (rng.random_range(0..12) != 0, rng.random_range(0..5));
        Event {
            camera: CameraId::new(camera).ok().filter(|_| alone),
            cameras: (camera..camera + several).filter_map(|number| CameraId::new(number).ok().filter(|_| !alone)).collect(),
            name: format!("{}{camera}", SPOTS[camera as usize % SPOTS.len()]),
            place: vec![format!("{}号楼", camera % 5)],
            region: Region::new(corner, corner, corner + 0.1, corner + 0.1),
            text: Text {
                zh: if rng.random_range(0..40) == 0 { "消防通道被占用".into() } else { String::new() },
                ..Text::default()
            },
            ..Event::new(UtcMicros::from_micros(at / 1000 * 1000), KINDS[rng.random_range(0..KINDS.len())])
        }
    };
    (0..count).map(one).collect()
}

/// What a question asks for, said again by other means.
fn matches(question: &Question, event: &Event) -> bool {
    let text = format!("{}{}{}", event.place.concat(), event.name, event.text.zh);
    let concerned: Vec<CameraId> = event.camera.into_iter().chain(event.cameras.iter().copied()).collect();
    let all = matches!(question.reach, Reach::Everything) && question.cameras.is_empty();
    let asked = |camera: &CameraId| question.cameras.is_empty() || question.cameras.contains(camera);
    let within = all || concerned.iter().any(|camera| question.reach.has(*camera) && asked(camera));
    let hour = ((event.time.as_micros() / 3_600_000_000 + ZONE_HOURS) % 24) as usize;
    within
        && (question.kinds.is_empty() || question.kinds.contains(&event.kind))
        && event.kind.severity() >= question.severity
        && (question.under.is_empty() || event.place.starts_with(&question.under))
        && question.window.contains(event.time)
        && question.hours.is_none_or(|hours| hours[hour])
        && question.text.split(' ').all(|term| text.contains(term))
}

fn questions(rng: &mut StdRng) -> Question {
    let some = |rng: &mut StdRng, most: u32| -> BTreeSet<CameraId> {
        let from = rng.random_range(1..=CAMERAS);
        let count = rng.random_range(0..most);
        (from..from + count).filter_map(|number| CameraId::new(number).ok()).collect()
    };
    let texts = ["", "岗亭", "车库", "步道", "消防通道", "车库 消防通道", "号楼"];
    let now = UtcMicros::now().as_micros();
    let from = now - rng.random_range(1..4 * 86_400_i64) * 1_000_000;
    let reach = if rng.random_range(0..2) == 0 { Reach::Everything } else { Reach::Cameras(some(rng, 50)) };
    Question {
        text: texts[rng.random_range(0..texts.len())].into(),
        cameras: if rng.random_range(0..2) == 0 { BTreeSet::new() } else { some(rng, 30) },
        kinds: KINDS_ASKED[rng.random_range(0..KINDS_ASKED.len())].iter().copied().collect(),
        severity: Severity::ALL[rng.random_range(0..2)],
        under: if rng.random_range(0..3) == 0 { vec!["3号楼".into()] } else { Vec::new() },
        hours: (rng.random_range(0..3) == 0).then(|| std::array::from_fn(|hour| hour < 12)),
        facets: true,
        step_millis: Some(3_600_000),
        limit: 20,
        ..Question::new(reach, Window::new(UtcMicros::from_micros(from), UtcMicros::from_micros(now + 1)))
    }
}

#[test]
fn lists_or_columns_the_answer_is_what_reading_every_event_gives() {
    let room = Room::new();
    let mut rng = StdRng::seed_from_u64(7);
    let all = events(&mut rng, 2_500);
    room.tell(all.clone());
    let index = room.current();
    let mut found_any = 0;
    for n in 0..150 {
        let question = questions(&mut rng);
        let wanted: Vec<&Event> = all.iter().filter(|event| matches(&question, event)).collect();
        let answer = index.ask(&question).expect("an answer");
        // What nothing meets as it stands is met more freely, which is another test's matter.
        if answer.understood != Understood::Literally {
            continue;
        }
        let told = format!("question {n}: {question:?}");
        assert_eq!((answer.total.count, answer.total.exact), (wanted.len() as u64, true), "{told}");
        let mut times: Vec<UtcMicros> = wanted.iter().map(|event| event.time).collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        times.truncate(20);
        assert_eq!(answer.events.iter().map(|kept| kept.event.time).collect::<Vec<_>>(), times, "{told}");
        let facets = answer.facets.expect("asked for");
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        wanted.iter().for_each(|event| *kinds.entry(event.kind.word()).or_default() += 1);
        let told_kinds: BTreeMap<&str, u64> = facets.kinds.iter().map(|(kind, count)| (kind.word(), *count)).collect();
        assert_eq!(told_kinds, kinds, "{told}");
        assert_eq!(answer.histogram.expect("asked for").counts.iter().sum::<u64>(), wanted.len() as u64, "{told}");
        found_any += usize::from(!wanted.is_empty());
    }
    assert!(found_any > 60, "only {found_any} questions found anything");
}
