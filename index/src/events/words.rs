//! What a text can be found by: its characters in order, its words, and how it sounds.
//!
//! - *Characters*: each Chinese character at its place, and each pair of neighbours, so that any piece of a text is found
//!   as a phrase of pairs, whether or not a dictionary knows it. A run of letters or digits takes one place. Where a run of
//!   Chinese begins and ends is marked, so that a name can be asked for whole.
//! - *Words*: jieba's, in search mode; Latin letters in lower case and stemmed as English.
//! - *Short forms*: Chinese shortens a compound to a character of each word, 违规停车 to 违停; words have two characters as a
//!   rule, so the characters that stand two or three places apart are what such a form is made of.
//! - *Sound*: pinyin without tones and its initials, from every character on, so that the beginning of what somebody types
//!   (`nanmeng`, `nmgt`) meets the beginning of a token, wherever in the name it starts.
//!
//! Pure: the index and the questions to it read texts through the same functions.

use jieba_rs::Jieba;
use pinyin::ToPinyin;
use std::sync::LazyLock;
use tantivy::tokenizer::{Language, Stemmer, TextAnalyzer, TokenStream, WhitespaceTokenizer};

/// Characters of one text that are looked at.
const MAX_CHARS: usize = 1200;
/// Syllables of one sound token.
const MAX_SYLLABLES: usize = 10;

/// The dictionary, read at its first use: a quarter of a second and 33 MB.
static JIEBA: LazyLock<Jieba> = LazyLock::new(Jieba::new);

/// Stands at the place of the first character of a run of Chinese, beside it.
pub(super) const BEGINS: &str = "^";
/// The same at the last one.
pub(super) const ENDS: &str = "$";
/// How far apart characters of neighbouring words of two stand, if they are not neighbours.
const APART: [usize; 2] = [2, 3];

/// A piece of a text that takes one place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    /// A Chinese character.
    Han(char),
    /// A run of letters and digits, in lower case.
    Run(String),
    /// Whatever parts words.
    Gap,
}

/// What a text is found by.
#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Tokens {
    /// Characters, pairs and runs with their places.
    pub(super) places: Vec<(usize, String)>,
    /// Words.
    pub(super) words: Vec<String>,
    /// Pinyin from each character on.
    pub(super) pinyin: Vec<String>,
    /// Initials from each character on.
    pub(super) initials: Vec<String>,
}

/// The pieces of a text, in order.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for c in text.chars().take(MAX_CHARS).map(plain) {
        if is_han(c) {
            pieces.push(Piece::Han(c));
        } else if c.is_alphanumeric() {
            let glued = matches!(pieces.last(), Some(Piece::Run(run)) if same_kind(run, c));
            match pieces.last_mut() {
                Some(Piece::Run(run)) if glued => run.extend(c.to_lowercase()),
                _ => pieces.push(Piece::Run(c.to_lowercase().collect())),
            }
        } else if !matches!(pieces.last(), Some(Piece::Gap) | None) {
            pieces.push(Piece::Gap);
        }
    }
    pieces
}

/// Letters go with letters and digits with digits: `B2` is found by `b` and `2`, and by `b2` as a phrase.
fn same_kind(run: &str, c: char) -> bool {
    run.chars().next_back().is_some_and(|last| last.is_ascii_digit() == c.is_ascii_digit())
}

/// Everything a text is found by.
pub(super) fn tokens(text: &str) -> Tokens {
    let pieces = pieces(text);
    let mut tokens = Tokens::default();
    // What parts words takes no place: people type 东苑社区3号楼 for the third building of that community.
    let written: Vec<&Piece> = pieces.iter().filter(|piece| **piece != Piece::Gap).collect();
    for (place, piece) in written.iter().enumerate() {
        match piece {
            Piece::Han(c) => {
                tokens.places.push((place, c.to_string()));
                if let Some(Piece::Han(next)) = written.get(place + 1) {
                    tokens.places.push((place, format!("{c}{next}")));
                }
            }
            Piece::Run(run) => {
                tokens.places.push((place, run.clone()));
                tokens.words.push(stem(run));
            }
            Piece::Gap => {}
        }
    }
    mark_edges(&pieces, &mut tokens.places);
    for part in pieces.split(|piece| *piece == Piece::Gap) {
        sounds(part, &mut tokens);
    }
    let han: Vec<String> = han_runs(&pieces);
    for run in &han {
        let chars: Vec<char> = run.chars().collect();
        let apart = |by: usize| chars.iter().zip(chars.iter().skip(by)).map(|(a, b)| short_form(*a, *b)).collect::<Vec<_>>();
        tokens.words.extend(APART.into_iter().flat_map(apart));
    }
    tokens.words.extend(han.iter().flat_map(|run| JIEBA.cut_for_search(run, true)).map(|token| token.word.to_owned()));
    for list in [&mut tokens.words, &mut tokens.pinyin, &mut tokens.initials] {
        list.sort_unstable();
        list.dedup();
    }
    tokens
}

fn mark_edges(pieces: &[Piece], places: &mut Vec<(usize, String)>) {
    let mut place = 0;
    for run in pieces.chunk_by(|a, b| matches!((a, b), (Piece::Han(_), Piece::Han(_)))) {
        match run {
            [Piece::Gap] => continue,
            [Piece::Han(_), ..] => {
                places.push((place, BEGINS.to_owned()));
                places.push((place + run.len() - 1, ENDS.to_owned()));
            }
            _ => {}
        }
        place += run.len();
    }
    places.sort_by_key(|(place, _)| *place);
}

/// The token of two characters of which each stands for its word.
pub(super) fn short_form(one: char, other: char) -> String {
    format!("{one}~{other}")
}

/// A run of Chinese in jieba's words, in order.
pub(super) fn cut(run: &str) -> Vec<String> {
    JIEBA.cut(run, true).into_iter().map(|token| token.word.to_owned()).collect()
}

/// The stem of an English word; other words stay as they are.
pub(super) fn stem(word: &str) -> String {
    static STEMMER: LazyLock<TextAnalyzer> =
        LazyLock::new(|| TextAnalyzer::builder(WhitespaceTokenizer::default()).filter(Stemmer::new(Language::English)).build());
    if !word.bytes().all(|b| b.is_ascii_lowercase()) {
        return word.to_owned();
    }
    let mut analyzer = STEMMER.clone();
    let mut stream = analyzer.token_stream(word);
    if stream.advance() { stream.token().text.clone() } else { word.to_owned() }
}

/// The runs of neighbouring Chinese characters.
pub(super) fn han_runs(pieces: &[Piece]) -> Vec<String> {
    let mut runs = vec![String::new()];
    for piece in pieces {
        match piece {
            Piece::Han(c) => runs.last_mut().into_iter().for_each(|run| run.push(*c)),
            _ => runs.push(String::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// How pieces sound, one after the other: `nanmengangting`.
pub(super) fn sound(pieces: &[Piece]) -> String {
    pieces.iter().filter_map(syllable).collect()
}

fn sounds(part: &[Piece], tokens: &mut Tokens) {
    let syllables: Vec<String> = part.iter().filter_map(syllable).collect();
    // A name in Latin letters alone has no other sound than its letters.
    if !part.iter().any(|piece| matches!(piece, Piece::Han(_))) {
        return;
    }
    for from in 0..syllables.len() {
        let rest = &syllables[from..syllables.len().min(from + MAX_SYLLABLES)];
        tokens.pinyin.push(rest.concat());
        let digits = |syllable: &String| syllable.starts_with(|c: char| c.is_ascii_digit());
        tokens.initials.push(rest.iter().map(|s| if digits(s) { s.as_str() } else { s.get(..1).unwrap_or(s) }).collect());
    }
}

fn syllable(piece: &Piece) -> Option<String> {
    match piece {
        Piece::Run(run) => Some(run.clone()),
        Piece::Gap => None,
        // Readings that place names use and the dictionary puts second.
        Piece::Han('厦') => Some("xia".to_owned()),
        Piece::Han('重') => Some("chong".to_owned()),
        Piece::Han('长') => Some("chang".to_owned()),
        Piece::Han(c) => Some(c.to_pinyin()?.plain().replace('ü', "v")),
    }
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}' | '\u{20000}'..='\u{323af}' | '\u{f900}'..='\u{faff}')
}

/// Full-width letters, digits and marks as plain ones.
fn plain(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{3000}' => ' ',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(list: &[String], word: &str) -> bool {
        list.iter().any(|have| have == word)
    }

    #[test]
    fn a_name_is_found_by_words_characters_pinyin_and_initials() {
        let tokens = tokens("东苑社区/3号楼 南门岗亭");
        assert!(has(&tokens.words, "岗亭") && has(&tokens.words, "社区"), "{:?}", tokens.words);
        assert!(has(&tokens.pinyin, "nanmengangting") && has(&tokens.pinyin, "gangting") && has(&tokens.pinyin, "3haolou"));
        assert!(has(&tokens.initials, "nmgt") && has(&tokens.initials, "dysq") && has(&tokens.initials, "3hl"));
        let places: Vec<usize> = ["南", "南门", "门岗"]
            .iter()
            .filter_map(|t| tokens.places.iter().find(|(_, have)| have == t))
            .map(|(at, _)| *at)
            .collect();
        assert_eq!(places[1], places[0]);
        assert_eq!(places[2], places[0] + 1);
    }

    #[test]
    fn a_name_has_edges_and_short_forms_and_neither_reaches_into_the_next() {
        let tokens = tokens("东苑社区/3号楼 违规停车7");
        let at = |mark: &str| tokens.places.iter().filter(|(_, have)| have == mark).map(|(at, _)| *at).collect::<Vec<_>>();
        assert_eq!((at(BEGINS), at(ENDS)), (vec![0, 5, 7], vec![3, 6, 10]));
        assert!(has(&tokens.words, "违~停") && has(&tokens.words, "违~车") && has(&tokens.words, "东~区"));
        assert!(!tokens.words.iter().any(|word| word.starts_with('楼') && word.contains('~')), "{:?}", tokens.words);
    }

    #[test]
    fn english_is_found_by_its_stems_and_width_does_not_matter() {
        let tokens = tokens("Line CROSSED by persons，Ｂ２");
        for word in ["line", "cross", "person", "b", "2"] {
            assert!(has(&tokens.words, word), "{word} in {:?}", tokens.words);
        }
        assert!(tokens.pinyin.is_empty(), "Latin letters are no pinyin");
    }
}
