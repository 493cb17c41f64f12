//! `/api/v1/retention`: what is kept of each camera, and whether the promise will still be kept in a month.

use crate::{
    authority::Authority,
    refusal::{Refusal, Words, words},
};
use axum::Json;
use index::{
    cameras::Entry,
    footage::{Forewarning, Retention as Kept, Store, StreamRetention, VolumeRetention},
    model::{CameraId, GapCause, RetentionClass, StreamId, StreamKind, UtcMicros, Window},
};
use serde::Serialize;
use std::{collections::HashMap, time::Duration};
use utoipa::ToSchema;

/// How the promise of retention stands, for the cameras in the scope.
#[derive(Serialize, ToSchema)]
pub(super) struct Retention {
    as_of_us: i64,
    /// Since when nothing is deleted because the clock jumped; `null` if it did not.
    frozen_us: Option<i64>,
    quota_bytes: u64,
    held_bytes: u64,
    classes: Vec<Class>,
    volumes: Vec<Volume>,
    cameras: Vec<CameraRow>,
    /// When the promise breaks if things go on as they do; `null` if it is kept.
    breach_us: Option<i64>,
    sentence: Option<Words>,
    remedy: Option<Words>,
}

#[derive(Serialize, ToSchema)]
struct Class {
    /// `standard` or `key_target`.
    class: &'static str,
    term_s: u64,
    /// Cameras of this class.
    cameras: usize,
    /// The least that is kept of any of them; `null` without a camera.
    achieved_s_min: Option<f64>,
}

#[derive(Serialize, ToSchema)]
struct Volume {
    name: String,
    capacity_bytes: u64,
    used_bytes: u64,
    held_bytes: u64,
    rate_bytes_per_day: u64,
    /// When its free room is used up, and the oldest footage begins to make way.
    full_us: Option<i64>,
    /// When it will have no room although nothing may go.
    breach_us: Option<i64>,
    /// Since when people are warned of that: three days before it at the latest.
    warned_us: Option<i64>,
}

#[derive(Serialize, ToSchema)]
struct CameraRow {
    #[schema(value_type = u32)]
    camera: CameraId,
    name: String,
    place: Vec<String>,
    class: &'static str,
    term_s: u64,
    /// Its oldest picture; `null` if there is none.
    oldest_us: Option<i64>,
    /// From there to now.
    achieved_s: f64,
    /// Whether the promise is kept: `true` when its term is reached, `false` when footage within its term is not there that should be,
    /// `null` while it has not been recorded for that long.
    kept: Option<bool>,
    /// Seconds within its term that its disks refused, lost or damaged.
    lost_s: f64,
    rate_bytes_per_day: u64,
    held_bytes: u64,
}

/// What is kept, how fast the disks fill, and when the promise breaks.
#[utoipa::path(get, path = "/api/v1/retention", responses((status = 200, body = Retention), (status = 403, body = Refusal)))]
pub(super) async fn retention(authority: Authority) -> Result<Json<Retention>, Refusal> {
    let cameras = authority.cameras()?;
    let store = authority.node().store.clone();
    let (terms, now) = (authority.node().config.terms(), UtcMicros::now());
    let asked: Vec<(StreamId, Window)> = cameras
        .iter()
        .map(|Entry { camera, .. }| {
            (StreamId::new(camera.id, StreamKind::Main), Window::new(now - terms.of(camera.retention), now))
        })
        .collect();
    let read = move || {
        let lost = asked.into_iter().map(|(stream, term)| (stream, lost(&store, stream, term)));
        (store.retention(), store.health().retention_frozen, lost.collect::<HashMap<_, _>>())
    };
    let (kept, frozen, lost) = authority.node().reads.run(read).await?;
    let streams: HashMap<StreamId, &StreamRetention> = kept.streams.iter().map(|kept| (kept.stream, kept)).collect();
    let rows: Vec<CameraRow> = cameras
        .into_iter()
        .map(|entry| {
            let camera = entry.camera;
            let held = |kind| streams.get(&StreamId::new(camera.id, kind)).copied();
            let main = held(StreamKind::Main);
            let all: Vec<_> = StreamKind::ALL.into_iter().filter_map(held).collect();
            let term = terms.of(camera.retention);
            let achieved = main.map(|main| now.since(main.oldest)).unwrap_or_default();
            let lost = lost.get(&StreamId::new(camera.id, StreamKind::Main)).copied().unwrap_or_default();
            CameraRow {
                camera: camera.id,
                name: camera.name,
                place: camera.place,
                class: camera.retention.word(),
                term_s: term.as_secs(),
                oldest_us: main.map(|main| main.oldest.as_micros()),
                achieved_s: achieved.as_secs_f64(),
                kept: kept_promise(achieved, term, lost),
                lost_s: lost.as_secs_f64(),
                rate_bytes_per_day: all.iter().map(|kept| kept.rate_a_day).sum(),
                held_bytes: all.iter().map(|kept| kept.held).sum(),
            }
        })
        .collect();
    let classes = [RetentionClass::Standard, RetentionClass::KeyTarget].map(|class| {
        let mine = || rows.iter().filter(|row| row.class == class.word());
        Class {
            class: class.word(),
            term_s: terms.of(class).as_secs(),
            cameras: mine().count(),
            achieved_s_min: mine().map(|row| row.achieved_s).min_by(f64::total_cmp),
        }
    });
    let breach = first_breach(&kept);
    let (sentence, remedy) = breach.map(|volume| breach_words(volume, volume.breaks.unwrap_or_default())).unzip();
    Ok(Json(Retention {
        as_of_us: now.as_micros(),
        frozen_us: frozen.map(UtcMicros::as_micros),
        quota_bytes: kept.quota,
        held_bytes: kept.held,
        classes: classes.into(),
        volumes: kept.volumes.iter().map(volume).collect(),
        cameras: rows,
        breach_us: breach.and_then(|volume| volume.breaks).map(UtcMicros::as_micros),
        sentence,
        remedy,
    }))
}

/// What of a term was recorded, or was to be, and is not there because of the disks. What the rule deleted, or an order, is no breach.
fn lost(store: &Store, stream: StreamId, term: Window) -> Duration {
    store.tally(stream, &[term]).iter().map(|sums| sums.gap(GapCause::Disk) + sums.gap(GapCause::Damaged)).sum()
}

/// A second and more of a term that is lost breaks the promise, whatever else is there.
fn kept_promise(achieved: Duration, term: Duration, lost: Duration) -> Option<bool> {
    match lost >= Duration::from_secs(1) {
        true => Some(false),
        false => (achieved >= term).then_some(true),
    }
}

fn volume(kept: &VolumeRetention) -> Volume {
    Volume {
        name: kept.name.clone(),
        capacity_bytes: kept.capacity,
        used_bytes: kept.used,
        held_bytes: kept.held,
        rate_bytes_per_day: kept.rate_a_day,
        full_us: kept.full.map(UtcMicros::as_micros),
        breach_us: kept.breaks.map(UtcMicros::as_micros),
        warned_us: kept.warned.map(|warned| warned.since.as_micros()),
    }
}

/// The volume on which the promise breaks first.
fn first_breach(kept: &Kept) -> Option<&VolumeRetention> {
    kept.volumes.iter().filter(|volume| volume.breaks.is_some()).min_by_key(|volume| volume.breaks)
}

/// The volume on which it breaks first of those that people are warned of.
pub(super) fn near_breach(kept: &Kept) -> Option<(&VolumeRetention, Forewarning)> {
    let warned = kept.volumes.iter().filter_map(|volume| Some((volume, volume.warned?)));
    warned.min_by_key(|(_, warned)| warned.breaks)
}

/// What an operator reads: what will happen and when, and what to do.
pub(super) fn breach_words(volume: &VolumeRetention, at: UtcMicros) -> (Words, Words) {
    let name = &volume.name;
    let a_day = volume.rate_a_day as f64 / 1e9;
    (
        words(
            format!("按当前码率（每天 {a_day:.1} GB），磁盘 {name} 将于 {at} 写满而无到期录像可回收，此后新录像将无处可存"),
            format!(
                "At {a_day:.1} GB a day, disk {name} will be full at {at} with nothing past its term: new footage is lost from then on"
            ),
        ),
        words(
            "请在此之前增加磁盘、降低码率或解除保全；未到期录像不会被删除",
            "Add a disk, lower bit rates or release holds before then; footage within its term is never deleted",
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_kept_at_its_term_open_before_and_broken_by_what_disks_lost() {
        let day = |n: u64| Duration::from_secs(n * 86_400);
        assert_eq!(kept_promise(day(31), day(30), Duration::ZERO), Some(true));
        assert_eq!(kept_promise(day(12), day(30), Duration::from_millis(900)), None);
        assert_eq!(kept_promise(day(12), day(30), Duration::from_secs(5)), Some(false));
        assert_eq!(
            kept_promise(day(31), day(30), Duration::from_secs(5)),
            Some(false),
            "a month that is there with a hole in it"
        );
    }
}
