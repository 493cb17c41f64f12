//! The nodes below a centre as people and pages are told of them: up to when each is covered, and which is missing and why (I9).

use crate::{
    link::{Trouble, below::NodeBelow},
    node::Node,
    refusal::{Words, words},
};
use index::{
    events::Coverage,
    journal::Seq,
    model::{NodeId, UtcMicros},
};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A copy is behind when its node is known to have that much more.
const BEHIND_SECS: f64 = 2.0;

/// How a node below may stand: all of it is here, it is being fetched, it cannot be reached or understood.
pub(super) const STATES: [&str; 3] = ["current", "behind", "missing"];

/// A node below.
#[derive(Serialize, ToSchema, Clone, PartialEq, Debug)]
pub(super) struct NodeBody {
    pub(super) node: String,
    /// What people call it; its number while that is not known.
    pub(super) name: String,
    /// `room` or `subdistrict`; `null` while that is not known.
    tier: Option<String>,
    /// The neighbour that it is reached through: itself, or the centre between.
    via: String,
    /// One of [`STATES`].
    pub(super) state: &'static str,
    /// Everything that was durable there at this instant, by its own clock, is here and found; `null` if nothing ever came.
    covered_to_us: Option<i64>,
    /// Seconds of its time that are known to be there and are not here.
    pub(super) lag_s: f64,
    /// Records that are known to be there and are not here.
    pub(super) lag_records: u64,
    /// When it was last heard of, on this centre's clock; `null`: not since this centre started.
    heard_us: Option<i64>,
    /// Why it is missing.
    pub(super) reason: Option<Reason>,
}

/// Why a node is missing.
#[derive(Serialize, ToSchema, Clone, PartialEq, Eq, Debug)]
pub(super) struct Reason {
    /// A stable word.
    pub(super) code: &'static str,
    pub(super) state: Words,
    pub(super) remedy: Words,
    /// Whether waiting does not mend it.
    pub(super) grave: bool,
}

/// How the nodes below stand now, to be asked before the index is: what the index has later is more, not less.
pub(super) fn look(node: &Node) -> Vec<NodeBelow> {
    node.below.as_ref().map(|below| below.look(UtcMicros::now())).unwrap_or_default()
}

/// The nodes by name.
pub(super) fn names(looked: &[NodeBelow]) -> BTreeMap<NodeId, String> {
    looked.iter().filter_map(|below| Some((below.node, below.known.as_ref()?.named.name.clone()))).collect()
}

/// What is told of them, with how far the index has come in each copy.
pub(super) fn bodies(looked: &[NodeBelow], coverage: &Coverage) -> Vec<NodeBody> {
    let indexed: BTreeMap<NodeId, (Seq, UtcMicros)> =
        coverage.below.iter().map(|below| (below.node, (below.indexed_to, below.indexed_at))).collect();
    let none = (Seq::ZERO, UtcMicros::MIN);
    looked.iter().map(|below| body(below, indexed.get(&below.node).copied().unwrap_or(none))).collect()
}

fn body(below: &NodeBelow, (indexed_to, indexed_at): (Seq, UtcMicros)) -> NodeBody {
    let standing = &below.standing;
    let found = indexed_to >= standing.tail;
    let covered = if found { standing.complete_to } else { indexed_at.min(standing.complete_to) };
    let behind = !found || (standing.lag_records() > 0 && standing.lag_secs() > BEHIND_SECS);
    let never = standing.tail == Seq::ZERO && standing.heard.is_none();
    let state = match below.missing {
        Some(_) => "missing",
        None if behind => "behind",
        None => "current",
    };
    let known = below.known.as_ref().map(|known| &known.named);
    NodeBody {
        node: below.node.to_string(),
        name: known.map_or_else(|| below.node.to_string(), |named| named.name.clone()),
        tier: known.map(|named| named.tier.to_string()),
        via: standing.via.to_string(),
        state,
        covered_to_us: (!never && covered > UtcMicros::from_micros(0)).then(|| covered.as_micros()),
        lag_s: standing.lag_secs(),
        lag_records: standing.lag_records(),
        heard_us: standing.heard.map(UtcMicros::as_micros),
        reason: below.missing.map(reason),
    }
}

pub(super) fn reason(trouble: Trouble) -> Reason {
    let wait = || words("线路恢复后自动补齐，不会丢失", "What is missing comes by itself when the line is back; nothing is lost");
    let (code, state, remedy) = match trouble {
        Trouble::NoContact => ("no_contact", words("该节点没有应答", "The node does not answer"), wait()),
        Trouble::BetweenBehind => {
            ("between_behind", words("中间一级的分中心尚未取到", "The centre between has not come as far"), wait())
        }
        Trouble::Altered => (
            "altered",
            words("收到的记录与之前的不连续", "What comes from it does not continue what came before"),
            words(
                "请检查线路和该节点，防止被篡改",
                "Look at the line and the node: records were altered, or another node answers for it",
            ),
        ),
        Trouble::OtherChain => (
            "other_chain",
            words("该节点的日志已不是原来的那一份", "The node's journal is another one than was copied"),
            words(
                "请查明该节点是否重装，再决定是否重新开始复制",
                "Find out whether it was set up anew, and decide whether its copy is to begin anew",
            ),
        ),
        Trouble::LostEnd => (
            "lost_end",
            words(
                "该节点的日志比已复制的短：它丢失了已上报的记录",
                "The node's journal ends before the copy does: it lost records that it had told",
            ),
            words("请检查该节点的磁盘", "Look at that node's disk"),
        ),
        Trouble::Withheld => (
            "withheld",
            words("该节点未给出记录", "The node does not give its records"),
            words("请查看该节点的系统日志", "Its own log says why"),
        ),
        Trouble::OurDisk => (
            "our_disk",
            words("本中心的磁盘无法写入副本", "This centre's own disk does not take the copy"),
            words("请检查本中心状态目录所在磁盘", "Look at the disk of this centre's state directory"),
        ),
    };
    Reason { code, state, remedy, grave: trouble.is_grave() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Standing;

    const NOW: UtcMicros = UtcMicros::from_micros(1_800_000_000_000_000);

    fn below(tail: u64, there: u64, missing: Option<Trouble>) -> NodeBelow {
        let standing = Standing {
            via: NodeId::from_bytes([1; 16]),
            tail: Seq::new(tail),
            there: Seq::new(there),
            complete_to: NOW,
            there_complete_to: UtcMicros::from_micros(NOW.as_micros() + 9_000_000),
            trouble: missing,
            heard: Some(NOW),
        };
        NodeBelow { node: NodeId::from_bytes([1; 16]), known: None, standing, missing }
    }

    #[test]
    fn a_node_is_covered_only_as_far_as_it_is_both_copied_and_found() {
        let earlier = UtcMicros::from_micros(NOW.as_micros() - 60_000_000);
        let told = |below: &NodeBelow, indexed: u64| {
            let told = body(below, (Seq::new(indexed), earlier));
            (told.state, told.covered_to_us)
        };
        assert_eq!(told(&below(9, 9, None), 9), ("current", Some(NOW.as_micros())));
        assert_eq!(told(&below(9, 9, None), 8), ("behind", Some(earlier.as_micros())), "the index has not come so far");
        assert_eq!(told(&below(9, 12, None), 9), ("behind", Some(NOW.as_micros())), "its node has more");
        assert_eq!(told(&below(9, 9, Some(Trouble::NoContact)), 9), ("missing", Some(NOW.as_micros())));
    }

    #[test]
    fn every_reason_is_said_in_both_languages_with_what_to_do() {
        use Trouble::{Altered, BetweenBehind, LostEnd, NoContact, OtherChain, OurDisk, Withheld};
        for trouble in [Altered, BetweenBehind, LostEnd, NoContact, OtherChain, OurDisk, Withheld] {
            let said = reason(trouble);
            assert!([&said.state, &said.remedy].iter().all(|words| !words.zh.is_empty() && !words.en.is_empty()));
            assert_eq!(said.grave, trouble.is_grave());
        }
    }
}
