//! Which database is meant by `load.duckdb.database`, and how DuckDB attaches it.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::catalog::sql::duckdb::{literal, quote, relation};
use crate::load::error::{LoadError, LoadErrorKind};

/// The name under which the database is attached.
const ALIAS: &str = "criteo_target";
const FILE_REMEDY: &str = "name a file in a folder that exists and that you may write to";

/// Whose SQL counts in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// DuckDB's own, in a file.
    DuckDb,
    /// DuckDB's own, in `MotherDuck`.
    MotherDuck,
    /// DuckDB's, in a lakehouse.
    DuckLake,
    /// `PostgreSQL`'s.
    Postgres,
}

/// A database and a schema in it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// As it was written.
    database: String,
    schema: String,
    engine: Engine,
    /// What ATTACH is given.
    address: String,
    /// The name it has once it is attached.
    catalog: String,
}

impl Place {
    pub(super) fn parse(database: &str, schema: &str) -> Result<Self, LoadError> {
        let place = |engine, address: String| Self {
            database: database.to_owned(),
            schema: schema.to_owned(),
            engine,
            address,
            catalog: ALIAS.to_owned(),
        };
        if let Some(rest) = database.strip_prefix("ducklake:") {
            // A plain file name is made absolute, so that messages and scripts mean the same from everywhere.
            let address = if rest.contains([':', '=']) { rest.to_owned() } else { absolute(rest) };
            return Ok(place(Engine::DuckLake, format!("ducklake:{address}")));
        }
        if let Some(name) = database.strip_prefix("md:") {
            if name.is_empty() {
                let error = LoadError::new(LoadErrorKind::Unreachable, "`md:` names no database");
                return Err(error.with_remedy("write `md:my_database`"));
            }
            return Ok(Self { catalog: name.to_owned(), ..place(Engine::MotherDuck, database.to_owned()) });
        }
        if ["postgres:", "postgresql:"].iter().any(|scheme| database.starts_with(scheme)) {
            // The default of files is not a schema of PostgreSQL.
            let schema = if schema == "main" { "public" } else { schema };
            // With its type named, DuckDB takes `postgres:` for part of the first option; a URI it takes whole.
            let address = database.strip_prefix("postgres:").filter(|rest| !rest.starts_with("//")).unwrap_or(database);
            return Ok(Self { schema: schema.to_owned(), ..place(Engine::Postgres, address.to_owned()) });
        }
        let path = database.strip_prefix("duckdb:").unwrap_or(database);
        Ok(place(Engine::DuckDb, absolute(path)))
    }

    pub(super) fn engine(&self) -> Engine {
        self.engine
    }

    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    pub(super) fn catalog(&self) -> &str {
        &self.catalog
    }

    /// The quoted path of a table or view.
    pub(super) fn relation(&self, name: &str) -> String {
        relation(&[&self.catalog, &self.schema, name])
    }

    /// The parts of the path of a table or view.
    pub(super) fn parts<'p>(&'p self, name: &'p str) -> [&'p str; 3] {
        [&self.catalog, &self.schema, name]
    }

    /// Whether it is there already; only of a file can that be told without connecting.
    pub(super) fn exists(&self) -> bool {
        match self.engine {
            Engine::DuckDb => Path::new(&self.address).exists(),
            Engine::DuckLake => {
                let file = self.address.trim_start_matches("ducklake:");
                file.contains([':', '=']) || Path::new(file).exists()
            }
            Engine::MotherDuck | Engine::Postgres => true,
        }
    }

    /// Whether a load may write to it, as far as that can be told without connecting or creating it: a file, or the folder that the
    /// file would be in.
    pub(super) fn check_writable(&self) -> Result<(), LoadError> {
        if self.engine != Engine::DuckDb {
            return Ok(());
        }
        let file = Path::new(&self.address);
        let unusable = |message: String| LoadError::new(LoadErrorKind::Unreachable, message).with_remedy(FILE_REMEDY);
        if file.exists() {
            // Opened for writing, and closed as it is.
            let opened = std::fs::OpenOptions::new().append(true).open(file);
            return opened
                .map(drop)
                .map_err(|error| unusable(format!("cannot write to `{}`: {error}", file.display())));
        }
        let folder = file.parent().unwrap_or(file);
        match std::fs::metadata(folder) {
            Ok(found) if found.is_dir() => Ok(()),
            Ok(_) => Err(unusable(format!("cannot create `{}`: `{}` is no folder", file.display(), folder.display()))),
            Err(error) => Err(unusable(format!("cannot create `{}`: `{}`: {error}", file.display(), folder.display()))),
        }
    }

    /// The statement that attaches it.
    pub(super) fn attach(&self, read_only: bool) -> String {
        let own = match self.engine {
            Engine::DuckDb | Engine::MotherDuck => None,
            // Otherwise small inserts lose the last bit of floats.
            Engine::DuckLake => Some("DATA_INLINING_ROW_LIMIT 0"),
            Engine::Postgres => Some("TYPE postgres"),
        };
        let options: Vec<&str> = own.into_iter().chain(read_only.then_some("READ_ONLY")).collect();
        let options = if options.is_empty() { String::new() } else { format!(" ({})", options.join(", ")) };
        let alias = match self.engine {
            Engine::MotherDuck => String::new(),
            Engine::DuckDb | Engine::DuckLake | Engine::Postgres => format!(" AS {}", quote(&self.catalog)),
        };
        format!("ATTACH {}{alias}{options};\n", literal(&self.address))
    }

    /// An error of ATTACH, with what to do about it.
    pub(super) fn explain_attach(&self, error: LoadError) -> LoadError {
        if error.kind == LoadErrorKind::DriverMissing {
            return error;
        }
        let remedy = match self.engine {
            Engine::DuckDb if error.message.contains("lock") => {
                "another program has the file open: close it, or load when it is done"
            }
            Engine::DuckDb => FILE_REMEDY,
            Engine::DuckLake => "the extension `ducklake` must be installed, and its catalog reachable",
            Engine::MotherDuck => "set `motherduck_token` in the environment, and let the database exist",
            Engine::Postgres => {
                "set `PGPASSWORD` or `~/.pgpass`, and grant CONNECT on the database and CREATE on the schema to the user"
            }
        };
        let message = format!("cannot open `{}`: {}", self.database, error.message);
        LoadError::new(LoadErrorKind::Unreachable, message).with_remedy(remedy)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, schema {}", self.database, self.schema)
    }
}

fn absolute(path: &str) -> String {
    std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path)).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_attached_follows_from_how_the_database_is_written() {
        for (database, attached) in [
            ("/srv/it's.duckdb", "ATTACH '/srv/it''s.duckdb' AS \"criteo_target\";\n"),
            ("md:ads", "ATTACH 'md:ads';\n"),
            (
                "ducklake:postgres:dbname=x",
                "ATTACH 'ducklake:postgres:dbname=x' AS \"criteo_target\" (DATA_INLINING_ROW_LIMIT 0);\n",
            ),
            ("postgres://h/x", "ATTACH 'postgres://h/x' AS \"criteo_target\" (TYPE postgres);\n"),
            ("postgres:dbname=x", "ATTACH 'dbname=x' AS \"criteo_target\" (TYPE postgres);\n"),
        ] {
            assert_eq!(Place::parse(database, "main").expect("a database").attach(false), attached);
        }
        assert!(Place::parse("md:", "main").is_err());
        let postgres = Place::parse("postgres:dbname=x", "main").expect("a database");
        assert_eq!(postgres.relation("t"), "\"criteo_target\".\"public\".\"t\"");
    }
}
