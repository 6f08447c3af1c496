//! Ledger files as bytes: JSON whose last member is the checksum of everything before it.
//!
//! A flipped bit in a number is still JSON, and a wrong number of rows or a wrong date makes a run trust or fetch the
//! wrong days. So every file says what its content has to hash to, and what does not match is damaged, not read. It
//! knows nothing of what is in the files but their `format_version`.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Error as JsonError;

use super::records::FORMAT_VERSION;
use crate::store::checksum as sha256;

/// What stands between the content and its checksum, and after it.
const BEFORE: &[u8] = b",\n  \"checksum\": \"";
const AFTER: &[u8] = b"\"\n}\n";
/// Characters of a SHA-256 in hexadecimal.
const CHECKSUM_LENGTH: usize = 64;

#[derive(serde::Deserialize)]
struct Version {
    format_version: u32,
}

/// Why a file's content is not used.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// Not JSON, or not what this file should say.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The content is not what was written.
    #[error("its content does not match its checksum")]
    Checksum,
    /// The end of the file is missing or was written by something else.
    #[error("it has no checksum")]
    Unsealed,
}

/// The bytes of a ledger file. `value` must become an object with at least one member.
pub(crate) fn seal<T: Serialize>(value: &T) -> Result<Vec<u8>, JsonError> {
    let mut content = serde_json::to_vec_pretty(value)?;
    content.truncate(content.trim_ascii_end().len().saturating_sub(1));
    content.truncate(content.trim_ascii_end().len());
    let checksum = checksum(&content);
    for part in [BEFORE, checksum.as_bytes(), AFTER] {
        content.extend_from_slice(part);
    }
    Ok(content)
}

/// What a ledger file says, if every byte of it is as it was written.
///
/// A newer program may have another way to tell, so its files need no checksum of ours; they are never written over.
pub(crate) fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Damage> {
    match sealed_content(bytes) {
        _ if newer_version(bytes).is_some() => Ok(serde_json::from_slice(bytes)?),
        Some((content, expected)) if checksum(content).as_bytes() != expected => Err(Damage::Checksum),
        Some(_) => Ok(serde_json::from_slice(bytes)?),
        None => Err(serde_json::from_slice::<T>(bytes).err().map_or(Damage::Unsealed, Damage::Json)),
    }
}

fn checksum(content: &[u8]) -> String {
    sha256(content)
}

/// The version of a file that a newer program wrote.
pub(crate) fn newer_version(bytes: &[u8]) -> Option<u32> {
    let version = serde_json::from_slice::<Version>(bytes).ok()?.format_version;
    (version > FORMAT_VERSION).then_some(version)
}

/// The content and its checksum, where the file ends the way this program ends it.
fn sealed_content(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_suffix(AFTER)?;
    let (rest, checksum) = rest.split_at_checked(rest.len().checked_sub(CHECKSUM_LENGTH)?)?;
    Some((rest.strip_suffix(BEFORE)?, checksum))
}

/// What must hold for the bytes of a ledger file: see `fuzzing`.
///
/// The bytes are read as a file of each kind, and as edits of a sound file: three bytes each, a place and a new value.
#[cfg(any(test, feature = "fuzzing"))]
pub fn fuzz(bytes: &[u8]) {
    use super::records::{PartitionsFile, PendingFile, RunRecord, VersionFile};

    const SOUND: &[u8] =
        br#"{"table":"t","date":"2026-11-01","rows":5,"bytes":900,"sha256":"ab","sums":{"clicks":"12"},
        "run_id":"r","pulled_at":"2026-11-02T03:04:05Z","calls":1,"status":"final"}"#;

    fn check<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
        let Ok(value) = unseal::<T>(bytes) else { return };
        let sealed = seal(&value).expect("what was read can be written");
        let again: T = unseal(&sealed).expect("what was written can be read");
        assert_eq!(seal(&again).expect("and again"), sealed);
        assert!(newer_version(bytes).is_some() || sealed_content(bytes).is_some(), "believed without a checksum");
    }
    check::<VersionFile>(bytes);
    check::<PartitionsFile>(bytes);
    check::<PendingFile>(bytes);
    check::<RunRecord>(bytes);

    let record: serde_json::Value = serde_json::from_slice(SOUND).expect("JSON");
    let partitions = serde_json::json!({"format_version": FORMAT_VERSION, "partitions": {"2026-11-01": record}});
    let sound: PartitionsFile = serde_json::from_value(partitions).expect("a file of partitions");
    let sound = seal(&sound).expect("sealed");
    let mut edited = sound.clone();
    let (edits, _) = bytes.as_chunks::<3>();
    for [high, low, value] in edits {
        let place = usize::from(u16::from_be_bytes([*high, *low]));
        let length = edited.len();
        match place / length % 3 {
            0 => edited[place % length] = *value,
            1 => edited.insert(place % length, *value),
            _ if length > 1 => drop(edited.remove(place % length)),
            _ => {}
        }
    }
    if let Ok(believed) = unseal::<PartitionsFile>(&edited)
        && newer_version(&edited).is_none()
    {
        assert_eq!(seal(&believed).expect("sealed"), sound, "a changed ledger was believed");
    }
}
