//! Incidents as the API tells them.

use super::super::events::{self, Words};
use crate::node::Node;
use index::{
    incidents::{Author, Deed, Effect, Entry, Figures, Incident, IncidentId, Owner, Stage},
    model::{CameraId, NodeId, UtcMicros},
};
use serde::Serialize;
use utoipa::ToSchema;

/// Incidents of one queue, and how many there are in each.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct IncidentsBody {
    /// What is due first comes first; what is closed, newest first.
    pub(super) incidents: Vec<IncidentBody>,
    /// Where to go on; `null` when nothing is left.
    pub(super) next: Option<String>,
    pub(super) counts: Counts,
    pub(super) figures: FiguresBody,
    /// `room`, `subdistrict` or `district`: of the node that answers.
    pub(super) tier: &'static str,
    /// The tier above, if the node has joined one.
    pub(super) upper: Option<&'static str>,
    pub(super) node: String,
    pub(super) person: String,
    /// Whom one can send.
    pub(super) units: Vec<String>,
    pub(super) now_us: i64,
    /// Incidents that this list had no room for; they are in the journal.
    pub(super) shed: u64,
    /// Records of other nodes that could not be believed.
    pub(super) refused: u64,
}

/// How many are in each queue.
#[derive(Serialize, ToSchema, Default)]
pub(in super::super) struct Counts {
    mine: u32,
    room: u32,
    subdistrict: u32,
    district: u32,
    shelved: u32,
    closed: u32,
    /// Open ones whose clock is over.
    overdue: u32,
}

impl Counts {
    pub(super) fn add(&mut self, incident: &Incident, (node, person): (NodeId, &str), now: UtcMicros) {
        if incident.stage.is_over() {
            self.closed += 1;
            return;
        }
        if incident.shelved.is_some() {
            self.shelved += 1;
            return;
        }
        match incident.tier {
            index::model::Tier::Room => self.room += 1,
            index::model::Tier::Subdistrict => self.subdistrict += 1,
            index::model::Tier::District => self.district += 1,
        }
        self.mine += u32::from(incident.owner.as_ref().is_some_and(|owner| owner.node == node && owner.who.name == person));
        self.overdue += u32::from(incident.due().is_some_and(|due| due <= now));
    }
}

/// How it went lately.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct FiguresBody {
    /// Opened in the last 24 hours.
    opened_day: u32,
    closed_day: u32,
    /// Half of those that were taken on then waited at most so long.
    acknowledge_median_s: Option<f64>,
    /// Opened in the last ten minutes: more than ten are a flood.
    opened_10_min: u32,
}

impl FiguresBody {
    pub(super) fn of(day: Figures, recent: u32) -> Self {
        Self {
            opened_day: day.opened,
            closed_day: day.closed,
            acknowledge_median_s: day.acknowledge_median_s,
            opened_10_min: recent,
        }
    }
}

/// An incident as it now is.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct IncidentBody {
    #[schema(value_type = String)]
    id: IncidentId,
    number: String,
    /// `p1`, `p2`, `p3`.
    priority: &'static str,
    /// `new`, `acknowledged`, `reopened`, `verified`, `dispatched`, `arrived`, `resolved`, `closed`, `false`, `merged`.
    stage: &'static str,
    /// The unit, code, reason or other incident that belongs to the stage.
    detail: Option<String>,
    /// The tier that has it.
    tier: &'static str,
    /// Who there has taken it on.
    owner: Option<OwnerBody>,
    /// The node whose it is.
    #[schema(value_type = String)]
    home: NodeId,
    home_name: Option<String>,
    kind: Option<&'static str>,
    kind_name: Option<Words>,
    text: Words,
    #[schema(value_type = Option<u32>)]
    camera: Option<CameraId>,
    name: String,
    place: Vec<String>,
    happened_us: i64,
    opened_us: i64,
    /// When its clock is over; `null` if none runs.
    due_us: Option<i64>,
    /// From when the clock counts.
    since_us: i64,
    shelved_until_us: Option<i64>,
    escalations: u32,
    clashes: u32,
    ended_us: Option<i64>,
    version: u32,
}

/// Whoever has taken an incident on.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct OwnerBody {
    name: String,
    display: String,
    /// Whether at the node that answers.
    here: bool,
}

impl IncidentBody {
    pub(in super::super) fn of(incident: &Incident, node: &Node) -> Self {
        let opening = &incident.opening;
        let said = |kind| events::said(&opening.text, kind);
        let owner = |Owner { node: at, who }: &Owner| OwnerBody {
            name: who.name.clone(),
            display: who.display.clone(),
            here: *at == node.id,
        };
        let detail = match &incident.stage {
            Stage::Dispatched { unit } | Stage::Arrived { unit } => Some(unit.clone()),
            Stage::Closed { code } => word(code),
            Stage::False { reason } => word(reason),
            Stage::Merged { into } => Some(into.to_string()),
            _ => None,
        };
        Self {
            id: incident.id,
            number: opening.number.clone(),
            priority: opening.priority.word(),
            stage: incident.stage.word(),
            detail,
            tier: incident.tier.word(),
            owner: incident.owner.as_ref().map(owner),
            home: incident.home,
            home_name: name_of(node, incident.home),
            kind: opening.kind.map(index::events::Kind::word),
            kind_name: opening.kind.map(|kind| events::words(kind.name())),
            text: opening.kind.map_or_else(|| events::either(&opening.text), said),
            camera: opening.camera,
            name: opening.name.clone(),
            place: opening.place.clone(),
            happened_us: opening.happened.as_micros(),
            opened_us: incident.opened.as_micros(),
            due_us: incident.due().map(UtcMicros::as_micros).filter(|_| !incident.stage.is_over()),
            since_us: incident.since.as_micros(),
            shelved_until_us: incident.shelved.as_ref().map(|shelved| shelved.until.as_micros()),
            escalations: incident.escalations,
            clashes: incident.clashes,
            ended_us: incident.ended.map(UtcMicros::as_micros),
            version: incident.version,
        }
    }
}

/// What a node is called.
pub(super) fn name_of(node: &Node, id: NodeId) -> Option<String> {
    if id == node.id {
        return Some(node.config.name.clone());
    }
    node.below.as_ref().and_then(|below| below.roster.of(id)).map(|known| known.named.name)
}

/// The word that serde has for a plain value.
fn word(value: &impl Serialize) -> Option<String> {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned))
}

/// An incident with everything that was done.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct DetailBody {
    #[serde(flatten)]
    incident: IncidentBody,
    /// Oldest first; the opening is the first.
    history: Vec<EntryBody>,
    evidence: Vec<EvidenceBody>,
    alarm: Option<String>,
    event: Option<String>,
    now_us: i64,
}

/// Something that was done.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct EntryBody {
    at_us: i64,
    /// Who: a person's name; `null` for the clock.
    by: Option<String>,
    /// `person`, `clock` or `rule`.
    author: &'static str,
    tier: &'static str,
    node_name: Option<String>,
    /// `opened`, `acknowledged`, …: as its record is called.
    what: &'static str,
    /// The unit, code, reason, text, … of it.
    detail: Option<String>,
    /// `done`; `done_over`: over something its author had not seen; `clash`: kept without effect; `nothing`: forestalled.
    #[schema(value_type = String)]
    effect: Effect,
}

/// Footage that belongs to it.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct EvidenceBody {
    #[schema(value_type = u32)]
    camera: CameraId,
    from_us: i64,
    to_us: i64,
    /// The hold of the home node that keeps it.
    hold: Option<u64>,
}

impl DetailBody {
    pub(in super::super) fn of(incident: &Incident, node: &Node) -> Self {
        let opened = EntryBody {
            at_us: incident.opened.as_micros(),
            by: name(&incident.opened_by),
            author: author(&incident.opened_by),
            tier: incident.opened_tier.word(),
            node_name: name_of(node, incident.id.node),
            what: "opened",
            detail: None,
            effect: Effect::Done,
        };
        let evidence = |evidence: &index::incidents::Evidence| EvidenceBody {
            camera: evidence.camera,
            from_us: evidence.window.from.as_micros(),
            to_us: evidence.window.to.as_micros(),
            hold: evidence.hold,
        };
        Self {
            incident: IncidentBody::of(incident, node),
            history: std::iter::once(opened).chain(incident.history.iter().map(|entry| entry_body(entry, node))).collect(),
            evidence: incident.evidence.iter().map(evidence).collect(),
            alarm: incident.opening.alarm.map(|alarm| alarm.to_string()),
            event: incident.opening.event.map(|event| event.to_string()),
            now_us: UtcMicros::now().as_micros(),
        }
    }
}

fn entry_body(entry: &Entry, node: &Node) -> EntryBody {
    let kind = entry.deed.kind();
    EntryBody {
        at_us: entry.place.at.as_micros(),
        by: name(&entry.by),
        author: author(&entry.by),
        tier: entry.tier.word(),
        node_name: name_of(node, entry.place.node),
        what: kind.strip_prefix("incident.").unwrap_or(kind),
        detail: detail(&entry.deed),
        effect: entry.effect,
    }
}

fn author(by: &Author) -> &'static str {
    match by {
        Author::Person(_) => "person",
        Author::Clock => "clock",
        Author::Rule(_) => "rule",
    }
}

fn name(by: &Author) -> Option<String> {
    match by {
        Author::Person(who) => Some(who.display.clone()),
        Author::Clock => None,
        Author::Rule(name) => Some(name.clone()),
    }
}

fn detail(deed: &Deed) -> Option<String> {
    match deed {
        Deed::Dispatch { unit } => Some(unit.clone()),
        Deed::Close { code } => word(code),
        Deed::Dismiss { reason } => word(reason),
        Deed::Escalate { to, .. } => Some(to.word().to_owned()),
        Deed::Shelve { reason, .. } => Some(reason.clone()),
        Deed::Merge { into } => Some(into.to_string()),
        Deed::Hand { to } => Some(to.display.clone()),
        Deed::Note { text } => Some(text.clone()),
        Deed::Attach { evidence } => Some(evidence.camera.to_string()),
        Deed::Acknowledge | Deed::Verify | Deed::Arrive | Deed::Resolve | Deed::Unshelve | Deed::Reopen | Deed::Undo { .. } => {
            None
        }
    }
}

/// What was done, in a word.
pub(super) fn deed_zh(deed: &Deed) -> &'static str {
    match deed {
        Deed::Acknowledge => "确认",
        Deed::Verify => "核实",
        Deed::Dispatch { .. } => "派单",
        Deed::Arrive => "到场",
        Deed::Resolve => "处置",
        Deed::Close { .. } => "关闭",
        Deed::Dismiss { .. } => "误报",
        Deed::Escalate { .. } => "上报",
        Deed::Shelve { .. } => "搁置",
        Deed::Unshelve => "取消搁置",
        Deed::Merge { .. } => "合并",
        Deed::Reopen => "重开",
        Deed::Undo { .. } => "撤销",
        Deed::Hand { .. } => "交接",
        Deed::Note { .. } => "记录",
        Deed::Attach { .. } => "附证据",
    }
}

/// See [`deed_zh`].
pub(super) fn deed_en(deed: &Deed) -> &'static str {
    deed.kind().strip_prefix("incident.").unwrap_or("moved")
}
