//! The texts of a day, each put in once.
//!
//! Events repeat themselves: the same camera, the same kind, the same sentence, thousands of times a day. So a text is put
//! into the index once a day, as an *atom*, a document of its own with everything it can be found by; an event names its
//! atoms. A question about text first finds the atoms that match, then the events that name them. That keeps an event small
//! and lets atoms be found in many ways without events paying for it.
//!
//! An atom's number counts up within its day and role, so that a set of atoms is a short row of bits: an event that names
//! any of a thousand cameras is found by looking into the row, not by a thousand lists.

use super::{
    day::{Fields, number_of},
    words::Tokens,
};
use std::collections::HashMap;
use tantivy::{
    TantivyDocument,
    tokenizer::{PreTokenizedString, Token},
};

/// What a text says of its event: where it was, what it was, what was said.
pub(super) const ROLES: usize = 3;
/// Bits of a number that name its role.
const ROLE_BITS: u32 = 2;

/// An atom within its day: how many-eth of its role it is, from 1, and which role.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Atom {
    pub(super) ordinal: u64,
    pub(super) role: usize,
}

impl Atom {
    /// Both in one number.
    pub(super) fn packed(self) -> u64 {
        self.ordinal << ROLE_BITS | self.role as u64
    }

    /// `None` for what [`Atom::packed`] did not make, as 0.
    pub(super) fn unpacked(number: u64) -> Option<Self> {
        let (ordinal, role) = (number >> ROLE_BITS, (number & 3) as usize);
        (ordinal > 0 && role < ROLES).then_some(Self { ordinal, role })
    }
}

/// The atoms that a day has, by text.
#[derive(Default)]
pub(super) struct Known {
    atoms: HashMap<u64, Atom>,
    last: [u64; ROLES],
}

impl Known {
    /// The text's number, the same for ever.
    pub(super) fn text(role: usize, text: &str) -> u64 {
        number_of(&format!("{role}\u{1f}{text}"))
    }

    /// The atom of a text, and whether it is new to the day.
    pub(super) fn atom(&mut self, text: u64, role: usize) -> (Atom, bool) {
        if let Some(known) = self.atoms.get(&text) {
            return (*known, false);
        }
        let atom = Atom { ordinal: self.last[role] + 1, role };
        self.put(text, atom);
        (atom, true)
    }

    /// Learns what the day's files hold.
    pub(super) fn put(&mut self, text: u64, atom: Atom) {
        self.last[atom.role] = self.last[atom.role].max(atom.ordinal);
        self.atoms.insert(text, atom);
    }
}

/// The document of a text. It has the events' columns too, with zeros: a column without holes is read twice as fast, and the
/// key 0 is before every event.
pub(super) fn document(fields: Fields, text: u64, atom: Atom, tokens: &Tokens) -> TantivyDocument {
    let mut doc = TantivyDocument::new();
    for field in [fields.key, fields.camera, fields.kind, fields.severity, fields.region].into_iter().chain(fields.roles) {
        doc.add_u64(field, 0);
    }
    doc.add_u64(fields.atom, atom.packed());
    doc.add_u64(fields.text, text);
    let whole =
        |text: &String, position| Token { offset_from: 0, offset_to: 0, position, text: text.clone(), position_length: 1 };
    let places = tokens.places.iter().map(|(place, text)| whole(text, *place)).collect();
    doc.add_pre_tokenized_text(fields.places, PreTokenizedString { text: String::new(), tokens: places });
    for (field, list) in [(fields.words, &tokens.words), (fields.pinyin, &tokens.pinyin), (fields.initials, &tokens.initials)] {
        let tokens = list.iter().enumerate().map(|(at, text)| whole(text, at)).collect();
        doc.add_pre_tokenized_text(field, PreTokenizedString { text: String::new(), tokens });
    }
    doc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_its_number_within_a_day_and_each_role_counts_for_itself() {
        let mut known = Known::default();
        let (place, said) = (Known::text(0, "南门岗亭"), Known::text(2, "南门岗亭"));
        assert_ne!(place, said, "the same words in another role are another atom");
        assert_eq!(known.atom(place, 0), (Atom { ordinal: 1, role: 0 }, true));
        assert_eq!(known.atom(said, 2), (Atom { ordinal: 1, role: 2 }, true));
        assert_eq!(known.atom(place, 0), (Atom { ordinal: 1, role: 0 }, false));
        let mut opened = Known::default();
        opened.put(place, Atom { ordinal: 7, role: 0 });
        assert_eq!(opened.atom(Known::text(0, "北门"), 0).0.ordinal, 8, "no number is given twice");
    }

    #[test]
    fn a_packed_atom_comes_back_and_nothing_else_does() {
        for atom in [Atom { ordinal: 1, role: 0 }, Atom { ordinal: 13_000, role: 2 }] {
            assert_eq!(Atom::unpacked(atom.packed()), Some(atom));
        }
        assert_eq!([0, 1, 2, 7].map(Atom::unpacked), [None; 4]);
    }
}
