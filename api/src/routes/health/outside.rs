//! What health says of other systems that this node speaks with: those it tells of alarms, and the broker that it is told events by.

use super::{Problem, Severity};
use crate::{
    mqtt::Away,
    node::Node,
    refusal::{Words, words},
};
use index::model::UtcMicros;
use std::time::Duration;

/// The broker may be away so long before anyone needs to know: it restarts within seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// What other systems were not told of, and which ones say nothing.
pub(super) fn problems(node: &Node, now: UtcMicros) -> Vec<Problem> {
    aside(node).into_iter().chain(away(node, now)).collect()
}

fn aside(node: &Node) -> Option<Problem> {
    let states = node.hooks.states();
    let left: u64 = states.iter().map(|(_, state)| state.left).sum();
    let aside: Vec<_> = states.into_iter().flat_map(|(_, state)| state.aside).collect();
    (!aside.is_empty()).then(|| {
        let (zh, en) = match left {
            0 => Default::default(),
            left => (format!("；另有 {left} 条已不在清单中"), format!("; {left} more have left the list")),
        };
        let state = words(
            format!("{} 条外发通知未送达，已搁置{zh}", aside.len()),
            format!("{} messages to other systems were not delivered and are laid aside{en}", aside.len()),
        );
        let remedy = words(
            "请在管理页面的“外发通知”中重发或丢弃",
            "Send them again or discard them under web hooks in the administration",
        );
        let since = aside.iter().filter_map(|aside| aside.since).min();
        Problem::of_node("hooks_aside", Severity::Medium, since, state, remedy)
    })
}

fn away(node: &Node, now: UtcMicros) -> Option<Problem> {
    let (why, since) = node.mqtt.away().filter(|(_, since)| now.since(*since) > PATIENCE)?;
    let (zh, en, remedy) = said(why);
    let state = words(
        format!("收不到 MQTT 消息（{zh}）：分析设备的事件在服务器或设备上等待；录像不受影响"),
        format!("No events come by MQTT ({en}): those of the analytics boxes wait there; recording is not affected"),
    );
    Some(Problem::of_node("mqtt_away", Severity::Medium, Some(since), state, remedy))
}

/// Why nothing comes from the broker, and what to do.
fn said(why: Away) -> (&'static str, &'static str, Words) {
    match why {
        Away::NoAnswer => (
            "服务器无应答",
            "the broker does not answer",
            words("请检查 MQTT 服务器和网络，以及 mqtt.broker", "Look at the broker, the network and mqtt.broker"),
        ),
        Away::Address => (
            "地址不在允许的网段内",
            "its address is in no network that it may be in",
            words("请核对 mqtt.broker 和 mqtt.allow_networks", "Check mqtt.broker and mqtt.allow_networks"),
        ),
        Away::Tls => (
            "证书不受信任",
            "its certificate is not believed",
            words("请核对 mqtt.authority_file 和服务器证书", "Check mqtt.authority_file and the broker's certificate"),
        ),
        Away::Refused => (
            "用户名或密码错误",
            "it refuses user or password",
            words("请核对 mqtt.user 和 mqtt.password_file", "Check mqtt.user and mqtt.password_file"),
        ),
        Away::Topic => (
            "主题订阅被拒绝",
            "it refuses a topic",
            words("请在服务器上允许本节点订阅 mqtt_topic", "Let this node subscribe to mqtt_topic at the broker"),
        ),
        Away::Protocol => (
            "服务器应答无法理解",
            "what it says cannot be understood",
            words("需要支持 MQTT 5 的服务器，消息不超过 256 KiB", "It must speak MQTT 5, with messages of 256 KiB at most"),
        ),
    }
}
