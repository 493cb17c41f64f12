//! What health says of other systems that this node speaks with.

use super::{Problem, Severity};
use crate::{node::Node, refusal::words};

/// What other systems were not told of.
pub(super) fn problems(node: &Node) -> Vec<Problem> {
    aside(node).into_iter().collect()
}

fn aside(node: &Node) -> Option<Problem> {
    let aside: Vec<_> = node.hooks.states().into_iter().flat_map(|(_, state)| state.aside).collect();
    (!aside.is_empty()).then(|| {
        let state = words(
            format!("{} 条外发通知未送达，已搁置", aside.len()),
            format!("{} messages to other systems were not delivered and are laid aside", aside.len()),
        );
        let remedy = words(
            "请在管理页面的“外发通知”中重发或丢弃",
            "Send them again or discard them under web hooks in the administration",
        );
        let since = aside.iter().filter_map(|aside| aside.since).min();
        Problem::of_node("hooks_aside", Severity::Medium, since, state, remedy)
    })
}
