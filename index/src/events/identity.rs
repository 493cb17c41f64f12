//! The door that identity does not pass (I14): who a person is, by face, name, document, telephone, plate or template.
//!
//! Two tests, because senders name things as they like. *By name*: an attribute whose name speaks of identity. *By shape*: a
//! value that looks like an identity whatever it is called: a Chinese identity number with a right check digit, a mobile
//! number, a number plate, a picture, a template of numbers. What is refused is never kept or logged; it is counted.

use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Numbers in a list from which on it is a template, not a measurement.
const TEMPLATE_NUMBERS: usize = 16;
/// Characters without a gap from which on a text is encoded data, not words.
const ENCODED_CHARS: usize = 96;

/// Why something is identity data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Identity {
    /// The attribute's name speaks of it.
    Name,
    /// An identity card's number.
    Document,
    /// A mobile telephone's number.
    Telephone,
    /// A number plate.
    Plate,
    /// A picture or other encoded data.
    Encoded,
    /// A list of numbers such as faces and gaits are compared by.
    Template,
}

impl Identity {
    /// Every reason.
    pub const ALL: [Self; 6] = [Self::Name, Self::Document, Self::Telephone, Self::Plate, Self::Encoded, Self::Template];

    /// A stable word for metrics and answers.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Name => "attribute_name",
            Self::Document => "identity_number",
            Self::Telephone => "telephone_number",
            Self::Plate => "number_plate",
            Self::Encoded => "encoded_data",
            Self::Template => "template",
        }
    }
}

/// How often identity was refused since start, by source and reason.
#[derive(Default, Debug)]
pub struct Refused(Mutex<BTreeMap<(&'static str, Identity), u64>>);

impl Refused {
    /// Counts one; `door` says where: `http`, `onvif`, `bookmark`.
    pub fn count(&self, door: &'static str, why: Identity) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((door, why)).or_default() += 1;
    }

    /// Door, reason, how often.
    #[must_use]
    pub fn all(&self) -> Vec<(&'static str, Identity, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|((door, why), count)| (*door, *why, *count)).collect()
    }
}

/// Words that alone make an attribute's name one of identity.
const WORDS: &[&str] = &[
    "face",
    "faces",
    "facial",
    "faceid",
    "plate",
    "plates",
    "licenseplate",
    "licenceplate",
    "platenumber",
    "lpr",
    "anpr",
    "alpr",
    "idcard",
    "idnumber",
    "idno",
    "passport",
    "identity",
    "citizen",
    "ssn",
    "biometric",
    "biometrics",
    "embedding",
    "embeddings",
    "template",
    "templates",
    "featurevector",
    "feature",
    "features",
    "descriptor",
    "fingerprint",
    "iris",
    "gait",
    "voiceprint",
    "phone",
    "telephone",
    "mobile",
    "msisdn",
    "imsi",
    "imei",
    "mac",
    "wechat",
    "openid",
    "watchlist",
    "blacklist",
    "whitelist",
    "ethnicity",
    "ethnic",
    "race",
    "religion",
    "gender",
    "sex",
    "age",
    "birthday",
    "birthdate",
    "surname",
    "forename",
    "firstname",
    "lastname",
    "fullname",
    "realname",
    "personname",
    "username",
    "nickname",
    "owner",
    "personid",
    "peopleid",
    "subjectid",
    "vin",
    "email",
];
/// Words that do so beside `name`, `id`, `no`, `number` or `code`.
const BEARERS: &[&str] = &[
    "person",
    "people",
    "human",
    "pedestrian",
    "driver",
    "suspect",
    "resident",
    "visitor",
    "employee",
    "staff",
    "student",
    "user",
    "subject",
    "vehicle",
    "license",
    "licence",
];
const LABELS: &[&str] = &["name", "id", "no", "number", "num", "code"];
/// The same in Chinese, anywhere in the name.
const CHINESE: &[&str] = &[
    "人脸",
    "面部",
    "姓名",
    "身份证",
    "证件",
    "护照",
    "车牌",
    "号牌",
    "手机",
    "电话",
    "特征",
    "模板",
    "指纹",
    "虹膜",
    "步态",
    "声纹",
    "民族",
    "性别",
    "年龄",
    "籍贯",
    "住址",
    "微信",
    "黑名单",
    "白名单",
    "布控",
    "车主",
];

/// Whether an item, as cameras name and fill it, says who somebody is: by its name, by the shape of its value, or because its
/// value is a class whose objects are identities.
#[must_use]
pub fn identity_in_item(name: &str, value: &str) -> Option<Identity> {
    let classes = matches!(name, "ClassTypes" | "Class" | "ObjectType" | "ObjectClass" | "Type");
    let class = || value.split([' ', ',', ';']).filter(|_| classes).find_map(in_name);
    in_name(name).or_else(class).or_else(|| in_text(value))
}

/// Whether an attribute's name speaks of identity.
#[must_use]
pub(super) fn in_name(name: &str) -> Option<Identity> {
    let words = words(name);
    let whole = words.concat();
    let alone = words.iter().chain([&whole]).any(|word| WORDS.contains(&word.as_str())) || whole == "name";
    let pair =
        words.iter().any(|word| BEARERS.contains(&word.as_str())) && words.iter().any(|word| LABELS.contains(&word.as_str()));
    let glued = BEARERS.iter().any(|bearer| whole.strip_prefix(bearer).is_some_and(|rest| LABELS.contains(&rest)));
    let chinese = CHINESE.iter().any(|word| name.contains(word));
    (alone || pair || glued || chinese).then_some(Identity::Name)
}

/// A name's words in lower case: `personName`, `person_name` and `Person-Name` are the same two.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && lower) {
            words.push(String::new());
        }
        lower = c.is_lowercase();
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a text has the shape of an identity anywhere in it.
#[must_use]
pub(super) fn in_text(text: &str) -> Option<Identity> {
    let chars: Vec<char> = text.chars().filter(|c| !matches!(c, '\u{200b}' | '\u{feff}')).map(narrow).collect();
    if longest_run(&chars) >= ENCODED_CHARS || text.contains("data:image") {
        return Some(Identity::Encoded);
    }
    for run in digit_runs(&chars) {
        if run.len() == 18 && is_identity_number(run) {
            return Some(Identity::Document);
        }
        let mobile = run.strip_prefix(&['8', '6']).filter(|rest| rest.len() == 11).unwrap_or(run);
        if mobile.len() == 11 && mobile[0] == '1' && ('3'..='9').contains(&mobile[1]) && mobile.iter().all(char::is_ascii_digit) {
            return Some(Identity::Telephone);
        }
    }
    has_plate(&chars).then_some(Identity::Plate)
}

/// Whether a JSON value holds one.
#[must_use]
pub(super) fn in_value(value: &Value) -> Option<Identity> {
    match value {
        Value::String(text) => in_text(text),
        Value::Number(number) => in_text(&number.to_string()),
        Value::Array(items) if items.len() >= TEMPLATE_NUMBERS && items.iter().all(Value::is_number) => Some(Identity::Template),
        Value::Array(items) => items.iter().find_map(in_value),
        Value::Object(fields) => fields.iter().find_map(|(name, value)| {
            // A class names what was seen: `Face` and `LicensePlate` are classes whose objects are identities.
            let class = value.as_str().filter(|_| name.eq_ignore_ascii_case("class")).and_then(in_name);
            in_name(name).or(class).or_else(|| in_value(value))
        }),
        Value::Null | Value::Bool(_) => None,
    }
}

/// Full-width letters and digits as plain ones, letters in upper case.
fn narrow(c: char) -> char {
    let plain = match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    };
    plain.to_ascii_uppercase()
}

/// The longest run of what base64 and hexadecimal are made of.
fn longest_run(chars: &[char]) -> usize {
    let coded = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '_');
    chars.split(|c| !coded(c)).map(<[char]>::len).max().unwrap_or(0)
}

/// Runs of digits, with a last X, that no further letter or digit touches.
fn digit_runs(chars: &[char]) -> impl Iterator<Item = &[char]> {
    chars.split(|c| !c.is_ascii_alphanumeric()).filter(|run| {
        run.split_last()
            .is_some_and(|(last, rest)| rest.iter().all(char::is_ascii_digit) && (last.is_ascii_digit() || *last == 'X'))
    })
}

/// GB 11643: the last of 18 is a check digit, and 7 to 14 are a birthday.
fn is_identity_number(run: &[char]) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    const CHECKS: [char; 11] = ['1', '0', 'X', '9', '8', '7', '6', '5', '4', '3', '2'];
    let digits: Vec<u32> = run[..17].iter().filter_map(|c| c.to_digit(10)).collect();
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(digit, weight)| digit * weight).sum();
    let month = digits.get(10).zip(digits.get(11)).map(|(tens, ones)| tens * 10 + ones);
    digits.len() == 17 && CHECKS[(sum % 11) as usize] == run[17] && month.is_some_and(|month| (1..=12).contains(&month))
}

/// GA 36: a province's character, a letter, an optional mark, five or six letters and digits with at least one digit.
fn has_plate(chars: &[char]) -> bool {
    const PROVINCES: &str = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使领";
    chars.windows(2).enumerate().any(|(at, pair)| {
        if !PROVINCES.contains(pair[0]) || !pair[1].is_ascii_uppercase() {
            return false;
        }
        let rest = chars[at + 2..].iter().skip_while(|c| matches!(c, '·' | '•' | '-' | '.' | ' '));
        let body: Vec<char> = rest.copied().take_while(|c| c.is_ascii_alphanumeric()).take(6).collect();
        body.len() >= 5 && body.iter().any(char::is_ascii_digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn attributes_that_speak_of_identity_are_refused_by_name() {
        for name in [
            "face",
            "FaceToken",
            "face_id",
            "personName",
            "person-id",
            "plateNumber",
            "license_plate",
            "idCard",
            "人脸特征",
            "车牌号",
            "驾驶员姓名",
            "featureVector",
            "embedding",
            "mobile",
            "name",
            "Gender",
            "driverid",
            "watchList",
        ] {
            assert_eq!(in_name(name), Some(Identity::Name), "{name}");
        }
        for name in
            ["rule", "rule_name", "direction", "likelihood", "object_id", "speed_kmh", "zone", "区域", "surface", "interface"]
        {
            assert_eq!(in_name(name), None, "{name}");
        }
    }

    #[test]
    fn values_that_are_identity_are_refused_whatever_they_are_called() {
        for (text, why) in [
            ("11010519491231002X", Identity::Document),
            ("证号：11010519491231002x。", Identity::Document),
            ("13912345678", Identity::Telephone),
            ("联系8613912345678", Identity::Telephone),
            ("苏F12345", Identity::Plate),
            ("苏F·AB12C", Identity::Plate),
            ("白色轿车苏ＦD12345离开", Identity::Plate),
            ("data:image/png;base64,AAAA", Identity::Encoded),
            (&"QUJD".repeat(40), Identity::Encoded),
        ] {
            assert_eq!(in_text(text), Some(why), "{text}");
        }
        for text in
            ["南门岗亭3号楼", "count 12", "110105194912310021", "苏州A区", "江苏F座", "2026-11-23 05:30", "12345678901234"]
        {
            assert_eq!(in_text(text), None, "{text}");
        }
        assert_eq!(in_value(&json!(vec![0.5; 16])), Some(Identity::Template));
        assert_eq!(in_value(&json!({"a": {"faceId": 1}})), Some(Identity::Name));
        assert_eq!(in_value(&json!(13_912_345_678_u64)), Some(Identity::Telephone));
        assert_eq!(in_value(&json!({"objects": [{"class": "LicensePlate"}]})), Some(Identity::Name));
        assert_eq!(in_value(&json!([0.1, 0.2, 0.9, 1.0])), None);
    }
}
