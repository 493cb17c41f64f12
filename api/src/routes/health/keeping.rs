//! What threatens the promise of keeping footage, while there is time; and what waits for a second person.

use super::{Problem, Severity};
use crate::{node::Shared, refusal::words, routes::retention};
use index::{
    footage::{Erasure, ErasureState, Hold, HoldState, Retention},
    model::UtcMicros,
};
use std::time::Duration;

/// How long before a hold ends somebody is told.
const HOLD_NOTICE: Duration = Duration::from_secs(3 * 86_400);
/// An erasure may take so long before anyone needs to know.
const ERASURE_PATIENCE: Duration = Duration::from_secs(3600);

/// See the module.
pub(super) fn keeping_problems(node: &Shared, kept: &Retention, now: UtcMicros) -> Vec<Problem> {
    let breach = retention::near_breach(kept).map(|(volume, warned)| {
        let (state, remedy) = retention::breach_words(volume, warned.breaks);
        Problem::of_node("retention_breach", Severity::Urgent, Some(warned.since), state, remedy)
    });
    let mut problems: Vec<Problem> = breach.into_iter().collect();
    if kept.held > kept.quota / 10 * 9 {
        problems.push(hold_quota_near(kept.held, kept.quota));
    }
    problems.extend(node.store.holds().iter().filter(|hold| hold.in_force()).filter_map(|hold| of_hold(hold, now)));
    problems.extend(node.store.erasures().iter().filter_map(|order| of_erasure(order, now)));
    problems
}

fn hold_quota_near(held: u64, quota: u64) -> Problem {
    let (held, quota) = (held as f64 / 1e9, quota as f64 / 1e9);
    let state = words(
        format!("录像保全已占用 {held:.1} GB，限额 {quota:.1} GB：新的保全可能被拒绝"),
        format!("Holds take up {held:.1} of {quota:.1} GB: a new one may be refused"),
    );
    let remedy = words(
        "导出后解除不再需要的保全，或提高 retention.hold_percent",
        "Export and release what is no longer needed, or raise retention.hold_percent",
    );
    Problem::of_node("hold_quota_near", Severity::Medium, None, state, remedy)
}

fn of_hold(hold: &Hold, now: UtcMicros) -> Option<Problem> {
    if hold.state == HoldState::Requested {
        let state = words(
            format!("保全 {} 待第二人批准，72 小时内未批准将失效", hold.id),
            format!("Hold {} waits for a second person and lapses 72 hours after it was asked for", hold.id),
        );
        let remedy = words("请由另一名管理员批准或驳回", "Another administrator approves or declines it");
        return Some(Problem::of_node("hold_waits", Severity::Medium, Some(hold.asked.at), state, remedy));
    }
    (hold.expires.since(now) < HOLD_NOTICE).then(|| {
        let state = words(
            format!("保全 {} 将于 {} 到期，届时录像按期限删除", hold.id, hold.expires),
            format!("Hold {} ends at {}; its footage then goes by its term", hold.id, hold.expires),
        );
        let remedy = words("如仍需要，请重新申请保全或导出", "Ask for a new hold, or export it, if it is still needed");
        Problem::of_node("hold_expires_soon", Severity::Medium, None, state, remedy)
    })
}

fn of_erasure(order: &Erasure, now: UtcMicros) -> Option<Problem> {
    let since = order.approved.as_ref().filter(|_| order.state == ErasureState::Approved)?.at;
    (now.since(since) > ERASURE_PATIENCE).then(|| {
        let state = words(
            format!("删除令 {} 尚未在所有磁盘上执行完毕", order.id),
            format!("The order of erasure {} is not carried out on every disk yet", order.id),
        );
        let remedy = words("请检查是否有磁盘离线或拒绝写入", "Look for a disk that is away or refuses to write");
        Problem::of_node("erasure_waits", Severity::High, Some(since), state, remedy)
    })
}
