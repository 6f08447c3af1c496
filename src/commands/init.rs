//! `init`: writes the commented configuration file with every default. It never overwrites one.

use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use super::{print_document, print_text};
use crate::cli::Format;
use crate::document::Document;
use crate::error::{Code, Error};
use crate::settings::DEFAULT_CONFIGURATION;

/// What only this document has.
#[derive(Serialize)]
struct Members<'p> {
    path: &'p Path,
}

/// Writes the file and says what to do next.
///
/// # Errors
///
/// When there is a file already, or it cannot be written.
pub fn run(path: &Path, format: Format, run_id: &str) -> Result<(), Error> {
    write(path)?;
    if format == Format::Json {
        return print_document(&Document::<(), _>::new(run_id, "init", Members { path }));
    }
    print_text(&format!("wrote {}; next: set the credentials and run `criteo-source check`\n", path.display()))
}

fn write(path: &Path) -> Result<(), Error> {
    let shown = path.display();
    let created = std::fs::File::create_new(path);
    let mut file = created.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Error::new(Code::FileExists, format!("`{shown}` already exists")),
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
        write(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), DEFAULT_CONFIGURATION);
        std::fs::write(&path, "currency = 'EUR'").unwrap();
        assert_eq!(write(&path).unwrap_err().exit_code(), 2);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "currency = 'EUR'");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_output_failure() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(write(&folder.path().join("none/c.toml")).unwrap_err().exit_code(), 6);
    }
}
