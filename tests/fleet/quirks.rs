//! Oddities that real cameras showed, one entry each. An entry names who reported it and changes one thing: the
//! description, a reply, or the packets of an access unit. Add the next one to the table; nothing else changes.

use crate::rtsp::Reply;

/// One oddity.
#[derive(Debug)]
pub struct Quirk {
    /// Its number in the catalogue of camera oddities: `Q24`.
    pub id: &'static str,
    /// What the camera does, and who reported it.
    pub says: &'static str,
    /// Where it acts.
    pub acts: Act,
}

/// Where an oddity acts.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Changes the session description.
    Sdp(fn(String) -> String),
    /// Changes the reply to a method; `*` means any.
    Reply(&'static str, fn(&mut Reply)),
    /// Changes the interleaved packets of one access unit before they are sent.
    Unit(fn(&mut Vec<u8>)),
    /// Never answers a method while media flows.
    Ignores(&'static str),
    /// Sends these bytes once a second between frames.
    Interjects(&'static str),
}

/// The oddity with a number.
#[must_use]
pub(crate) fn find(id: &str) -> Option<&'static Quirk> {
    QUIRKS.iter().find(|quirk| quirk.id.eq_ignore_ascii_case(id))
}

/// Every oddity that the fleet can show, in the catalogue's order.
pub static QUIRKS: &[Quirk] = &[];

impl PartialEq for Quirk {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}
