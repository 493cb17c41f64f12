//! What people read of a step: its record in the journal is an event, and this is the event's text.

use super::{Act, HoldState, Order};
use crate::{events::CAMERAS, model::CameraId};
use serde_json::{Value, json};

/// The text of a step, Chinese and English. It names the number, who did it, of which cameras where they are several and, where it
/// begins, what it is about.
pub(super) fn told(act: &Act, cameras: &[CameraId]) -> Value {
    let begins = matches!(act, Act::HoldRequested(_) | Act::ErasureRequested(_));
    let (zh, en) = said(act);
    match cameras.len() {
        2.. if !begins => json!({ "zh": format!("{zh}（摄像机 {CAMERAS}）"), "en": format!("{en} (cameras {CAMERAS})") }),
        _ => json!({ "zh": zh, "en": en }),
    }
}

fn said(act: &Act) -> (String, String) {
    match act {
        Act::HoldRequested(hold) => {
            let ((zh, en), by, id, until) = (about(&hold.order), &hold.asked.by, hold.id, hold.expires);
            (
                format!("{by} 申请保全 {id}：{zh}，保全至 {until}；自即刻起保全，待第二人批准"),
                format!("{by} asks for hold {id}: {en}, until {until}; it protects at once and waits for a second person"),
            )
        }
        Act::HoldApproved { id, deed } => (format!("{} 批准保全 {id}", deed.by), format!("{} approves hold {id}", deed.by)),
        Act::HoldDeclined { id, deed } => (format!("{} 驳回保全 {id}", deed.by), format!("{} declines hold {id}", deed.by)),
        Act::ReleaseAsked { id, deed, reason } => (
            format!("{} 申请解除保全 {id}，待第二人批准：{reason}", deed.by),
            format!("{} asks for the release of hold {id}, which waits for a second person: {reason}", deed.by),
        ),
        Act::HoldReleased { id, deed, reason } => (
            format!("{} 批准解除保全 {id}，录像此后按期限删除：{reason}", deed.by),
            format!("{} releases hold {id}, whose footage goes by its term from now on: {reason}", deed.by),
        ),
        Act::HoldEnded { id, how: HoldState::Lapsed, .. } => (
            format!("保全 {id} 未在时限内获批准，已失效，录像此后按期限删除"),
            format!("Hold {id} was not approved in time and has lapsed; its footage goes by its term from now on"),
        ),
        Act::HoldEnded { id, .. } => (
            format!("保全 {id} 到期，录像此后按期限删除"),
            format!("Hold {id} is over; its footage goes by its term from now on"),
        ),
        Act::ErasureRequested(order) => {
            let ((zh, en), by, id) = (about(&order.order), &order.asked.by, order.id);
            (
                format!("{by} 申请删除录像，删除令 {id}：{zh}；待第二人批准"),
                format!("{by} asks for erasure {id}: {en}; it waits for a second person"),
            )
        }
        Act::ErasureApproved { id, deed } => {
            (format!("{} 批准删除令 {id}，开始执行", deed.by), format!("{} approves erasure {id}, which begins", deed.by))
        }
        Act::ErasureDeclined { id, deed } => {
            (format!("{} 驳回删除令 {id}", deed.by), format!("{} declines erasure {id}", deed.by))
        }
        Act::ErasureLapsed { id, .. } => (
            format!("删除令 {id} 未在时限内获批准，已失效，录像未动"),
            format!("Erasure {id} was not approved in time and has lapsed; nothing was touched"),
        ),
        Act::ErasureDone { id, erased, .. } => (
            format!("删除令 {id} 已执行：删除 {} 个片段，因保全保留 {} 个", erased.fragments, erased.kept_by_hold),
            format!("Erasure {id} is carried out: {} fragments erased, {} kept by holds", erased.fragments, erased.kept_by_hold),
        ),
    }
}

/// Which footage, and on whose authority.
fn about(order: &Order) -> (String, String) {
    let Order { cameras, window, authority, .. } = order;
    let named = match cameras.as_slice() {
        [camera] => camera.to_string(),
        _ => CAMERAS.to_owned(),
    };
    (
        format!("摄像机 {named}，{} 至 {}，依据 {authority}", window.from, window.to),
        format!("cameras {named} from {} to {}, by {authority}", window.from, window.to),
    )
}
