//! Small disks of their own, mounted in memory. Only root may mount.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Set where no test may be skipped: `.ci/run` does.
const SKIP_NOTHING: &str = "E2E_SKIP_NOTHING";

/// A mounted disk; it is gone when dropped.
#[derive(Debug)]
pub(crate) struct Mount {
    folder: TempDir,
}

impl Mount {
    /// An empty disk of so many KiB; `None`, said on stderr, where mounting is not allowed.
    ///
    /// # Panics
    ///
    /// Where it is not allowed and nothing may be skipped.
    pub(crate) fn small_disk(kib: u64) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let mounted = call("mount", &["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"], folder.path());
        match mounted {
            Ok(()) => Some(Self { folder }),
            Err(reason) => {
                assert!(
                    std::env::var_os(SKIP_NOTHING).is_none(),
                    "no disk can be mounted, and {SKIP_NOTHING} is set: {reason}"
                );
                eprintln!("SKIPPED: no disk can be mounted here, so that a full one is not tested: {reason}");
                None
            }
        }
    }

    /// Whether this process may mount.
    pub(crate) fn is_possible() -> bool {
        Self::small_disk(16).is_some()
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves so many bytes free on the disk of `filler`, by the size of that file.
    pub(crate) fn fill(filler: &Path, free: u64) {
        let _ = std::fs::remove_file(filler);
        let mut size = 0;
        let block = [0_u8; 4096];
        let mut file = std::fs::File::create(filler).expect("the disk is writable");
        while std::io::Write::write_all(&mut file, &block).is_ok() {
            size += 4096;
        }
        file.set_len(size - free.min(size)).expect("a file can be cut");
    }

    /// Allows no more writing.
    pub(crate) fn make_read_only(&self) {
        call("mount", &["-o", "remount,ro"], self.path()).expect("what was mounted can be remounted");
    }

    /// Allows writing again.
    pub(crate) fn make_writable(&self) {
        call("mount", &["-o", "remount,rw"], self.path()).expect("what was mounted can be remounted");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Err(error) = call("umount", &[], self.path()) {
            eprintln!("a scratch disk is left mounted: {error}");
        }
    }
}

fn call(command: &str, arguments: &[&str], path: &Path) -> Result<(), String> {
    let output = Command::new(command).args(arguments).arg(path).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}
