//! Which schema is meant, and where its files are staged.

use std::fmt;

use crate::catalog::sql::snowflake::relation;
use crate::load::error::{LoadError, LoadErrorKind};
use crate::settings::load::SnowflakeSettings;

/// A schema of an account.
#[derive(Clone, Debug)]
pub(super) struct Place {
    account: String,
    database: String,
    schema: String,
}

impl Place {
    pub(super) fn new(settings: &SnowflakeSettings) -> Result<Self, LoadError> {
        let database = settings.database.clone().ok_or_else(|| {
            LoadError::new(LoadErrorKind::Unreachable, "`database` of Snowflake is not set")
                .with_remedy("set it in `[load.snowflake]`, or SNOWFLAKE_DATABASE, or `--database`")
        })?;
        let account = settings.account.clone().unwrap_or_default();
        Ok(Self { account, database, schema: settings.schema.clone() })
    }

    pub(super) fn database(&self) -> &str {
        &self.database
    }

    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// The parts of the path of a table or view.
    pub(super) fn parts<'p>(&'p self, name: &'p str) -> [&'p str; 3] {
        [&self.database, &self.schema, name]
    }

    /// The quoted path of a table or view.
    pub(super) fn relation(&self, name: &str) -> String {
        relation(&self.parts(name))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}.{}", self.account, self.database, self.schema)
    }
}
