//! Why somebody looks: a category and words that an auditor can check later (A2).

use serde::{Deserialize, Serialize};

/// The kinds of reason there are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// The watch itself: 值班巡查.
    Duty,
    /// Something happened: 事件处置.
    Incident,
    /// Somebody with a right to it asked: 依法调取.
    Request,
    /// A camera or the system is looked after: 设备维护.
    Maintenance,
    /// People are taught: 培训.
    Training,
}

/// A checked reason. Written into every access record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Purpose {
    category: Category,
    text: String,
    case: Option<String>,
}

/// Why a reason is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PurposeError {
    /// Nothing, or nothing but spaces and signs.
    #[error("the purpose is empty")]
    Blank,
    /// Fewer than 2 different letters or characters.
    #[error("the purpose is too short")]
    TooShort,
    /// More than 200 characters, or a case number of more than 64.
    #[error("the purpose is longer than 200 characters, or the case number longer than 64")]
    TooLong,
    /// The same again and again: `aaaa`, `abab`.
    #[error("the purpose repeats itself and says nothing")]
    Repeated,
    /// A word that people type to get past the field: `test`, `无`, `asdf`.
    #[error("the purpose says nothing that can be checked")]
    Empty,
}

impl PurposeError {
    /// A stable word for the API.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Blank => "purpose_blank",
            Self::TooShort => "purpose_too_short",
            Self::TooLong => "purpose_too_long",
            Self::Repeated => "purpose_repeated",
            Self::Empty => "purpose_says_nothing",
        }
    }
}

/// What people type into a mandatory field to be rid of it.
const EVASIONS: [&str; 24] = [
    "test",
    "testing",
    "tests",
    "asdf",
    "asdfgh",
    "qwer",
    "qwert",
    "qwerty",
    "zxcv",
    "abc",
    "abcd",
    "none",
    "null",
    "nothing",
    "na",
    "no",
    "xx",
    "ok",
    "测试",
    "无",
    "没有",
    "随便",
    "随便看看",
    "不知道",
];

impl Purpose {
    /// Checks a reason. Spaces around it are dropped.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn new(category: Category, text: &str, case: Option<&str>) -> Result<Self, PurposeError> {
        let text = text.trim();
        let case = case.map(str::trim).filter(|case| !case.is_empty());
        check_words(text)?;
        if text.chars().count() > 200 || case.is_some_and(|case| case.chars().count() > 64) {
            return Err(PurposeError::TooLong);
        }
        Ok(Self { category, text: text.to_owned(), case: case.map(str::to_owned) })
    }

    /// Which kind of reason.
    #[must_use]
    pub fn category(&self) -> Category {
        self.category
    }

    /// The reason in words, 2 to 200 characters.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The number of the case or document, if there is one; at most 64 characters.
    #[must_use]
    pub fn case(&self) -> Option<&str> {
        self.case.as_deref()
    }
}

fn check_words(text: &str) -> Result<(), PurposeError> {
    let core: Vec<char> = text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    if core.is_empty() {
        return Err(PurposeError::Blank);
    }
    // Digits do not make a reason; `123456` says as little as nothing.
    let letters: Vec<char> = core.iter().copied().filter(|c| c.is_alphabetic()).collect();
    let unit: String = shortest_period(&letters).iter().collect();
    if EVASIONS.contains(&unit.as_str()) {
        return Err(PurposeError::Empty);
    }
    if letters.len() >= 2 && unit.chars().count() < letters.len() {
        return Err(PurposeError::Repeated);
    }
    if letters.len() < 2 { Err(PurposeError::TooShort) } else { Ok(()) }
}

/// The shortest beginning that, repeated, makes the whole.
fn shortest_period(letters: &[char]) -> &[char] {
    let repeats =
        |period: &usize| letters.chunks(*period).all(|part| letters.starts_with(part)) && letters.len().is_multiple_of(*period);
    (1..letters.len()).find(repeats).map_or(letters, |period| &letters[..period])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), PurposeError> {
        Purpose::new(Category::Duty, text, None).map(drop)
    }

    #[test]
    fn a_reason_in_words_is_taken() {
        for text in [
            "值班巡查",
            "例行巡检 3 号楼",
            "巡查",
            " lost child at the east gate ",
            "Night watch",
            "查找走失老人 12:30",
            "x线机房",
        ] {
            assert_eq!(check(text), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn what_says_nothing_is_refused() {
        use PurposeError::{Blank, Empty, Repeated, TooLong, TooShort};
        for (text, why) in [
            ("", Blank),
            (" \t\n", Blank),
            ("。。。---", Blank),
            ("看", TooShort),
            ("1234567", TooShort),
            ("7号", TooShort),
            ("test", Empty),
            ("  TEST 1 ", Empty),
            ("testtest", Empty),
            ("测试", Empty),
            ("测试，测试", Empty),
            ("无", Empty),
            ("asdf", Empty),
            ("aaaaaaa", Repeated),
            ("看看看", Repeated),
            ("巡查巡查", Repeated),
            ("哈1哈2哈3", Repeated),
            (&"巡查南门".repeat(51).replace("门", "门东"), Repeated),
            (&format!("巡{}", "x".repeat(200)), TooLong),
        ] {
            assert_eq!(check(text), Err(why), "{text:?}");
        }
    }

    #[test]
    fn a_case_number_is_optional_and_bounded() {
        let case = |case| Purpose::new(Category::Request, "派出所调取", Some(case)).map(|p| p.case().map(str::to_owned));
        assert_eq!(case(" 通公调〔2026〕17号 "), Ok(Some("通公调〔2026〕17号".into())));
        assert_eq!(case("  "), Ok(None));
        assert_eq!(case(&"7".repeat(65)), Err(PurposeError::TooLong));
    }
}
