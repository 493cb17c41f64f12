//! Small files that are there whole after a power cut, or as they were before.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Why a small file could not be read or replaced.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {path}", path = path.display())]
pub struct FileError {
    /// What was tried.
    pub doing: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Replaces a file's content. The order is what makes it safe: the new bytes are durable under another name before the
/// name moves, and the move is durable before this returns.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let failed = |doing| move |source| FileError { doing, path: path.to_owned(), source };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let draft = path.with_file_name(name);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("replace")(error)),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(mode).open(&draft).map_err(failed("replace"))?;
    file.write_all(bytes).map_err(failed("write"))?;
    file.sync_all().map_err(failed("sync"))?;
    fs::rename(&draft, path).map_err(failed("rename"))?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed("sync the directory of"))
}

/// A file's content; `None` if there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError { doing: "read", path: path.to_owned(), source }),
    }
}

/// What a document begins with that carries its checksum.
const SUM: &str = "{\"checksum\":\"crc32c:";
const CONTENT: &str = "\",\"content\":";

/// A JSON document around `content`, which is one too, with the CRC32C of its bytes in front: a bit that flips at rest is seen, and a
/// person can read it all the same.
pub(crate) fn with_checksum(content: &[u8]) -> Vec<u8> {
    let mut out = format!("{SUM}{:08x}{CONTENT}", crc32c::crc32c(content)).into_bytes();
    out.extend_from_slice(content);
    out.extend_from_slice(b"}\n");
    out
}

/// The content of a document, if it is what was written. One without a checksum, of an earlier version, is given as it is. `None` if it
/// is damaged.
pub(crate) fn checked(document: &[u8]) -> Option<&[u8]> {
    let Some(rest) = document.strip_prefix(SUM.as_bytes()) else { return Some(document) };
    let (sum, rest) = rest.split_at_checked(8)?;
    let content = rest.strip_prefix(CONTENT.as_bytes())?.strip_suffix(b"}\n")?;
    (format!("{:08x}", crc32c::crc32c(content)).as_bytes() == sum).then_some(content)
}

/// Reads a document of [`with_checksum`], or one of an earlier version. The error is a sentence.
pub(crate) fn read_checked<T: serde::de::DeserializeOwned>(document: &[u8]) -> Result<T, String> {
    let content = checked(document).ok_or("its checksum does not match")?;
    serde_json::from_slice(content).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_with_a_checksum_is_json_and_no_flipped_bit_of_it_is_read_as_another_content() {
        let content: std::collections::BTreeMap<String, u64> = [("begun".to_owned(), 17), ("ended".to_owned(), 40)].into();
        let document = with_checksum(&serde_json::to_vec_pretty(&content).expect("it is JSON"));
        let whole: serde_json::Value = serde_json::from_slice(&document).expect("the whole is JSON too");
        assert_eq!(whole["content"]["begun"], 17);
        assert_eq!(read_checked(&document), Ok(content.clone()));
        assert_eq!(read_checked(&serde_json::to_vec(&content).expect("it is JSON")), Ok(content.clone()), "an earlier version");
        for bit in 0..document.len() * 8 {
            let mut flipped = document.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let read: Result<std::collections::BTreeMap<String, u64>, _> = read_checked(&flipped);
            assert!(read.is_err(), "bit {bit}: {read:?}");
        }
    }
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_whole_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("people.json");
        assert_eq!(read(&path).expect("readable"), None);
        fs::write(dir.path().join("people.json.new"), "what a crash left").expect("writable");
        for text in ["first", "second"] {
            replace(&path, text.as_bytes(), 0o600).expect("replaced");
            assert_eq!(read(&path).expect("readable").as_deref(), Some(text.as_bytes()));
        }
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 1);
    }
}
