//! Names as people type them in a hurry: `nmgt` finds 南门岗亭.

use pinyin::ToPinyin;
use std::borrow::Cow;

/// The first letters of a name's characters in pinyin; letters and digits stand for themselves in lower case, everything
/// else is left out. A character with several readings has its commonest, except where place names have another.
#[must_use]
pub fn initials(name: &str) -> String {
    name.chars().filter_map(initial).collect()
}

/// A name in pinyin without tones: `nanmengangting` for 南门岗亭. Letters and digits stand for themselves in lower case, everything else
/// is left out.
#[must_use]
pub fn pinyin(name: &str) -> String {
    name.chars().filter_map(syllable).collect()
}

fn syllable(c: char) -> Option<Cow<'static, str>> {
    Some(match c {
        '厦' => "xia".into(),
        '重' => "chong".into(),
        '长' => "chang".into(),
        _ if c.is_ascii_alphanumeric() => c.to_ascii_lowercase().to_string().into(),
        _ => c.to_pinyin()?.plain().replace('ü', "v").into(),
    })
}

fn initial(c: char) -> Option<char> {
    // Readings that place names use and the dictionary puts second.
    let first = match c {
        '厦' => 'x',
        '重' => 'c',
        '长' => 'c',
        _ if c.is_ascii_alphanumeric() => c.to_ascii_lowercase(),
        _ => c.to_pinyin()?.first_letter().chars().next()?,
    };
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_their_initials() {
        for (name, letters) in [
            ("南门岗亭", "nmgt"),
            ("3号楼 东单元", "3hlddy"),
            ("濠河路/长桥 A2", "hhlcqa2"),
            ("East Gate", "eastgate"),
            ("——", ""),
        ] {
            assert_eq!(initials(name), letters, "{name}");
        }
        assert_eq!(pinyin("长桥 2号"), "changqiao2hao");
    }
}
