//! A person as the policy sees one: roles, and the part of the site tree they reach.

use crate::model::{Camera, CameraId};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, net::IpAddr};

/// What a person is trusted with. The three powers are apart (Z3): one looks, one checks, one configures.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Watches, plays back and exports within a scope.
    Operator,
    /// Reads the access register. Sees no video, changes nothing, and holds no other role.
    Auditor,
    /// Configures cameras and people. Sees no video, unless also an operator.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Operator, Self::Auditor, Self::Admin];
}

/// A part of the site tree.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All of it.
    Everything,
    /// Every camera whose place starts with these levels, outermost first. Never empty.
    Place(Vec<String>),
    /// One camera.
    Camera(CameraId),
}

impl Scope {
    /// Whether the camera stands in this part.
    #[must_use]
    pub fn contains(&self, camera: &Camera) -> bool {
        match self {
            Self::Everything => true,
            Self::Place(levels) => !levels.is_empty() && camera.place.starts_with(levels),
            Self::Camera(id) => camera.id == *id,
        }
    }
}

/// Somebody signed in, with the rights they have now. Look it up anew for each request: rights may have been taken away.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The account's name: what the register files the access under.
    pub name: String,
    /// The name colleagues know.
    pub display: String,
    /// The organisation they belong to; the register must name it. May be empty where it is the node's own.
    #[serde(default)]
    pub unit: String,
    /// What they are trusted with.
    pub roles: BTreeSet<Role>,
    /// Where: the union of these. Nothing when empty.
    pub scopes: Vec<Scope>,
    /// Whether they must choose a new password before anything else is allowed.
    #[serde(default)]
    pub must_change_password: bool,
}

impl Person {
    /// Whether any of the person's scopes has this camera.
    #[must_use]
    pub fn reaches(&self, camera: &Camera) -> bool {
        self.scopes.iter().any(|scope| scope.contains(camera))
    }

    /// Whether the person's scopes have every camera there is or will be.
    #[must_use]
    pub fn reaches_everything(&self) -> bool {
        self.scopes.contains(&Scope::Everything)
    }
}

/// Who changed something, as the journal names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Actor {
    /// Somebody signed in.
    Person {
        /// The account.
        name: String,
        /// From where.
        from: IpAddr,
    },
    /// Somebody at a shell on the machine itself.
    Shell,
    /// The configuration file, at start or reload.
    Config,
}
