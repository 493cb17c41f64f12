//! A report to take away: a table for spreadsheets, and a page to print. Pure: a report in, text out. Names come from other nodes, so
//! nothing of them is markup, and no cell begins a formula.

use super::body::{IncidentsBody, ReportBody, RowBody, TookBody};
use crate::refusal::Words;
use index::model::UtcMicros;

/// Columns: zh, en, and the value of a row.
type Column = (&'static str, &'static str, fn(&RowBody) -> String);

const COLUMNS: [Column; 19] = [
    ("天数", "days", |row| row.days.to_string()),
    ("其中未结束", "of these under way", |row| row.running.to_string()),
    ("缺报日期", "days missing", |row| row.missing.join(" ")),
    ("摄像机日数", "camera-days", |row| row.figures.cameras.to_string()),
    ("应录(秒)", "expected (s)", |row| seconds(row.figures.expected_us)),
    ("已录(秒)", "recorded (s)", |row| seconds(row.figures.recorded_us)),
    ("录像完整率", "completeness", |row| number(row, "completeness")),
    ("完整率名次", "rank by completeness", |row| rank(row, "completeness")),
    ("在线率", "online rate", |row| number(row, "online")),
    ("在线率名次", "rank by online rate", |row| rank(row, "online")),
    ("保存达标率", "retention achieved", |row| number(row, "retention")),
    ("保存不足(路·日)", "camera-days kept short", |row| row.figures.short.to_string()),
    ("画面故障", "picture faults", |row| row.figures.all_faults().to_string()),
    ("故障时长(秒)", "time faulty (s)", |row| seconds(row.figures.faulty_us)),
    ("事件", "incidents", |row| row.all.raised.to_string()),
    ("确认 中位/95%(秒)", "acknowledged, median/p95 (s)", |row| took(&row.all.acknowledge)),
    ("到场 中位/95%(秒)", "arrived, median/p95 (s)", |row| took(&row.all.arrive)),
    ("关闭 中位/95%(秒)", "closed, median/p95 (s)", |row| took(&row.all.close)),
    ("确认名次", "rank by acknowledgement", |row| rank(row, "acknowledge")),
];

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn number(row: &RowBody, measure: &str) -> String {
    row.values.get(measure).map_or_else(String::new, |value| format!("{value:.6}"))
}

fn rank(row: &RowBody, measure: &str) -> String {
    row.ranks.get(measure).map_or_else(String::new, ToString::to_string)
}

fn took(of: &TookBody) -> String {
    match (of.median_s, of.p95_s) {
        (Some(median), Some(p95)) => format!("{median} / {p95}"),
        _ => String::new(),
    }
}

/// A cell of a table: quoted, and never a formula, whatever a node calls itself.
fn cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

/// The language of what is printed.
#[derive(Clone, Copy)]
struct Tongue {
    english: bool,
}

impl Tongue {
    fn says(self, zh: &'static str, en: &'static str) -> &'static str {
        if self.english { en } else { zh }
    }

    fn of(self, words: &Words) -> &str {
        if self.english { &words.en } else { &words.zh }
    }

    fn name(self, row: &RowBody) -> &str {
        if row.node.is_some() { &row.name } else { self.says("合计", "All") }
    }
}

/// The report as CSV (RFC 4180), with the mark by which spreadsheets know UTF-8.
pub(super) fn csv(report: &ReportBody, english: bool) -> String {
    let tongue = Tongue { english };
    let first = [("起", "from"), ("止", "to"), ("节点编号", "node"), ("名称", "name")];
    let heads = first.into_iter().chain(COLUMNS.iter().map(|(zh, en, _)| (*zh, *en)));
    let mut lines: Vec<String> = vec![heads.map(|(zh, en)| cell(tongue.says(zh, en))).collect::<Vec<_>>().join(",")];
    for period in &report.periods {
        for row in period.rows.iter().chain([&period.total]) {
            let node = row.node.as_deref().unwrap_or_default();
            let mut cells = vec![cell(&period.from), cell(&period.to), cell(node), cell(tongue.name(row))];
            cells.extend(COLUMNS.iter().map(|(_, _, value)| cell(&value(row))));
            lines.push(cells.join(","));
        }
    }
    format!("\u{feff}{}\r\n", lines.join("\r\n"))
}

/// Text as it may stand between tags and in attributes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}

/// The definitions in the order that they are read, with what each is called.
const TERMS: [(&str, &str, &str); 8] = [
    ("录像完整率", "Completeness", "completeness"),
    ("在线率", "Online rate", "online"),
    ("保存达标率", "Retention", "retention"),
    ("画面故障", "Picture faults", "faults"),
    ("确认用时", "Acknowledged", "acknowledge"),
    ("中位与 95%", "Median, p95", "percentiles"),
    ("名次", "Rank", "rank"),
    ("汇总", "Sums", "sums"),
];

/// The report as a page to print.
pub(super) fn html(report: &ReportBody, english: bool, who: &str) -> String {
    let tongue = Tongue { english };
    let says = |zh, en| tongue.says(zh, en);
    let title = escaped(&format!("{} {} – {}", says("运行报表", "Report"), report.from, report.to));
    let mut page = format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <link rel=\"stylesheet\" href=\"/api/v1/reports.css\"></head><body><h1>{} · {title}</h1>",
        says("zh-CN", "en"),
        escaped(&report.name),
    );
    page += &format!(
        "<p class=\"dim\">{} {} · {} {} · {} {}</p>",
        says("生成于", "Made at"),
        escaped(&local(UtcMicros::from_micros(report.as_of_us), &report.zone)),
        says("时区", "time zone"),
        escaped(&report.zone),
        says("取用人", "taken out by"),
        escaped(who),
    );
    for period in &report.periods {
        let name = if period.from == period.to { period.from.clone() } else { format!("{} – {}", period.from, period.to) };
        page += &format!("<h2>{}</h2>", escaped(&name));
        page += &nodes(&period.rows, &period.total, tongue);
        // What all together lack is what the rows lack.
        let rows: Vec<&RowBody> = if period.rows.is_empty() { vec![&period.total] } else { period.rows.iter().collect() };
        for row in rows.into_iter().filter(|row| !row.missing.is_empty()) {
            let missing = escaped(&row.missing.join(", "));
            page += &format!("<p class=\"short\">{} {}: {missing}</p>", escaped(tongue.name(row)), says("缺报", "did not state"));
        }
        if period.total.running > 0 {
            let so_far = says("含尚未结束的一天，数字截至生成时", "A day that is not over is in it, as far as it has come");
            page += &format!("<p class=\"dim\">{so_far}</p>");
        }
        page += &kinds(&period.total, report, tongue);
    }
    page += &format!("<h2>{}</h2><dl>", says("指标定义", "What the figures mean"));
    for (zh, en, name) in TERMS {
        if let Some(words) = report.definitions.get(name) {
            page += &format!("<dt>{}</dt><dd>{}</dd>", says(zh, en), escaped(tongue.of(words)));
        }
    }
    page + "</dl></body></html>\n"
}

fn line(cells: &[String]) -> String {
    let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
    format!("<tr>{cells}</tr>")
}

fn head(names: &[&str]) -> String {
    let names: String = names.iter().map(|name| format!("<th scope=\"col\">{name}</th>")).collect();
    format!("<thead><tr>{names}</tr></thead>")
}

fn nodes(rows: &[RowBody], total: &RowBody, tongue: Tongue) -> String {
    let says = |zh, en| tongue.says(zh, en);
    let heads = [
        says("名称", "Name"),
        says("完整率", "Completeness"),
        says("名次", "Rank"),
        says("在线率", "Online"),
        says("名次", "Rank"),
        says("保存达标", "Retention"),
        says("不足(路·日)", "Kept short"),
        says("画面故障", "Picture faults"),
        says("事件", "Incidents"),
        says("确认 中位/95%", "Acknowledged, median/p95"),
        says("到场 中位/95%", "Arrived, median/p95"),
        says("关闭 中位/95%", "Closed, median/p95"),
    ];
    let of = |row: &RowBody| {
        line(&[
            tongue.name(row).to_owned(),
            percent(row, "completeness"),
            rank(row, "completeness"),
            percent(row, "online"),
            rank(row, "online"),
            percent(row, "retention"),
            row.figures.short.to_string(),
            row.figures.all_faults().to_string(),
            row.all.raised.to_string(),
            spoken(&row.all.acknowledge),
            spoken(&row.all.arrive),
            spoken(&row.all.close),
        ])
    };
    let body: String = rows.iter().map(of).collect();
    format!("<table>{}<tbody>{body}</tbody><tfoot>{}</tfoot></table>", head(&heads), of(total))
}

fn kinds(row: &RowBody, report: &ReportBody, tongue: Tongue) -> String {
    let says = |zh, en| tongue.says(zh, en);
    if row.incidents.is_empty() {
        return format!("<p class=\"dim\">{}</p>", says("本期无事件", "No incidents"));
    }
    let heads = [
        says("事件类型", "Kind of incident"),
        says("数量", "Number"),
        says("确认 中位/95%", "Acknowledged, median/p95"),
        says("到场 中位/95%", "Arrived, median/p95"),
        says("关闭 中位/95%", "Closed, median/p95"),
    ];
    let of = |of: &IncidentsBody| {
        let kind = of.kind.as_deref().unwrap_or_default();
        let name = report.words.get(kind).map_or(kind, |words| tongue.of(words)).to_owned();
        line(&[name, of.raised.to_string(), spoken(&of.acknowledge), spoken(&of.arrive), spoken(&of.close)])
    };
    let body: String = row.incidents.iter().map(of).collect();
    format!("<table>{}<tbody>{body}</tbody></table>", head(&heads))
}

/// A share in percent, cut and not rounded: what is not whole never reads as 100 %.
fn percent(row: &RowBody, measure: &str) -> String {
    let cut = |value: &f64| format!("{:.2} %", (value * 10_000.0).floor() / 100.0);
    row.values.get(measure).map_or_else(|| "—".to_owned(), cut)
}

fn spoken(of: &TookBody) -> String {
    match (of.median_s, of.p95_s) {
        (Some(median), Some(p95)) => format!("{} / {}", clock(median), clock(p95)),
        _ => "—".to_owned(),
    }
}

/// Seconds as `m:ss`, or `h:mm:ss`.
fn clock(secs: u32) -> String {
    let (hours, minutes, secs) = (secs / 3600, secs / 60 % 60, secs % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{secs:02}") } else { format!("{minutes}:{secs:02}") }
}

fn local(at: UtcMicros, zone: &str) -> String {
    let zone = crate::days::zone(zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let at = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or_default().to_zoned(zone);
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_and_never_a_formula_and_a_name_is_never_markup() {
        assert_eq!(cell("东苑\"社区,一"), "\"东苑\"\"社区,一\"");
        for text in ["=cmd()", "+1", "-1", "@x"] {
            assert!(cell(text).starts_with("\"'"), "{text}");
        }
        assert_eq!(escaped("<img src=x onerror='a'>&\""), "&lt;img src=x onerror=&#39;a&#39;&gt;&amp;&quot;");
        assert_eq!(line(&["<b>".to_owned()]), "<tr><td>&lt;b&gt;</td></tr>");
    }

    #[test]
    fn times_and_sums_are_written_out_without_loss() {
        assert_eq!((clock(59), clock(3600), clock(86_400)), ("0:59".into(), "1:00:00".into(), "24:00:00".into()));
        assert_eq!(seconds(86_399_999_999), "86399.999999");
    }
}
