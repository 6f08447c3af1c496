//! Secrets: text that cannot be printed, and the files that hold it.
//!
//! A secret is a [`SecretString`]: its `Debug` prints no content and its memory is wiped when it is dropped. Files
//! with secrets are read only when nobody else on the machine can read them, and are written whole, for their owner
//! only. This module does not know what a secret is for, and no error of it shows a file's content.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use secrecy::{ExposeSecret, SecretString};

/// Larger files are not secrets but mistakes (a log, an archive).
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Why a file with a secret could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It cannot be opened or read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be created, flushed or put in place.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others on this machine can read it.
    #[error(
        "`{path}` can be read by {readers}; run `chmod 600 {path}`, or give a mounted secret a stricter mode \
         (Kubernetes: `defaultMode: 0400`, Docker: `mode: 0400`)", path = path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Who they are.
        readers: &'static str,
    },
    /// It is not text, empty, or far too large to be a secret.
    #[error("`{}` {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, without quoting it.
        reason: &'static str,
    },
}

/// Reads a file whose whole content, without surrounding white space, is one secret.
pub fn read_file(path: &Path) -> Result<SecretString, SecretFileError> {
    let text = read_text(path)?;
    let secret = text.trim();
    if secret.is_empty() {
        return Err(SecretFileError::Content { path: path.to_owned(), reason: "is empty" });
    }
    Ok(SecretString::from(secret))
}

/// Reads a small text file (UTF-8, or UTF-16 with a byte order mark as Windows editors write it) that holds secrets,
/// unless others can read it.
pub(crate) fn read_text(path: &Path) -> Result<String, SecretFileError> {
    let failed = |source| SecretFileError::Read { path: path.to_owned(), source };
    // Judged and read through one handle: nobody can put another file in between.
    let file = fs::File::open(path).map_err(failed)?;
    if let Some(readers) = other_readers(&file.metadata().map_err(failed)?) {
        return Err(SecretFileError::Exposed { path: path.to_owned(), readers });
    }
    let mut bytes = Vec::new();
    // A pipe or a device has no size to look at first.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(SecretFileError::Content { path: path.to_owned(), reason: "is too large to hold a secret" });
    }
    decode_text(&bytes).ok_or_else(|| SecretFileError::Content { path: path.to_owned(), reason: "is not a text file" })
}

pub(crate) fn decode_text(bytes: &[u8]) -> Option<String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().copied().map(unit).collect();
        rest.is_empty().then(|| String::from_utf16(&units).ok()).flatten()
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        // UTF-16 without a mark: every second byte of what begins with ASCII is zero.
        [1..=255, 0, 1..=255, 0, ..] => utf16(bytes, u16::from_le_bytes),
        [0, 1..=255, 0, 1..=255, ..] => utf16(bytes, u16::from_be_bytes),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}

#[cfg(unix)]
fn other_readers(metadata: &fs::Metadata) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt;
    readers_by(metadata.mode(), metadata.uid())
}

#[cfg(not(unix))]
fn other_readers(_: &fs::Metadata) -> Option<&'static str> {
    None
}

/// Who besides its owner can read a file with this mode, as far as that is too many.
///
/// A group may share a file of root's: that is how Kubernetes hands a secret to a process that is not root (mode 0440
/// and the pod's `fsGroup`), and the process could not change it. In a file of anybody else's it is a careless umask.
#[cfg(unix)]
fn readers_by(mode: u32, owner: u32) -> Option<&'static str> {
    const ROOT: u32 = 0;
    match mode {
        mode if mode & 0o004 != 0 => Some("every user of this machine"),
        mode if mode & 0o040 != 0 && owner != ROOT => Some("every user of its group"),
        _ => None,
    }
}

/// Replaces a file with `secret`, at once and for its owner only (mode 0600): a reader sees the old content or the
/// new one, also after a crash. Missing folders are created, for their owner only.
pub fn write_file(path: &Path, secret: &SecretString) -> Result<(), SecretFileError> {
    replace(path, secret.expose_secret().as_bytes())
        .map_err(|source| SecretFileError::Write { path: path.to_owned(), source })
}

/// Replaces the content of a file that a user made, at once; its owner and its mode stay, and a symbolic link stays one.
pub fn rewrite_file(path: &Path, secret: &SecretString) -> Result<(), SecretFileError> {
    let failed = |source| SecretFileError::Write { path: path.to_owned(), source };
    let target = path.canonicalize().map_err(failed)?;
    let metadata = fs::metadata(&target).map_err(failed)?;
    let content = format!("{}\n", secret.expose_secret());
    replace_like(&target, content.as_bytes(), Some(&metadata)).map_err(failed)
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_like(path, content, None)
}

/// `like`: what the owner and the mode are to be; else ours, for us only.
fn replace_like(path: &Path, content: &[u8], like: Option<&fs::Metadata>) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    create_private_folder(folder)?;
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?.to_string_lossy();
    let staged = folder.join(format!(".{name}.{}", uuid::Uuid::now_v7().simple()));
    let written = write_private(&staged, content)
        .and_then(|()| like.map_or(Ok(()), |like| give(&staged, like)))
        .and_then(|()| fs::rename(&staged, path));
    if written.is_err() {
        // The error that matters is the first one; a leftover would hold a secret.
        let _ = fs::remove_file(&staged);
    }
    written?;
    // Without this the rename itself may be lost with the power. Windows cannot open folders.
    if cfg!(unix) { fs::File::open(folder)?.sync_all() } else { Ok(()) }
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Gives a file the owner, where that is somebody else, and the mode of another one.
fn give(path: &Path, like: &fs::Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let ours = fs::metadata(path)?;
        if (ours.uid(), ours.gid()) != (like.uid(), like.gid()) {
            std::os::unix::fs::chown(path, Some(like.uid()), Some(like.gid()))?;
        }
    }
    fs::set_permissions(path, like.permissions())
}

fn create_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a scratch folder")
    }

    #[test]
    fn a_written_secret_reads_back_and_replaces_the_old_one_without_leftovers() {
        let folder = folder();
        let path = folder.path().join("state/refresh-token");
        write_file(&path, &SecretString::from("one")).expect("first");
        write_file(&path, &SecretString::from("two+/%=")).expect("second");
        assert_eq!(read_file(&path).expect("reads").expose_secret(), "two+/%=");
        assert_eq!(fs::read_dir(path.parent().expect("has a parent")).expect("lists").count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_is_for_its_owner_only_and_one_for_everybody_is_refused_with_the_command_to_run() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder();
        let path = folder.path().join("secret");
        write_file(&path, &SecretString::from("s3cret")).expect("writes");
        let mode = |path: &Path| fs::metadata(path).expect("exists").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
        let error = read_file(&path).expect_err("refused").to_string();
        assert!(error.contains("chmod 600") && !error.contains("s3cret"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_group_may_read_a_mounted_secret_of_roots_and_nobody_elses() {
        for (mode, owner, is_refused) in [
            (0o100_600, 1000, false),
            (0o100_400, 0, false),
            (0o100_440, 0, false),
            (0o100_640, 0, false),
            (0o100_440, 1000, true),
            (0o100_640, 1000, true),
            (0o100_644, 0, true),
            (0o100_444, 0, true),
            (0o100_604, 1000, true),
        ] {
            assert_eq!(readers_by(mode, owner).is_some(), is_refused, "{mode:o} of {owner}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_without_an_end_is_no_secret() {
        // Everybody may read the device itself, so a pipe that never ends stands in for it.
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let feeder = std::thread::spawn(move || while io::Write::write_all(&mut writer, &[b'x'; 4096]).is_ok() {});
        let path = PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader)));
        let error = read_file(&path).expect_err("refused").to_string();
        assert!(error.contains("too large"), "{error}");
        drop(reader);
        feeder.join().expect("ends with its reader");
    }

    #[test]
    fn windows_text_files_are_read() {
        let utf16: Vec<u8> = [0xFEFF_u16].into_iter().chain("é+=".encode_utf16()).flat_map(u16::to_le_bytes).collect();
        assert_eq!(decode_text(&utf16).as_deref(), Some("é+="));
        assert_eq!(decode_text("\u{feff}a".as_bytes()).as_deref(), Some("a"));
        assert_eq!(decode_text(&[0xC3, 0x28]), None);
        let unmarked = |unit: fn(u16) -> [u8; 2]| "id: é".encode_utf16().flat_map(unit).collect::<Vec<u8>>();
        assert_eq!(decode_text(&unmarked(u16::to_le_bytes)).as_deref(), Some("id: é"));
        assert_eq!(decode_text(&unmarked(u16::to_be_bytes)).as_deref(), Some("id: é"));
    }
}
