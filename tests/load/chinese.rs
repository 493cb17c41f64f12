//! `chinese`: what people type, and what they meant.
//!
//! The questions are made by the rules below and by hand (`chinese_queries.tsv`); which events answer one is worked out here
//! from the events' own texts, with a table of readings of our own, and not with anything that the index uses. Half of the
//! questions, by their place in the list, was looked at while the index was made; the other half is printed as `held_out`.
//!
//! - *word*: a piece of 2 to 6 characters of a name, a place, a kind or a sentence. Answer: the events that contain it.
//! - *slip*: a name of 4 characters or more with one character wrong, missing, too many or exchanged with its neighbour.
//!   Answer: the events that contain the name. Left out if what was typed stands in some event as it is.
//! - *homophone*: a name of 3 characters or more with one character replaced by one that sounds the same.
//! - *pinyin*, *initials*: a name's sound, from some character on. Answer: the events in which something sounds so.
//! - *place*: a community and a building, with and without a blank.
//! - *mixed*: two of the others, parted by a blank. Answer: the events that answer both.

use crate::{district::District, events::open, figures::Figures};
use anyhow::{Result, ensure};
use index::{
    events::{Event, Question, Reach},
    journal::Seq,
    model::{UtcMicros, Window},
};
use std::collections::{BTreeMap, BTreeSet};

const EVENTS: usize = 4_000;
const EACH: usize = 50;
const BY_HAND: &str = include_str!("chinese_queries.tsv");
const READINGS: &str = "东dong苑yuan西xi南nan园yuan北bei濠hao桥qiao文wen峰feng虹hong学xue田tian任ren港gang新xin城cheng和he平ping易yi家jia\
    段duan坝ba社she区qu村cun花hua门men岗gang亭ting地di下xia车che库ku入ru口kou出chu儿er童tong乐le健jian身shen广guang场chang垃la圾ji\
    分fen类lei点dian快kuai递di柜gui电dian动dong充chong棚peng梯ti厅ting单dan元yuan楼lou顶ding台tai沿yan河he步bu道dao配pei房fang\
    消xiao防fang通tong菜cai公gong交jiao站zhan主zhu干gan路lu号hao";
/// Characters, and ones that sound the same.
const HOMOPHONES: [(char, char); 14] = [
    ('岗', '港'),
    ('亭', '停'),
    ('苑', '院'),
    ('峰', '风'),
    ('桥', '乔'),
    ('园', '圆'),
    ('库', '裤'),
    ('道', '到'),
    ('场', '厂'),
    ('门', '们'),
    ('文', '闻'),
    ('柜', '贵'),
    ('台', '抬'),
    ('房', '防'),
];
const WRONG: [char; 10] = ['王', '石', '木', '火', '土', '山', '水', '白', '黑', '红'];

/// What an event can be found by, as people see it.
struct Seen {
    /// Place, name, kind, sentence: Chinese and English.
    fields: Vec<String>,
    /// How place and name sound: syllables of each.
    sounds: Vec<Vec<String>>,
}

/// What must hold of an event for it to answer.
#[derive(Clone)]
enum Means {
    Contains(String),
    Sounds(String),
    Initials(String),
    Either(Vec<Means>),
    All(Vec<Means>),
}

impl Means {
    fn holds(&self, seen: &Seen) -> bool {
        match self {
            Self::Contains(text) => seen.fields.iter().any(|field| field.contains(text.as_str())),
            Self::Sounds(sound) => begins(seen, |rest| rest.concat().starts_with(sound.as_str())),
            Self::Initials(letters) => begins(seen, |rest| {
                let initials: String =
                    rest.iter().map(|s| if s.starts_with(|c: char| c.is_ascii_digit()) { s.as_str() } else { &s[..1] }).collect();
                initials.starts_with(letters.as_str())
            }),
            Self::Either(ways) => ways.iter().any(|way| way.holds(seen)),
            Self::All(ways) => ways.iter().all(|way| way.holds(seen)),
        }
    }
}

fn begins(seen: &Seen, test: impl Fn(&[String]) -> bool) -> bool {
    seen.sounds.iter().any(|syllables| (0..syllables.len()).any(|from| test(&syllables[from..])))
}

/// A question and its answer.
struct Labelled {
    class: &'static str,
    text: String,
    means: Means,
}

fn readings() -> BTreeMap<char, String> {
    let mut readings = BTreeMap::new();
    let mut last = None;
    for c in READINGS.chars() {
        if c.is_ascii() {
            if let Some(han) = last {
                readings.entry(han).or_insert_with(String::new).push(c);
            }
        } else {
            last = Some(c);
        }
    }
    readings
}

fn syllables(text: &str, readings: &BTreeMap<char, String>) -> Vec<String> {
    let mut syllables: Vec<String> = Vec::new();
    let mut digits = false;
    for c in text.chars() {
        match syllables.last_mut() {
            Some(last) if digits && c.is_ascii_digit() => last.push(c),
            _ => syllables.push(readings.get(&c).cloned().unwrap_or_else(|| c.to_string())),
        }
        digits = c.is_ascii_digit();
    }
    syllables
}

fn see(event: &Event, readings: &BTreeMap<char, String>) -> Seen {
    let place = event.place.concat();
    let fields = [
        format!("{place}{}", event.name),
        event.kind.name().0.into(),
        event.kind.name().1.into(),
        event.text.zh.clone(),
        event.text.en.clone(),
    ];
    let sounds = event.place.iter().chain([&event.name]).map(|part| syllables(part, readings)).collect();
    Seen { fields: fields.to_vec(), sounds }
}

/// `tests/measure chinese`.
pub(crate) fn chinese() -> Result<()> {
    let folder = std::env::current_dir()?.join(".cache/measure/chinese");
    let _ = std::fs::remove_dir_all(&folder);
    let (journal, events) = open(&folder)?;
    let readings = readings();
    let mut district = District::new(3);
    let now = UtcMicros::now().as_micros();
    let mut all: BTreeMap<Seq, Seen> = BTreeMap::new();
    for n in 0..EVENTS {
        let event = district.event(UtcMicros::from_micros(now - (EVENTS - n) as i64 * 1_000_000));
        let seen = see(&event, &readings);
        all.insert(journal.append(event.into_record(UtcMicros::from_micros(now))).wait()?, seen);
    }
    ensure!(events.wait_indexed(journal.tail(), std::time::Duration::from_secs(600)), "the index does not follow");
    let labelled = labelled(&mut district, &all, &readings);
    ensure!(labelled.len() >= 300, "only {} questions have an answer", labelled.len());
    let month = Window::new(UtcMicros::from_micros(now - 30 * 86_400_000_000), UtcMicros::from_micros(now + 86_400_000_000));
    let mut scores: BTreeMap<(bool, &str), Vec<(f64, f64)>> = BTreeMap::new();
    for (n, asked) in labelled.iter().enumerate() {
        let wanted: BTreeSet<Seq> = all.iter().filter(|(_, seen)| asked.means.holds(seen)).map(|(seq, _)| *seq).collect();
        let mut found = Vec::new();
        let mut before = None;
        loop {
            let question = Question { text: asked.text.clone(), before, limit: 500, ..Question::new(Reach::Everything, month) };
            let answer = events.ask(&question)?;
            found.extend(answer.events.iter().map(|kept| kept.seq));
            before = answer.next;
            if before.is_none() {
                break;
            }
        }
        let first = &found[..found.len().min(10)];
        let right = first.iter().filter(|seq| wanted.contains(seq)).count();
        let precision = if first.is_empty() { 0.0 } else { right as f64 / first.len() as f64 };
        let recall = found.iter().filter(|seq| wanted.contains(seq)).count() as f64 / wanted.len() as f64;
        if precision < 1.0 || recall < 1.0 {
            eprintln!(
                "{} {:?}: precision {precision:.2}, recall {recall:.2} of {}, found {}",
                asked.class,
                asked.text,
                wanted.len(),
                found.len()
            );
        }
        for class in [asked.class, ""] {
            scores.entry((n % 2 == 1, class)).or_default().push((precision, recall));
        }
    }
    let mut figures = Figures::default();
    figures.add("questions", labelled.len() as f64, "questions");
    for ((held_out, class), scores) in &scores {
        let prefix = if *held_out { "held_out_" } else { "" };
        let suffix = if class.is_empty() { String::new() } else { format!("_{class}") };
        let mean = |part: fn(&(f64, f64)) -> f64| scores.iter().map(part).sum::<f64>() / scores.len() as f64;
        figures.add(&format!("{prefix}precision_at_10{suffix}"), mean(|score| score.0), "");
        figures.add(&format!("{prefix}recall{suffix}"), mean(|score| score.1), "");
    }
    figures.finish();
    events.close();
    let _ = std::fs::remove_dir_all(&folder);
    Ok(())
}

fn labelled(district: &mut District, all: &BTreeMap<Seq, Seen>, readings: &BTreeMap<char, String>) -> Vec<Labelled> {
    let mut asked: Vec<Labelled> = Vec::new();
    let answered = |means: &Means| all.values().any(|seen| means.holds(seen));
    let stands = |text: &str| all.values().any(|seen| Means::Contains(text.into()).holds(seen));
    let pieces: Vec<String> = all
        .values()
        .flat_map(|seen| [seen.fields[0].clone(), seen.fields[1].clone(), seen.fields[3].clone()])
        .filter(|f| !f.is_empty())
        .collect();
    for class in ["word", "slip", "homophone", "pinyin", "initials", "place", "mixed"] {
        let before = asked.len();
        for _ in 0..100 * EACH {
            if asked.len() - before >= EACH {
                break;
            }
            let Some((text, means)) = one(class, district, &pieces, readings) else { continue };
            let slipped = matches!(class, "slip" | "homophone");
            let new = asked.iter().all(|other| other.text != text);
            if new && answered(&means) && !(slipped && stands(&text)) {
                asked.push(Labelled { class, text, means });
            }
        }
    }
    for line in BY_HAND.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (text, wanted) = line.split_once('\t').unwrap_or((line, line));
        let term = |part: &str| Means::Either(part.split('|').map(|way| Means::Contains(way.trim().to_owned())).collect());
        let means = Means::All(wanted.split('&').map(term).collect());
        if answered(&means) {
            asked.push(Labelled { class: "by_hand", text: text.to_owned(), means });
        }
    }
    asked
}

/// A question of a class; `None` if the dice gave none.
fn one(class: &str, district: &mut District, pieces: &[String], readings: &BTreeMap<char, String>) -> Option<(String, Means)> {
    let (place, name) = District::camera(1 + district.below(12_999));
    let name: String = name.chars().filter(|c| !c.is_ascii_digit()).collect();
    let source = if district.below(2) == 0 { name.clone() } else { place[0].clone() };
    let chars: Vec<char> = source.chars().collect();
    match class {
        "word" => {
            let piece: Vec<char> = district.one(pieces).chars().collect();
            let length = 2 + district.below(5) as usize;
            let from = district.below(piece.len() as u32) as usize;
            let text: String = piece.get(from..from + length)?.iter().collect();
            let plain = text.chars().all(|c| !c.is_ascii() && c.is_alphabetic());
            plain.then(|| (text.clone(), Means::Contains(text)))
        }
        "slip" if chars.len() >= 4 => {
            let mut typed = chars.clone();
            let at = district.below(chars.len() as u32) as usize;
            match district.below(4) {
                0 => typed[at] = *district.one(&WRONG),
                1 => drop(typed.remove(at)),
                2 => typed.insert(at, *district.one(&WRONG)),
                _ => typed.swap(at.max(1), at.max(1) - 1),
            }
            Some((typed.into_iter().collect(), Means::Contains(source)))
        }
        "homophone" if chars.len() >= 3 => {
            let (right, wrong) = HOMOPHONES.into_iter().find(|(right, _)| chars.contains(right))?;
            Some((source.replacen(right, &wrong.to_string(), 1), Means::Contains(source)))
        }
        "pinyin" | "initials" => {
            let from = district.below(chars.len() as u32 - 1) as usize;
            let rest: String = chars[from..].iter().collect();
            let syllables = syllables(&rest, readings);
            if class == "pinyin" {
                let sound = syllables.concat();
                return Some((sound.clone(), Means::Sounds(sound)));
            }
            let letters: String = syllables.iter().map(|syllable| &syllable[..1]).collect();
            (letters.len() >= 3).then(|| (letters.clone(), Means::Initials(letters)))
        }
        "place" => {
            let blank = if district.below(2) == 0 { " " } else { "" };
            let both = [place[0].clone(), place[1].clone()];
            let means = if blank.is_empty() {
                vec![Means::Contains(both.concat())]
            } else {
                both.iter().cloned().map(Means::Contains).collect()
            };
            // 3号楼 stands in 13号楼 too, as text; nobody who types it means that, and neither does the index.
            let exact = |means: Means| Means::All(vec![means, Means::Sounds(syllables(&place[1], readings).concat())]);
            Some((both.join(blank), exact(Means::All(means))))
        }
        "mixed" => {
            let kinds = ["word", "pinyin", "initials", "homophone"];
            let (a, b) = (*district.one(&kinds), *district.one(&kinds));
            let first = one(a, district, pieces, readings)?;
            let second = one(b, district, pieces, readings)?;
            Some((format!("{} {}", first.0, second.0), Means::All(vec![first.1, second.1])))
        }
        _ => None,
    }
}
