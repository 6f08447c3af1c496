//! Where the `duckdb` program is. It starts nothing.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::load::error::{LoadError, LoadErrorKind};

/// Where installers put it, below the home folder, besides folders on `PATH`.
const AT_HOME: [&str; 3] = [".duckdb/cli/latest/duckdb", ".local/bin/duckdb", "bin/duckdb"];
const ELSEWHERE: [&str; 3] =
    ["/opt/homebrew/bin/duckdb", "/usr/local/bin/duckdb", "/home/linuxbrew/.linuxbrew/bin/duckdb"];

/// The program: the one that is named, the first on `PATH`, or one where installers put it.
///
/// # Errors
///
/// When there is none, with how to get it.
pub fn find(named: Option<&Path>) -> Result<PathBuf, LoadError> {
    search(named, std::env::var_os("PATH").as_deref(), std::env::home_dir().as_deref())
}

fn search(named: Option<&Path>, path: Option<&OsStr>, home: Option<&Path>) -> Result<PathBuf, LoadError> {
    if let Some(named) = named {
        return if named.is_file() {
            Ok(named.to_owned())
        } else {
            Err(missing(format!("`{}`, named by `DUCKDB`, is not there", named.display())))
        };
    }
    let name = if cfg!(windows) { "duckdb.exe" } else { "duckdb" };
    let on_path = path.into_iter().flat_map(std::env::split_paths).map(|folder| folder.join(name));
    let at_home = home.into_iter().flat_map(|home| AT_HOME.map(|file| home.join(file)));
    let mut candidates = on_path.chain(at_home).chain(ELSEWHERE.map(PathBuf::from));
    candidates.find(|file| file.is_file()).ok_or_else(|| missing("the program `duckdb` is not on `PATH`".to_owned()))
}

fn missing(message: String) -> LoadError {
    LoadError::new(LoadErrorKind::DriverMissing, message).with_remedy(
        "install it with `pip install duckdb-cli`, `brew install duckdb` or from duckdb.org, or let `DUCKDB` name it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_program_is_used_then_the_path_then_known_places() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let (on_path, at_home) = (folder.path().join("bin"), folder.path().join("home"));
        let known = at_home.join(".local/bin");
        for folder in [&on_path, &known] {
            std::fs::create_dir_all(folder).expect("a folder");
            std::fs::write(folder.join("duckdb"), b"").expect("a file");
        }
        let path = Some(on_path.as_os_str());
        assert_eq!(search(Some(&known.join("duckdb")), path, None).expect("named"), known.join("duckdb"));
        assert_eq!(search(None, path, Some(&at_home)).expect("on the path"), on_path.join("duckdb"));
        assert_eq!(search(None, None, Some(&at_home)).expect("at home"), known.join("duckdb"));
        let error = search(Some(Path::new("/no/such")), path, None).expect_err("missing");
        assert!(error.message.contains("DUCKDB") && error.remedy.contains("pip install duckdb-cli"), "{error}");
    }
}
