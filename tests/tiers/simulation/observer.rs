//! Reads the district's copies as a projection does, while they grow, and holds what it reads against what the rooms wrote.

use super::{
    Found,
    node::{Centre, Room},
};
use index::{
    journal::{History, Seen, Seq},
    model::NodeId,
};
use serde::Deserialize;
use std::{collections::BTreeMap, ops::ControlFlow};

/// What is looked at of an event.
#[derive(Deserialize)]
struct Told {
    camera: u32,
    attributes: Attributes,
}

#[derive(Deserialize)]
struct Attributes {
    n: u64,
}

/// The cameras that were told offline last.
type States = BTreeMap<u32, bool>;

#[derive(Default)]
struct Followed {
    cursor: Seq,
    newest: u64,
    /// By number of the event: how often it was seen.
    seen: Vec<u8>,
    states: States,
}

pub(super) struct Observer(BTreeMap<NodeId, Followed>);

impl Observer {
    pub(super) fn new(rooms: &[Room]) -> Self {
        Self(rooms.iter().map(|room| (room.id, Followed::default())).collect())
    }

    /// Reads on, as far as the disk lets it.
    pub(super) fn look(&mut self, district: &Centre, rooms: &[Room], found: &mut Found) {
        for copy in district.copies.list() {
            let Some(followed) = self.0.get_mut(&copy.node()) else { continue };
            let head = copy.head().0;
            // Without power nothing can be read, and is later.
            drop(copy.visit(followed.cursor.next(), head, &mut |seen| followed.take(seen, found)));
        }
        for room in rooms {
            let Some(standing) = district.standings.of(room.id) else { continue };
            let claimed = room.acknowledged.partition_point(|written| written.at < standing.complete_to);
            let tail = district.copies.list().iter().find(|copy| copy.node() == room.id).map_or(Seq::ZERO, |copy| copy.head().0);
            found.untrue += u64::from(claimed > 0 && room.acknowledged[claimed - 1].tail > tail);
        }
    }

    pub(super) fn conclude(&self, rooms: &[Room], found: &mut Found) {
        for room in rooms {
            let followed = &self.0[&room.id];
            for n in room.acknowledged.iter().flat_map(|written| written.first..=written.last) {
                found.acknowledged += 1;
                found.lost += u64::from(followed.seen.get(n as usize).is_none_or(|times| *times == 0));
            }
            let mut there = Followed::default();
            let visit = &mut |seen: Seen<'_>| there.take(seen, &mut Found::default());
            History::visit(&**room.journal(), Seq::ZERO, room.journal().tail(), visit).expect("a room reads its own journal");
            let cameras = there.states.keys().chain(followed.states.keys()).collect::<std::collections::BTreeSet<_>>();
            found.states_differ +=
                cameras.into_iter().filter(|camera| there.states.get(camera) != followed.states.get(camera)).count() as u64;
        }
    }
}

impl Followed {
    fn take(&mut self, seen: Seen<'_>, found: &mut Found) -> ControlFlow<()> {
        self.cursor = seen.seq;
        let Ok(Told { camera, attributes: Attributes { n } }) = serde_json::from_slice(seen.body) else {
            return ControlFlow::Continue(());
        };
        let place = n as usize;
        self.seen.resize(self.seen.len().max(place + 1), 0);
        self.seen[place] = self.seen[place].saturating_add(1);
        found.doubled += u64::from(self.seen[place] > 1);
        found.out_of_order += u64::from(n < self.newest);
        self.newest = self.newest.max(n);
        match seen.kind {
            "camera.offline" => drop(self.states.insert(camera, true)),
            "camera.recording" => drop(self.states.insert(camera, false)),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
