//! What is said over a line, and how it stands in bytes.
//!
//! ```text
//!  0 4 magic "HLNK" | 4 2 version | 6 2 zero | 8 8 number: an answer repeats that of its question
//! 16 4 length of the head | 20 4 length of what is attached | 24 head (JSON) | attached | 4 CRC32C of all before
//! ```
//! Integers are little-endian. Records are attached, compressed with zstd. A node of a later version says so by its number and is
//! refused as a whole, so that nothing is half understood.

use bytes::Bytes;
use index::{
    incidents::Handed,
    journal::{Batch, Hash, MAX_BATCH_BYTES, Seq},
    model::{NodeId, Tier, UtcMicros},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt;

use super::{
    down::{MAX_PART, Reply, Say},
    standing::Trouble,
};

/// The version of what is said.
pub const VERSION: u16 = 1;
/// The largest message: what a broker carries as one (1 MiB), less what it adds.
pub const MAX_MESSAGE: usize = (1 << 20) - (16 << 10);
/// Characters of a node's name.
pub const MAX_NAME: usize = 100;
/// Histories that one node offers, at most.
pub const MAX_OFFERED: usize = 1024;
const MAGIC: [u8; 4] = *b"HLNK";
const HEAD: usize = 24;
const CRC: usize = 4;
/// Events repeat themselves, so the fastest level already makes a batch some eight times smaller.
const LEVEL: i32 = 1;

/// What an upper node asks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// Whose journals can be fetched here, and how far does each go?
    Histories,
    /// What comes after a record that the asker has?
    Records {
        /// Of whose journal.
        node: NodeId,
        /// The newest that the asker has; 0 for none.
        after: Seq,
        /// The chain up to it.
        hash: Hash,
        /// About how many bytes of records.
        bytes: u32,
    },
    /// What are the nodes called whose journals can be fetched here?
    Names,
    /// What was done above about incidents of this part of the tree: keep it. Without any: how far have you come?
    Deliver {
        /// Whose journal the cursor is about.
        via: NodeId,
        /// In the order of that journal.
        moves: Vec<Handed>,
    },
    /// What somebody above wants to see of a node: of this one, or of one below it, to which it is handed on.
    Down {
        /// Of which.
        to: NodeId,
        /// How long the answer may take, in milliseconds.
        within_ms: u32,
        /// How much may come up this line, in bits a second, as far as the asker is concerned.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
        /// What.
        say: Box<Say>,
    },
}

/// What a lower node answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// To [`Question::Histories`].
    Histories(Vec<Offered>),
    /// The next records.
    Records(Batch),
    /// Nothing newer.
    Nothing,
    /// What is here ends before that record.
    Behind(Seq),
    /// Another record stands at that place here.
    OtherChain,
    /// To [`Question::Names`].
    Names(Vec<Named>),
    /// To [`Question::Deliver`]: everything up to there is durable.
    Delivered(Seq),
    /// To [`Question::Down`], and the bytes that belong to it: at most [`super::down::MAX_PART`].
    Down(Box<Reply>, Bytes),
    /// No answer, and why.
    Refused(Refused),
}

/// What people call a node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Which node.
    pub node: NodeId,
    /// Its name; up to 100 characters.
    pub name: String,
    /// Its tier.
    pub tier: Tier,
}

/// A journal that can be fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offered {
    /// Whose.
    pub node: NodeId,
    /// Its newest record.
    pub tail: Seq,
    /// The chain up to it.
    pub hash: Hash,
    /// What was durable in that node at this instant, by its own clock, is all here.
    pub complete_to: UtcMicros,
    /// Why it is not here up to now, if it is a copy and something is in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
}

/// Why a question is not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// No journal of that node is here.
    Unknown,
    /// The question is not one that this version knows.
    NotUnderstood,
    /// The disk did not give what was asked.
    Unreadable,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "it has no journal of that node",
            Self::NotUnderstood => "it does not understand the question",
            Self::Unreadable => "its disk does not give what was asked",
        })
    }
}

/// Why bytes are no message.
pub type Malformed = &'static str;

/// An answer's head.
#[derive(Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case", deny_unknown_fields)]
enum Head {
    Histories { of: Vec<Offered> },
    Records { node: NodeId, after: Seq, bytes: u32 },
    Nothing,
    Behind { tail: Seq },
    OtherChain,
    Names { of: Vec<Named> },
    Delivered { upto: Seq },
    Down { reply: Box<Reply> },
    Refused { why: Refused },
}

/// A question as it is sent.
#[must_use]
pub fn write_question(number: u64, question: &Question) -> Vec<u8> {
    seal(number, question, &[])
}

/// The number of a question, and the question. The number alone if it is one of this version that is not understood.
///
/// # Errors
/// What shows that these bytes are no question.
pub fn read_question(bytes: &[u8]) -> Result<(u64, Option<Question>), Malformed> {
    let (number, head, attached) = open(bytes)?;
    if !attached.is_empty() {
        return Err("nothing is attached to a question");
    }
    Ok((number, parse(head)))
}

/// An answer as it is sent.
#[must_use]
pub fn write_answer(number: u64, answer: &Answer) -> Vec<u8> {
    let head = match answer {
        Answer::Histories(of) => Head::Histories { of: of.clone() },
        Answer::Records(batch) => {
            let Ok(packed) = zstd::bulk::compress(&batch.records, LEVEL) else {
                return seal(number, &Head::Refused { why: Refused::Unreadable }, &[]);
            };
            let head = Head::Records { node: batch.node, after: batch.after, bytes: batch.records.len() as u32 };
            return seal(number, &head, &packed);
        }
        Answer::Nothing => Head::Nothing,
        Answer::Behind(tail) => Head::Behind { tail: *tail },
        Answer::OtherChain => Head::OtherChain,
        Answer::Names(of) => Head::Names { of: of.clone() },
        Answer::Delivered(upto) => Head::Delivered { upto: *upto },
        // Pictures are packed as tightly as they can be.
        Answer::Down(reply, bytes) => return seal(number, &Head::Down { reply: reply.clone() }, bytes),
        Answer::Refused(why) => Head::Refused { why: *why },
    };
    seal(number, &head, &[])
}

/// An answer and the number of its question.
///
/// # Errors
/// What shows that these bytes are no answer of this version.
pub fn read_answer(bytes: &[u8]) -> Result<(u64, Answer), Malformed> {
    let (number, head, attached) = open(bytes)?;
    let answer = match parse(head).ok_or("its head is not understood")? {
        Head::Histories { of } if of.len() > MAX_OFFERED => return Err("it offers more journals than a district has"),
        Head::Histories { of } => Answer::Histories(of),
        Head::Records { node, after, bytes } => {
            return Ok((number, Answer::Records(Batch { node, after, records: unpack(attached, bytes)? })));
        }
        Head::Nothing => Answer::Nothing,
        Head::Behind { tail } => Answer::Behind(tail),
        Head::OtherChain => Answer::OtherChain,
        Head::Names { of } if of.len() > MAX_OFFERED => return Err("it names more nodes than a district has"),
        Head::Names { of } if of.iter().any(|named| named.name.chars().count() > MAX_NAME) => {
            return Err("a name is longer than any");
        }
        Head::Names { of } => Answer::Names(of),
        Head::Delivered { upto } => Answer::Delivered(upto),
        Head::Down { .. } if attached.len() > MAX_PART => return Err("it carries more than a part may"),
        Head::Down { reply } => return Ok((number, Answer::Down(reply, Bytes::copy_from_slice(attached)))),
        Head::Refused { why } => Answer::Refused(why),
    };
    if attached.is_empty() { Ok((number, answer)) } else { Err("something is attached that does not belong to it") }
}

/// Takes apart what was compressed; what it claims to become is held against what may be before anything is made of it.
fn unpack(packed: &[u8], bytes: u32) -> Result<Vec<u8>, Malformed> {
    let length = bytes as usize;
    if length > MAX_BATCH_BYTES {
        return Err("its records are more than a batch may have");
    }
    let records = zstd::bulk::decompress(packed, length).map_err(|_| "its records do not come out of their packing")?;
    if records.len() == length { Ok(records) } else { Err("its records are not as many bytes as it says") }
}

fn seal(number: u64, head: &impl Serialize, attached: &[u8]) -> Vec<u8> {
    // Heads are plain structures with text keys: they always become JSON.
    let head = serde_json::to_vec(head).unwrap_or_default();
    let mut out = Vec::with_capacity(HEAD + head.len() + attached.len() + CRC);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&(head.len() as u32).to_le_bytes());
    out.extend_from_slice(&(attached.len() as u32).to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(attached);
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// The number, the head and what is attached, of a whole message of this version.
fn open(bytes: &[u8]) -> Result<(u64, &[u8], &[u8]), Malformed> {
    if bytes.len() > MAX_MESSAGE {
        return Err("it is longer than any message");
    }
    let (rest, crc) = bytes.split_last_chunk::<CRC>().ok_or("it is shorter than any message")?;
    let (start, body) = rest.split_first_chunk::<HEAD>().ok_or("it is shorter than any message")?;
    if start[..4] != MAGIC {
        return Err("it does not start as a message does");
    }
    if crc32c::crc32c(rest) != u32::from_le_bytes(*crc) {
        return Err("its checksum does not match: it was cut or altered");
    }
    if u16::from_le_bytes([start[4], start[5]]) != VERSION {
        return Err("it is of another version of this program: run the same one in both nodes");
    }
    let word = |at: usize| u32::from_le_bytes([start[at], start[at + 1], start[at + 2], start[at + 3]]);
    let number = u64::from(word(12)) << 32 | u64::from(word(8));
    let (head, attached) = body.split_at_checked(word(16) as usize).ok_or("its parts do not fit its length")?;
    if attached.len() == word(20) as usize { Ok((number, head, attached)) } else { Err("its parts do not fit its length") }
}

fn parse<T: DeserializeOwned>(head: &[u8]) -> Option<T> {
    serde_json::from_slice(head).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeId {
        NodeId::from_bytes([7; 16])
    }

    fn answers() -> Vec<Answer> {
        let offered = Offered {
            node: node(),
            tail: Seq::new(9),
            hash: Hash([0xcd; 32]),
            complete_to: UtcMicros::from_micros(5),
            trouble: None,
        };
        let troubled = Offered { trouble: Some(Trouble::NoContact), ..offered };
        vec![
            Answer::Histories(vec![offered, troubled]),
            Answer::Records(Batch { node: node(), after: Seq::new(3), records: b"records, records, records".repeat(9) }),
            Answer::Nothing,
            Answer::Behind(Seq::new(4)),
            Answer::OtherChain,
            Answer::Delivered(Seq::new(12)),
            Answer::Refused(Refused::Unknown),
        ]
    }

    #[test]
    fn questions_and_answers_arrive_as_they_were_sent() {
        let records = Question::Records { node: node(), after: Seq::new(7), hash: Hash([0xab; 32]), bytes: 5 };
        for question in [Question::Histories, records] {
            assert_eq!(read_question(&write_question(u64::MAX - 1, &question)), Ok((u64::MAX - 1, Some(question))));
        }
        for answer in answers() {
            assert_eq!(read_answer(&write_answer(1 << 40, &answer)), Ok((1 << 40, answer)));
        }
    }

    #[test]
    fn a_message_that_was_cut_or_altered_anywhere_is_none() {
        for answer in answers() {
            let mut bytes = write_answer(3, &answer);
            for length in 0..bytes.len() {
                assert!(read_answer(&bytes[..length]).is_err(), "{answer:?} cut to {length}");
            }
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(read_answer(&bytes).is_err(), "{answer:?} bit {bit}");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn what_a_hostile_peer_claims_is_held_against_what_may_be_before_anything_is_made_of_it() {
        let packed = zstd::bulk::compress(&vec![0; 64 << 20], 1).expect("compressed");
        let of = vec![
            Offered { node: node(), tail: Seq::ZERO, hash: Hash::ZERO, complete_to: UtcMicros::MIN, trouble: None };
            MAX_OFFERED + 1
        ];
        let hostile = [
            seal(1, &Head::Records { node: node(), after: Seq::ZERO, bytes: u32::MAX }, &packed),
            seal(1, &Head::Records { node: node(), after: Seq::ZERO, bytes: 1000 }, &packed),
            seal(1, &Head::Records { node: node(), after: Seq::ZERO, bytes: 1000 }, b"no packing"),
            seal(1, &Head::Nothing, b"something"),
            seal(1, &Head::Histories { of }, &[]),
            seal(1, &serde_json::json!({ "answer": "behind", "tail": 1, "more": 1 }), &[]),
            vec![0; MAX_MESSAGE + 1],
        ];
        for (n, bytes) in hostile.iter().enumerate() {
            assert!(read_answer(bytes).is_err(), "{n}");
        }
        let full = (0..MAX_OFFERED).map(|_| Offered {
            node: node(),
            tail: Seq::new(u64::MAX),
            hash: Hash([0xff; 32]),
            complete_to: UtcMicros::MAX,
            trouble: Some(Trouble::NoContact),
        });
        let largest = write_answer(1, &Answer::Histories(full.collect()));
        assert!(largest.len() < MAX_MESSAGE && read_answer(&largest).is_ok(), "{} bytes", largest.len());
    }

    #[test]
    fn another_version_is_refused_as_a_whole_and_an_unknown_question_keeps_its_number() {
        let mut bytes = write_answer(1, &Answer::Nothing);
        bytes[4] = 2;
        let end = bytes.len() - CRC;
        let crc = crc32c::crc32c(&bytes[..end]);
        bytes[end..].copy_from_slice(&crc.to_le_bytes());
        assert!(read_answer(&bytes).expect_err("refused").contains("version"));
        assert_eq!(read_question(&seal(8, &serde_json::json!({ "ask": "weather" }), &[])), Ok((8, None)));
    }
}
