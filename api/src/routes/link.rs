//! `/api/v1/link/join`: a node asks to be admitted below this centre, with the one-time code that a person gave it.

use crate::{
    authority::Authority,
    link::{
        authority::PUBLIC_KEY,
        join::JoinBody,
        members::{Member, NotAdmitted, unhex},
        papers::Papers,
    },
    refusal::{Refusal, words},
};
use axum::{Json, http::StatusCode};
use index::{journal::Record, model::UtcMicros};
use serde_json::json;

/// Admits a node below this centre. For `haohe join`: the code is the permission, and is good once.
#[utoipa::path(post, path = "/api/v1/link/join", request_body = JoinBody,
    responses((status = 200, body = Papers), (status = 400, body = Refusal), (status = 403, body = Refusal)))]
pub(super) async fn join(authority: Authority, Json(body): Json<JoinBody>) -> Result<Json<Papers>, Refusal> {
    let node = authority.node().clone();
    let Some(below) = node.below.clone() else { return Err(not_a_centre()) };
    let key: [u8; PUBLIC_KEY] =
        unhex(&body.public_key).ok_or_else(|| Refusal::bad_request("the key is not one of P-256").on("public_key"))?;
    let from = authority.from();
    let member = Member { node: body.node, name: body.name, tier: body.tier, since: UtcMicros::now() };
    let told = json!({ "node": member.node, "name": member.name, "tier": member.tier, "from": from });
    let admitted = node.blocking(move |_| below.admit(&body.secret, member, &key)).await?;
    let papers = admitted.map_err(|why| refused(&why, from))?;
    // Whom this centre believes from now on is a fact that must outlive it.
    let record = Record::new(UtcMicros::now(), "link.joined", told);
    let journal = std::sync::Arc::clone(&node.journal);
    node.blocking(move |_| journal.append(record).wait()).await?.map_err(|error| Refusal::failed("note who joined", &error))?;
    Ok(Json(papers))
}

fn refused(why: &NotAdmitted, from: std::net::IpAddr) -> Refusal {
    if let NotAdmitted::Disk(error) = why {
        return Refusal::failed("admit a node", &format!("{error:#}"));
    }
    tracing::warn!(%from, %why, "a node that asked to join was refused");
    let zh = match why {
        NotAdmitted::Code => "该加入码无效：已被使用、已超过一天，或从未签发",
        NotAdmitted::Tier(_) => "该级别的节点不能直接加入本中心",
        NotAdmitted::Known => "该节点即本中心自身、已由其他节点代管，或名称不合规",
        NotAdmitted::Full | NotAdmitted::Disk(_) => "加入本中心的节点数已达上限",
    };
    Refusal::new(
        StatusCode::FORBIDDEN,
        "not_admitted",
        words(zh, why.to_string()),
        words(
            "请在本中心重新执行 haohe ca invite 获取新的加入码",
            "Get a new code at the centre with `haohe ca invite`, and try again",
        ),
    )
}

fn not_a_centre() -> Refusal {
    Refusal::new(
        StatusCode::CONFLICT,
        "not_a_centre",
        words("本节点是监控室，没有下级节点", "This node is a room and has no nodes below it"),
        words("请使用上级中心签发的加入码", "Use a code of the centre above"),
    )
}
