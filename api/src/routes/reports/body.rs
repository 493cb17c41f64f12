//! A report as it is sent, with what its figures mean beside them.

use super::{Asked, WordList};
use crate::{
    node::Node,
    refusal::{Words, words},
    routes::{below::Reason, cause_words},
};
use index::{
    events::Kind,
    model::{GapCause, NodeId, UtcMicros},
    reports::{Figures, Measure, Period, Spread, Sum, Times, rank},
};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What is a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Room,
    Subdistrict,
    District,
}

impl Level {
    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Room, Self::Subdistrict, Self::District].into_iter().find(|level| level.word() == word)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Subdistrict => "subdistrict",
            Self::District => "district",
        }
    }
}

/// A room that is reported of.
pub(super) struct Source {
    pub(super) node: NodeId,
    pub(super) name: String,
    /// The centre that it stands below.
    pub(super) above: (NodeId, String),
    pub(super) covered_to: Option<UtcMicros>,
    /// Whether all that came of it is in what is reported.
    pub(super) read_to_end: bool,
    /// Why what came of it does not reach up to now.
    pub(super) reason: Option<Reason>,
}

impl Source {
    pub(super) fn own(node: NodeId, name: String, now: UtcMicros) -> Self {
        Self { node, above: (node, name.clone()), name, covered_to: Some(now), read_to_end: true, reason: None }
    }

    pub(super) fn is_under(&self, under: Option<NodeId>) -> bool {
        under.is_none_or(|under| under == self.node || under == self.above.0)
    }
}

/// A report.
#[derive(Serialize, ToSchema)]
pub(in crate::routes) struct ReportBody {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) step: &'static str,
    pub(super) level: &'static str,
    /// The node that made it.
    pub(super) name: String,
    /// Days are counted in this time zone.
    pub(super) zone: String,
    pub(super) as_of_us: i64,
    /// What the figures mean.
    #[schema(value_type = BTreeMap<String, Words>)]
    pub(super) definitions: BTreeMap<&'static str, Words>,
    /// What causes, kinds of faults and kinds of incidents are called.
    #[schema(value_type = BTreeMap<String, Words>)]
    pub(super) words: WordList,
    pub(super) periods: Vec<PeriodBody>,
    /// The rooms that are in it, and up to when each is covered (I9).
    pub(super) rooms: Vec<RoomBody>,
}

/// One day, week or month.
#[derive(Serialize, ToSchema)]
pub(super) struct PeriodBody {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) rows: Vec<RowBody>,
    /// All rooms together.
    pub(super) total: RowBody,
}

/// A node's figures of a period.
#[derive(Serialize, ToSchema)]
pub(super) struct RowBody {
    /// `null`: all together.
    pub(super) node: Option<String>,
    pub(super) name: String,
    /// Days summed; of several rooms, room-days.
    pub(super) days: u64,
    /// Of these, under way: so far.
    pub(super) running: u64,
    /// Days that a room stated nothing of.
    pub(super) missing: Vec<String>,
    /// Microseconds and counts.
    #[schema(value_type = Object)]
    pub(super) figures: Figures,
    /// `completeness`, `online` and `retention` from 0 to 1, `faults` a camera and day, `acknowledge` in seconds; left out where there is
    /// nothing to divide by.
    #[schema(value_type = BTreeMap<String, f64>)]
    pub(super) values: BTreeMap<&'static str, f64>,
    /// The rank by each of these: 1 is best, equals share theirs.
    #[schema(value_type = BTreeMap<String, u32>)]
    pub(super) ranks: BTreeMap<&'static str, u32>,
    /// Incidents of all kinds.
    pub(super) all: IncidentsBody,
    /// By kind, most first.
    pub(super) incidents: Vec<IncidentsBody>,
}

/// Incidents and how long they took.
#[derive(Serialize, ToSchema)]
pub(super) struct IncidentsBody {
    /// `null`: all kinds.
    pub(super) kind: Option<String>,
    pub(super) raised: u64,
    pub(super) acknowledge: TookBody,
    pub(super) arrive: TookBody,
    pub(super) close: TookBody,
}

/// How long a step took, of those that came so far.
#[derive(Serialize, ToSchema)]
pub(super) struct TookBody {
    pub(super) count: u64,
    pub(super) median_s: Option<u32>,
    pub(super) p95_s: Option<u32>,
}

/// A room and how far it is covered.
#[derive(Serialize, ToSchema)]
pub(super) struct RoomBody {
    pub(super) node: String,
    pub(super) name: String,
    /// The centre that it stands below.
    pub(super) above: String,
    pub(super) above_name: String,
    /// What it said up to this instant, by its own clock, is in the report; `null` if nothing ever came.
    pub(super) covered_to_us: Option<i64>,
    /// Whether all that came of it is read.
    pub(super) current: bool,
    pub(super) reason: Option<Reason>,
}

impl ReportBody {
    pub(super) fn new(
        node: &Node,
        asked: &Asked,
        sources: &[Source],
        now: UtcMicros,
        sum: impl Fn(&Source, &Period) -> Sum,
    ) -> Self {
        let periods = asked.periods.iter().map(|period| PeriodBody::new(asked.level, sources, period, &sum)).collect();
        let room = |source: &Source| RoomBody {
            node: source.node.to_string(),
            name: source.name.clone(),
            above: source.above.0.to_string(),
            above_name: source.above.1.clone(),
            covered_to_us: source.covered_to.map(UtcMicros::as_micros),
            current: source.read_to_end,
            reason: source.reason.clone(),
        };
        Self {
            from: asked.from.to_string(),
            to: asked.to.to_string(),
            step: asked.step.word(),
            level: asked.level.word(),
            name: node.config.name.clone(),
            zone: node.config.zone_name.clone(),
            as_of_us: now.as_micros(),
            definitions: definitions(),
            words: called(),
            periods,
            rooms: sources.iter().map(room).collect(),
        }
    }
}

impl PeriodBody {
    fn new(level: Level, sources: &[Source], period: &Period, sum: impl Fn(&Source, &Period) -> Sum) -> Self {
        let mut total = Sum::default();
        let mut groups: BTreeMap<NodeId, (String, Sum)> = BTreeMap::new();
        for source in sources {
            let part = sum(source, period);
            total.add(&part);
            let (node, name) = match level {
                Level::Room => (source.node, &source.name),
                Level::Subdistrict => (source.above.0, &source.above.1),
                Level::District => continue,
            };
            groups.entry(node).or_insert_with(|| (name.clone(), Sum::default())).1.add(&part);
        }
        let sums: Vec<&Sum> = groups.values().map(|(_, sum)| sum).collect();
        let ranks: Vec<_> = Measure::ALL.into_iter().map(|measure| (measure, rank(measure, &sums))).collect();
        let mut rows = Vec::new();
        for (n, (node, (name, sum))) in groups.iter().enumerate() {
            let mut row = RowBody::new(Some(*node), name.clone(), sum);
            row.ranks = ranks.iter().filter_map(|(measure, ranks)| Some((measure.word(), ranks[n]?))).collect();
            rows.push(row);
        }
        // The first by completeness on top; who has no rank comes last, by name.
        rows.sort_by(|a, b| {
            let place = |row: &RowBody| row.ranks.get("completeness").copied().unwrap_or(u32::MAX);
            (place(a), &a.name).cmp(&(place(b), &b.name))
        });
        let total = RowBody::new(None, String::new(), &total);
        Self { from: period.from.to_string(), to: period.to.to_string(), rows, total }
    }
}

impl RowBody {
    fn new(node: Option<NodeId>, name: String, sum: &Sum) -> Self {
        let of = |(kind, times): (&String, &Times)| IncidentsBody::new(Some(kind.clone()), times);
        let mut incidents: Vec<IncidentsBody> = sum.incidents.0.iter().map(of).collect();
        incidents.sort_by_key(|of| std::cmp::Reverse(of.raised));
        Self {
            node: node.map(|node| node.to_string()),
            name,
            days: sum.days,
            running: sum.running,
            missing: sum.missing.iter().map(ToString::to_string).collect(),
            figures: sum.figures.clone(),
            values: Measure::ALL.into_iter().filter_map(|measure| Some((measure.word(), measure.value(sum)?))).collect(),
            ranks: BTreeMap::new(),
            all: IncidentsBody::new(None, &sum.incidents.all()),
            incidents,
        }
    }
}

impl IncidentsBody {
    fn new(kind: Option<String>, times: &Times) -> Self {
        let took =
            |spread: &Spread| TookBody { count: spread.len(), median_s: spread.percentile(50), p95_s: spread.percentile(95) };
        let (acknowledge, arrive, close) = (took(&times.acknowledge), took(&times.arrive), took(&times.close));
        Self { kind, raised: times.raised, acknowledge, arrive, close }
    }
}

fn called() -> WordList {
    let kinds = Kind::ALL.iter().map(|kind| (kind.word().to_owned(), words(kind.name().0, kind.name().1)));
    let by_hand = [("incident".to_owned(), words("人工登记", "opened by hand"))];
    let causes = GapCause::ALL.into_iter().map(|cause| (cause.word().to_owned(), cause_words(cause)));
    kinds.chain(causes).chain(by_hand).collect()
}

fn definitions() -> BTreeMap<&'static str, Words> {
    BTreeMap::from([
        (
            "completeness",
            words(
                "已录时长 ÷ 应录时长，各主码流相加。未配置、到期删除、依法删除不计入应录；人工暂停计入",
                "Time recorded ÷ time expected, over main streams. Not configured, deleted at its term and erased by order are not expected; a pause is",
            ),
        ),
        (
            "online",
            words(
                "摄像机送来可录画面的时长 ÷ 应录时长中系统运行且未暂停的部分。磁盘、丢包等本方原因不算离线",
                "Time in which cameras sent pictures that can be recorded ÷ expected time in which the node ran and they were not paused. What disks or lost packets cost does not count against the camera",
            ),
        ),
        (
            "retention",
            words(
                "每日结束时最早录像可追溯的时长 ÷ 应可追溯的时长（保存期限，或摄像机接入以来），各摄像机相加；少于应有一天以上的另计路数",
                "How far recordings went back when each day was over ÷ how far they should (the term, or as long as the camera has been there). Cameras more than a day short are counted",
            ),
        ),
        (
            "faults",
            words(
                "新出现的黑屏、过曝、冻结、模糊、遮挡、偏色、移位次数 ÷ 摄像机日数",
                "Pictures that became black, white, frozen, blurred, covered, off colour or moved ÷ camera-days",
            ),
        ),
        (
            "acknowledge",
            words(
                "从系统得知到首次有人确认或处置的用时，取中位数。事件按发生当日归入，31 天内的后续处置会更新当日数字；未处置的不计入用时",
                "Median time from when the node knew to when somebody first acknowledged it or did something. An incident counts on the day it was raised, also for what is done within 31 days; what was not done has no time",
            ),
        ),
        (
            "percentiles",
            words(
                "中位数与 95% 值取自全部事件，不由各室的中位数再平均：至少 50%（95%）的事件用时不超过它。10 分钟内精确到秒，一天内到分，更长到小时，均向上取整",
                "Median and p95 are of all incidents together, never of medians: the shortest time that at least 50 % (95 %) took no longer than. In whole seconds up to 10 minutes, minutes up to a day, hours beyond, rounded up",
            ),
        ),
        (
            "rank",
            words(
                "按未取整的数值比较，相同者并列；没有数据的不排名",
                "By exact values; equals share a rank; what has no value has none",
            ),
        ),
        (
            "sums",
            words(
                "上级数字为各监控室当日自报整数（微秒与次数）之和，与各室自己的报表逐位相等；缺报的日期逐一列出",
                "A centre's figures are the sums of the whole numbers that its rooms state of their days, and equal theirs to the last digit; days that a room did not state are named",
            ),
        ),
    ])
}
