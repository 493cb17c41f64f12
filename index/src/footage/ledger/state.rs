//! What the ledger knows, and how the journal's facts put it together: a projection that a checkpoint saves and a replay makes again (I7).

use super::{
    expiring::Expiring,
    story::{Loss, Mark, Removed, Story},
};
use crate::{
    footage::{
        custody::{Act, Custody, Erased},
        spans,
    },
    model::{GapCause, StreamId, UtcMicros, Window},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// See the module.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct State {
    /// The journal's number up to which this is complete.
    pub(super) seq: u64,
    /// The last sign of life: where a restart's gap begins.
    pub(super) alive: Option<UtcMicros>,
    /// The last instant at which the clock was believed. What a clock that is wrong says is no sign of anything.
    #[serde(default)]
    pub(super) believed: Option<UtcMicros>,
    pub(super) streams: HashMap<StreamId, Story>,
    pub(super) restarts: Vec<Window>,
    /// When runs ended, by the clocks that they had.
    #[serde(default)]
    pub(super) ends: Vec<Window>,
    /// Starts of which nobody has said yet since when the node had not been running.
    #[serde(default)]
    pub(super) starts: Vec<UtcMicros>,
    /// For each of these, the last signs of life before it in the order of things, whatever the clock said.
    #[serde(default)]
    pub(super) signs: Vec<(UtcMicros, UtcMicros)>,
    #[serde(default)]
    pub(super) custody: Custody,
    /// What others of a segment's time may be gone, and it is not: by incarnation. Of one that was begun where somebody had set the clock
    /// back, what had been removed before; of one that an order passed over because it was held, what was held; of one beside which
    /// another expired, the time that both had.
    #[serde(default)]
    pub(super) anew: HashMap<u64, Vec<Window>>,
    /// Segments past their term, by incarnation, until their files say durably that they are free.
    #[serde(default)]
    pub(super) expired: HashSet<u64>,
    /// What went at the end of its term and is not told yet.
    #[serde(default)]
    pub(super) expiring: Expiring,
    /// How far this run is with each order.
    #[serde(skip)]
    pub(super) erasing: HashMap<u64, Progress>,
}

/// An order on its way: a volume that has nothing left to do says so, and the last of them ends it.
#[derive(Clone, Default)]
pub(super) struct Progress {
    pub(super) erased: Erased,
    pub(super) volumes: HashSet<u16>,
}

pub(super) fn instant_of(body: &Value, name: &str) -> Option<UtcMicros> {
    body.get(name).and_then(Value::as_i64).map(UtcMicros::from_micros)
}

impl State {
    /// Some of a segment is gone: all of it, where it is past its term. What else was removed at its time is another's. Says whether
    /// it expired, and that is news.
    pub(super) fn gone(&mut self, incarnation: u64, windows: &[Window], cause: GapCause) -> bool {
        if cause == GapCause::Expired {
            return self.expired.insert(incarnation);
        }
        if let Some(others) = self.anew.get_mut(&incarnation) {
            windows.iter().for_each(|window| spans::cut(others, *window));
        }
        false
    }

    /// Of whose time others may be gone nobody asks any more once all footage of then is gone, but for what is held.
    pub(super) fn forget_others(&mut self, horizon: UtcMicros) {
        let held = self.custody.held();
        self.anew.retain(|_, others| others.iter().any(|window| window.to >= horizon || held.is_about(*window)));
    }

    /// In order, as those who ask expect them.
    pub(super) fn restart(&mut self, window: Window) {
        if !self.restarts.contains(&window) {
            let at = self.restarts.partition_point(|other| other.from <= window.from);
            self.restarts.insert(at, window);
        }
    }

    /// Takes in a fact of the journal. Facts may come twice: after a crash the checkpoint may know them already.
    pub(super) fn apply(&mut self, kind: &str, body: &Value) {
        if let Some(act) = Act::read(kind, body) {
            return self.custody.apply(&act);
        }
        let field = |name: &str| instant_of(body, name);
        let window = || Some(Window::new(field("from_us")?, field("to_us")?));
        let stream = || body.get("stream")?.as_str()?.parse::<StreamId>().ok();
        let cause = || serde_json::from_value::<GapCause>(body.get("cause")?.clone()).ok();
        match kind {
            "ledger.mark" => {
                if let (Some(stream), Some(at), Some(cause)) = (stream(), field("at_us"), cause()) {
                    let detail = body.get("detail").and_then(Value::as_str).unwrap_or_default().to_owned();
                    self.streams.entry(stream).or_default().mark(Mark { at, cause, detail }, None);
                }
            }
            "ledger.loss" => {
                if let (Some(stream), Some(window), Some(cause)) = (stream(), window(), cause()) {
                    let units = body.get("units").and_then(Value::as_u64).unwrap_or(0) as u32;
                    let story = self.streams.entry(stream).or_default();
                    let known = story.losses_in(window).any(|loss| loss.cause == cause && loss.window.covers(window));
                    if !known {
                        story.lose(Loss { window, cause, units });
                    }
                }
            }
            "ledger.start" => {
                if let Some(at) = field("at_us").filter(|at| !self.starts.contains(at)) {
                    self.starts.push(at);
                    self.signs.extend([field("sign_us"), field("marked_us")].into_iter().flatten().map(|sign| (at, sign)));
                }
                let believed = body.get("believed").and_then(Value::as_bool).unwrap_or(false);
                self.believed = field("at_us").filter(|_| believed).or(self.believed);
            }
            "ledger.restart" => {
                if let Some(window) = window() {
                    self.starts.retain(|start| *start != window.to);
                    self.signs.retain(|(start, _)| *start != window.to);
                    self.restart(window);
                }
            }
            "ledger.end" => {
                self.ends.extend(window().filter(|window| !self.ends.contains(window)));
            }
            "ledger.anew" => {
                let incarnation = body.get("incarnation").and_then(Value::as_str);
                let windows = body
                    .get("windows_us")
                    .and_then(|windows| serde_json::from_value::<Vec<[UtcMicros; 2]>>(windows.clone()).ok());
                if let (Some(Ok(incarnation)), Some(windows)) = (incarnation.map(|text| u64::from_str_radix(text, 16)), windows) {
                    self.anew.insert(incarnation, windows.iter().map(|[from, to]| Window::new(*from, *to)).collect());
                }
            }
            "footage.expired" => {
                if let (Some(stream), Some(since)) = (stream(), field("since_us")) {
                    self.expiring.told(stream, since);
                }
            }
            "ledger.clock" => self.believed = field("believed_us").or(self.believed),
            "ledger.expired" | "ledger.erased" => {
                if let (Some(stream), Some(windows)) = (stream(), body.get("windows_us").and_then(Value::as_array)) {
                    let story = self.streams.entry(stream).or_default();
                    let cause = if kind == "ledger.erased" { GapCause::Erased } else { GapCause::Expired };
                    let rule = body.get("rule").and_then(Value::as_str).unwrap_or_default().to_owned();
                    let at = field("at_us").unwrap_or_default();
                    let segment = body.get("incarnation").and_then(Value::as_str);
                    let instant = |window: &Value, i| window.get(i).and_then(Value::as_i64).map(UtcMicros::from_micros);
                    let windows = windows.iter().filter_map(|window| Some(Window::new(instant(window, 0)?, instant(window, 1)?)));
                    let windows: Vec<Window> = windows.collect();
                    for window in &windows {
                        story.remove(&Removed { window: *window, cause, rule: rule.clone(), done: Window::new(at, at) });
                    }
                    // Records of earlier versions do not say which segment it was.
                    if let Some(Ok(incarnation)) = segment.map(|text| u64::from_str_radix(text, 16))
                        && self.gone(incarnation, &windows, cause)
                    {
                        self.expiring.add(stream, &windows, &rule, at, body);
                    }
                }
            }
            _ => {}
        }
    }
}
