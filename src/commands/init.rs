//! `init`: writes the commented configuration file with every default. It never overwrites one.

use std::io::Write as _;
use std::path::Path;

use crate::error::{Error, ErrorKind};
use crate::settings::DEFAULT_CONFIGURATION;

/// Writes the file.
///
/// # Errors
///
/// When there is a file already, or it cannot be written.
pub fn run(path: &Path) -> Result<(), Error> {
    let shown = path.display();
    let created = std::fs::File::create_new(path);
    let mut file = created.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Error::new(ErrorKind::Configuration, format!("`{shown}` already exists"))
            .with_hint("edit it, or name another file with `--config`; `init` never overwrites"),
        _ => Error::output(format!("failed to create `{shown}`"), error),
    })?;
    let written = file.write_all(DEFAULT_CONFIGURATION.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| Error::output(format!("failed to write `{shown}`"), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_written_once_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("criteo-source.toml");
        run(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), DEFAULT_CONFIGURATION);
        std::fs::write(&path, "currency = 'EUR'").unwrap();
        assert_eq!(run(&path).unwrap_err().exit_code(), 2);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "currency = 'EUR'");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_output_failure() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(run(&folder.path().join("none/c.toml")).unwrap_err().exit_code(), 6);
    }
}
