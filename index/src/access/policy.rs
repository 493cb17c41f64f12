//! The one place that decides. Pure: a person, an action and a camera in, a grant or a reason out.

use super::{AskedFrom, Person, Role, RoomDenied};
use crate::model::{Camera, CameraId};
use serde::{Deserialize, Serialize};

/// What a person asks to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Watch live.
    Live,
    /// Play recorded footage, scrubbing included.
    Playback,
    /// Take one picture.
    Still,
    /// Take a copy of footage out of the system.
    Export,
    /// Find events, be told of them, and mark moments.
    Search,
    /// See which cameras there are and how they do.
    ListCameras,
    /// See how the node does.
    ReadHealth,
    /// Read who watched what.
    ReadRegister,
    /// Read figures for monitoring.
    ReadMetrics,
    /// Add, change or remove cameras.
    ChangeCameras,
    /// Add, change or disable people.
    ChangePeople,
    /// See what is held and what was erased by order.
    ReadHolds,
    /// Ask that footage be kept beyond its term, or no longer.
    RequestHold,
    /// Decide about a hold that somebody else asked for.
    ApproveHold,
    /// Ask that footage be erased by legal order.
    RequestErasure,
    /// Decide about an erasure that somebody else asked for.
    ApproveErasure,
    /// Say that one has seen an alarm and takes it on; work on incidents.
    Acknowledge,
    /// Decide for which events operators are called.
    ChangeRules,
    /// See what is reported of whole nodes and their days.
    ReadReports,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 19] = [
        Self::Live,
        Self::Playback,
        Self::Still,
        Self::Export,
        Self::Search,
        Self::ListCameras,
        Self::ReadHealth,
        Self::ReadRegister,
        Self::ReadMetrics,
        Self::ChangeCameras,
        Self::ChangePeople,
        Self::ReadHolds,
        Self::RequestHold,
        Self::ApproveHold,
        Self::RequestErasure,
        Self::ApproveErasure,
        Self::Acknowledge,
        Self::ChangeRules,
        Self::ReadReports,
    ];

    /// Whether video leaves the system: then there is an access record first, and a permit.
    #[must_use]
    pub fn is_media(self) -> bool {
        matches!(self, Self::Live | Self::Playback | Self::Still | Self::Export)
    }

    /// Whether it concerns the node as a whole, so that a part of the site tree is not enough.
    fn is_about_the_node(self) -> bool {
        matches!(self, Self::ReadRegister | Self::ReadMetrics | Self::ChangePeople | Self::ChangeRules | Self::ReadReports)
    }

    /// The roles any one of which is enough.
    fn roles(self) -> &'static [Role] {
        match self {
            Self::Live | Self::Playback | Self::Still | Self::Export | Self::Acknowledge => &[Role::Operator],
            Self::Search => &[Role::Operator, Role::Admin],
            Self::ListCameras | Self::ReadHealth | Self::ReadHolds | Self::ReadReports => &Role::ALL,
            Self::RequestHold | Self::RequestErasure => &[Role::Operator, Role::Admin],
            Self::ReadRegister => &[Role::Auditor],
            Self::ReadMetrics => &[Role::Admin, Role::Auditor],
            Self::ChangeCameras | Self::ChangePeople | Self::ApproveHold | Self::ApproveErasure | Self::ChangeRules => {
                &[Role::Admin]
            }
        }
    }

    /// The word for it in the journal and the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Playback => "playback",
            Self::Still => "still",
            Self::Export => "export",
            Self::Search => "search",
            Self::ListCameras => "list_cameras",
            Self::ReadHealth => "read_health",
            Self::ReadRegister => "read_register",
            Self::ReadMetrics => "read_metrics",
            Self::ChangeCameras => "change_cameras",
            Self::ChangePeople => "change_people",
            Self::ReadHolds => "read_holds",
            Self::RequestHold => "request_hold",
            Self::ApproveHold => "approve_hold",
            Self::RequestErasure => "request_erasure",
            Self::ApproveErasure => "approve_erasure",
            Self::Acknowledge => "acknowledge",
            Self::ChangeRules => "change_rules",
            Self::ReadReports => "read_reports",
        }
    }
}

/// Why the answer is no.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Denied {
    /// A password that others know must be changed first.
    #[error("the password must be changed first")]
    PasswordMustChange,
    /// An auditor checks who watched, and so never watches or configures (Z3), whatever other role was given.
    #[error("an auditor neither sees video nor changes anything")]
    AuditorApart,
    /// None of the person's roles allows it.
    #[error("none of the person's roles allows {}", .0.word())]
    Role(Action),
    /// The camera stands outside the person's part of the site tree.
    #[error("{0:?} is outside the person's scope")]
    Scope(CameraId),
    /// The action concerns the whole node, and the person's scope is a part of it.
    #[error("{} needs the whole site as scope", .0.word())]
    WholeSite(Action),
    /// The room that has the camera says no to whoever asks from above.
    #[error(transparent)]
    Room(#[from] RoomDenied),
}

impl Denied {
    /// A stable word for the API and the journal.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::PasswordMustChange => "password_must_change",
            Self::AuditorApart => "auditor_apart",
            Self::Role(_) => "role_missing",
            Self::Scope(_) => "outside_scope",
            Self::WholeSite(_) => "whole_site_needed",
            Self::Room(no) => no.code(),
        }
    }
}

/// Proof that the policy said yes: to whom, to what, for which cameras. Only the policy makes one.
#[derive(Debug)]
#[must_use]
pub struct Grant {
    person: Person,
    action: Action,
    cameras: Vec<CameraId>,
    asked_from: Option<AskedFrom>,
}

impl Grant {
    /// Only for the room's policy about nodes above.
    pub(super) fn from_above(person: Person, action: Action, cameras: Vec<CameraId>, asked_from: AskedFrom) -> Self {
        Self { person, action, cameras, asked_from: Some(asked_from) }
    }

    /// The node above that the person asked from; `None` for whoever is signed in here.
    #[must_use]
    pub fn asked_from(&self) -> Option<&AskedFrom> {
        self.asked_from.as_ref()
    }

    /// Who asked.
    #[must_use]
    pub fn person(&self) -> &Person {
        &self.person
    }

    /// What was granted.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// The grant turned into the record of its use.
    pub(super) fn spend(self) -> (Person, Action, Option<AskedFrom>) {
        (self.person, self.action, self.asked_from)
    }

    /// For which cameras; none if the question was not about one.
    #[must_use]
    pub fn cameras(&self) -> &[CameraId] {
        &self.cameras
    }
}

impl Person {
    /// Whether the person may do this, with this camera. `None` asks about the action in general, say to know whether a
    /// button is worth showing: such a grant opens no camera.
    ///
    /// # Errors
    /// Why not.
    pub fn may(&self, action: Action, camera: Option<&Camera>) -> Result<Grant, Denied> {
        self.may_all(action, camera.as_slice())
    }

    /// Whether the person may do this with every one of these cameras.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn may_all(&self, action: Action, cameras: &[&Camera]) -> Result<Grant, Denied> {
        if self.must_change_password {
            return Err(Denied::PasswordMustChange);
        }
        let allowed = action.roles();
        if self.roles.contains(&Role::Auditor) && !allowed.contains(&Role::Auditor) {
            return Err(Denied::AuditorApart);
        }
        if !allowed.iter().any(|role| self.roles.contains(role)) {
            return Err(Denied::Role(action));
        }
        if action.is_about_the_node() && !self.reaches_everything() {
            return Err(Denied::WholeSite(action));
        }
        if let Some(outside) = cameras.iter().find(|camera| !self.reaches(camera)) {
            return Err(Denied::Scope(outside.id));
        }
        let cameras = cameras.iter().map(|camera| camera.id).collect();
        Ok(Grant { person: self.clone(), action, cameras, asked_from: None })
    }
}
