//! What somebody at a node above may see of this room's cameras: the room decides, and says so.
//!
//! Pure: the room's standing policy, the grants that its administrators gave, who asks and the clock go in; a [`Grant`] with its end or
//! the rule that says no comes out. Either way the room's own records name the node and the person that asked.
//!
//! - B1: nothing is allowed that neither the policy nor a grant allows; what nobody decided is no.
//! - B2: every yes ends: the policy's after its longest time at once, a grant's at its end, and at once when it is taken back.
//! - B3: a purpose comes with every question ([`Asker`] has no other shape), and is in the record.

use super::{Action, Grant, Person, Purpose, Role, Scope};
use crate::events::ZONE_HOURS;
use crate::model::{Camera, CameraId, NodeId, Tier, UtcMicros};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What upper tiers may be allowed.
pub const ASKED: [Action; 5] = [Action::Live, Action::Playback, Action::Still, Action::Export, Action::Search];
/// The longest that a grant lasts, in days.
pub const MAX_GRANT_DAYS: i64 = 31;
const MICROS: i64 = 1_000_000;

/// Somebody at a node above, as that node vouches for them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asker {
    /// The node where they are signed in; known by its certificate or by the neighbour that answers for it.
    pub node: NodeId,
    /// What it is called.
    pub node_name: String,
    /// Its tier.
    pub tier: Tier,
    /// Their account there.
    pub person: String,
    /// Their organisation.
    pub unit: String,
    /// Why they look.
    pub purpose: Purpose,
}

impl Asker {
    /// The node that they ask from, for records.
    #[must_use]
    pub fn from_node(&self) -> AskedFrom {
        AskedFrom { node: self.node, node_name: self.node_name.clone(), tier: self.tier }
    }
}

/// The node that a person asked from, as access records name it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct AskedFrom {
    /// Which node.
    pub node: NodeId,
    /// What it is called.
    pub node_name: String,
    /// Its tier.
    pub tier: Tier,
}

/// What the room lets upper tiers do without asking anybody, from its configuration's `[above]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AbovePolicy {
    /// Which of [`ASKED`].
    pub actions: BTreeSet<Action>,
    /// In which parts of the room's tree; everywhere if there are none.
    pub places: Vec<Vec<String>>,
    /// At which hours of the day, the first included and the last not: `Some((22, 6))` is the night. `None`: at all.
    pub hours: Option<(u8, u8)>,
    /// For how long at once, in seconds, before it must be asked again. 60 to 86,400.
    pub at_once_secs: u32,
}

impl Default for AbovePolicy {
    /// Looking is allowed, always for a purpose and two hours at once: upper tiers answer for what happens in rooms and must see it when it
    /// happens. Taking copies away is not: what leaves is beyond the room's reach, so somebody in the room says yes to it each time.
    fn default() -> Self {
        let actions = [Action::Live, Action::Playback, Action::Still, Action::Search].into();
        Self { actions, places: Vec::new(), hours: None, at_once_secs: 7200 }
    }
}

/// The number of a grant: 1, 2, 3, ….
pub type GrantNumber = u64;

/// A permission beyond the policy, given by somebody in the room, for a time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AboveGrant {
    /// Its number.
    pub number: GrantNumber,
    /// To which node's people.
    pub node: NodeId,
    /// What that node is called.
    pub node_name: String,
    /// To which of them, by account; to all if `None`.
    pub person: Option<String>,
    /// For what.
    pub actions: BTreeSet<Action>,
    /// Where. Never empty.
    pub scopes: Vec<Scope>,
    /// From then,
    pub from: UtcMicros,
    /// and before then.
    pub until: UtcMicros,
    /// Why, in words.
    pub reason: String,
    /// Who in the room said yes.
    pub approver: String,
    /// When.
    pub at: UtcMicros,
    /// Who took it back, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<(String, UtcMicros)>,
}

/// Which rule of the room said no. The room said it, whatever the node above would allow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RoomDenied {
    /// No upper tier may ask for that at all.
    #[error("no node above may ask for {}", .0.word())]
    NeverAsked(Action),
    /// The asker is not above a room.
    #[error("whoever asks is not at a node above")]
    NotAbove,
    /// The policy does not have the action, and no grant does.
    #[error("the room does not let nodes above {} without a grant", .0.word())]
    Action(Action),
    /// The camera stands where the policy lets nobody from above look.
    #[error("the room lets nobody from above look at {0:?} without a grant")]
    Place(CameraId),
    /// Not at this hour.
    #[error("the room lets nodes above look from {from}:00 to {to}:00 only")]
    Hours {
        /// The first hour.
        from: u8,
        /// The hour at which it ends.
        to: u8,
    },
    /// There was a grant, and it is over.
    #[error("the room's grant ended")]
    GrantOver,
    /// There was a grant, and somebody in the room took it back.
    #[error("the room took its grant back")]
    GrantRevoked,
    /// No camera was named.
    #[error("no camera is named")]
    NoCamera,
}

impl RoomDenied {
    /// A stable word for the API and the journal.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NeverAsked(_) => "room_never",
            Self::NotAbove => "room_not_above",
            Self::Action(_) => "room_policy_action",
            Self::Place(_) => "room_policy_place",
            Self::Hours { .. } => "room_policy_hours",
            Self::GrantOver => "room_grant_over",
            Self::GrantRevoked => "room_grant_revoked",
            Self::NoCamera => "room_no_camera",
        }
    }

    /// What an operator above reads, Chinese and English: that the room said no, and by which rule.
    #[must_use]
    pub fn words(self) -> (String, String) {
        let zh = match self {
            Self::NeverAsked(_) => "监控室拒绝：上级不能要求此操作".to_owned(),
            Self::NotAbove => "监控室拒绝：请求方不是其上级".to_owned(),
            Self::Action(Action::Export) => "监控室拒绝：其规则不允许上级导出，需监控室单独授权".to_owned(),
            Self::Action(_) => "监控室拒绝：其规则不允许上级进行此操作，需监控室单独授权".to_owned(),
            Self::Place(camera) => format!("监控室拒绝：摄像机 {camera} 所在位置不向上级开放，需监控室单独授权"),
            Self::Hours { from, to } => format!("监控室拒绝：只在 {from}:00 至 {to}:00 向上级开放"),
            Self::GrantOver => "监控室拒绝：其授权已到期".to_owned(),
            Self::GrantRevoked => "监控室拒绝：其授权已被撤回".to_owned(),
            Self::NoCamera => "监控室拒绝：未指明摄像机".to_owned(),
        };
        (zh, format!("The room said no: {self}"))
    }
}

/// What made a yes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AllowedBy {
    /// The standing policy.
    Policy,
    /// A grant.
    Grant(GrantNumber),
}

/// The room's yes.
#[derive(Debug)]
#[must_use]
pub struct Allowed {
    /// For the register, which makes a permit of it; it names who asked, and from where.
    pub grant: Grant,
    /// When it ends: nothing may leave after that.
    pub until: UtcMicros,
    /// What it rests on.
    pub by: AllowedBy,
}

/// Whether somebody above may do this with these cameras of this room now. The policy is asked first, then the grants, camera by camera;
/// the yes ends when the first of what it rests on does.
///
/// # Errors
/// Which rule of the room says no, for the first camera that it is about.
pub fn may(
    policy: &AbovePolicy,
    grants: &[AboveGrant],
    asker: &Asker,
    action: Action,
    cameras: &[&Camera],
    now: UtcMicros,
) -> Result<Allowed, RoomDenied> {
    if !ASKED.contains(&action) {
        return Err(RoomDenied::NeverAsked(action));
    }
    if asker.tier.records() {
        return Err(RoomDenied::NotAbove);
    }
    let mut end = (UtcMicros::MAX, AllowedBy::Policy);
    for camera in cameras {
        let this = one(policy, grants, asker, action, camera, now)?;
        if this.0 < end.0 {
            end = this;
        }
    }
    if cameras.is_empty() {
        return Err(RoomDenied::NoCamera);
    }
    let ids: Vec<CameraId> = cameras.iter().map(|camera| camera.id).collect();
    let person = Person {
        name: asker.person.clone(),
        display: asker.person.clone(),
        unit: asker.unit.clone(),
        roles: [Role::Operator].into(),
        scopes: ids.iter().map(|id| Scope::Camera(*id)).collect(),
        must_change_password: false,
    };
    Ok(Allowed { grant: Grant::from_above(person, action, ids, asker.from_node()), until: end.0, by: end.1 })
}

fn one(
    policy: &AbovePolicy,
    grants: &[AboveGrant],
    asker: &Asker,
    action: Action,
    camera: &Camera,
    now: UtcMicros,
) -> Result<(UtcMicros, AllowedBy), RoomDenied> {
    let no = match by_policy(policy, action, camera, now) {
        Ok(until) => return Ok((until, AllowedBy::Policy)),
        Err(no) => no,
    };
    let about = grants.iter().filter(|grant| {
        grant.node == asker.node
            && grant.person.as_ref().is_none_or(|person| *person == asker.person)
            && grant.actions.contains(&action)
            && grant.scopes.iter().any(|scope| scope.contains(camera))
            && grant.from <= now
    });
    // The one that lasts longest; else why the newest does not.
    let live = about.clone().filter(|grant| grant.revoked.is_none() && now < grant.until).max_by_key(|grant| grant.until);
    match (live, about.max_by_key(|grant| grant.number)) {
        (Some(grant), _) => Ok((grant.until, AllowedBy::Grant(grant.number))),
        (None, Some(AboveGrant { revoked: Some(_), .. })) => Err(RoomDenied::GrantRevoked),
        (None, Some(_)) => Err(RoomDenied::GrantOver),
        (None, None) => Err(no),
    }
}

fn by_policy(policy: &AbovePolicy, action: Action, camera: &Camera, now: UtcMicros) -> Result<UtcMicros, RoomDenied> {
    if !policy.actions.contains(&action) {
        return Err(RoomDenied::Action(action));
    }
    if !policy.places.is_empty() && !policy.places.iter().any(|place| camera.place.starts_with(place)) {
        return Err(RoomDenied::Place(camera.id));
    }
    let at_once = now.as_micros().saturating_add(i64::from(policy.at_once_secs) * MICROS);
    let Some((from, to)) = policy.hours else { return Ok(UtcMicros::from_micros(at_once)) };
    match hours_left(now, from, to) {
        Some(left) => Ok(UtcMicros::from_micros(at_once.min(now.as_micros() + left))),
        None => Err(RoomDenied::Hours { from, to }),
    }
}

/// Microseconds until the hours end; `None` outside them. From 22 to 6 passes midnight; from 8 to 8 is the whole day.
fn hours_left(now: UtcMicros, from: u8, to: u8) -> Option<i64> {
    const HOUR: i64 = 3600 * MICROS;
    const DAY: i64 = 24 * HOUR;
    let of_day = (now.as_micros() + ZONE_HOURS * HOUR).rem_euclid(DAY);
    let (from, to) = (i64::from(from) * HOUR, i64::from(to) * HOUR);
    let long = (to - from).rem_euclid(DAY);
    let long = if long == 0 { DAY } else { long };
    let since = (of_day - from).rem_euclid(DAY);
    (since < long).then_some(long - since)
}

#[cfg(test)]
mod tests;
