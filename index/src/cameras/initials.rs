//! Names as people type them in a hurry: `nmgt` finds 南门岗亭.

use pinyin::ToPinyin;

/// The first letters of a name's characters in pinyin; letters and digits stand for themselves in lower case, everything
/// else is left out. A character with several readings has its commonest, except where place names have another.
#[must_use]
pub fn initials(name: &str) -> String {
    name.chars().filter_map(initial).collect()
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
    }
}
