//! What every command that works with tables starts from: settings, tables, clock.

use chrono::{DateTime, Utc};

use crate::catalog::{Catalog, Table, Warning};
use crate::cli::GlobalOptions;
use crate::clock::Clock;
use crate::error::{Code, Error};
use crate::notice::Notice;
use crate::settings::{ConfigurationFile, Environment, Overrides, Problems, Settings};

/// Settings in force, and what to say about them.
#[derive(Clone)]
pub struct Session {
    /// Settings.
    pub settings: Settings,
    /// Harmless oddities of the configuration.
    pub warnings: Vec<Notice>,
    /// Time.
    pub clock: Clock,
}

impl Session {
    /// From flags, the process's environment and the configuration file.
    pub fn load(global: &GlobalOptions) -> Result<Self, Error> {
        Self::load_with(&global.overrides(), global)
    }

    /// The same with more flags than the global ones.
    pub fn load_with(flags: &Overrides, global: &GlobalOptions) -> Result<Self, Error> {
        let environment = Environment::of_process();
        let file = ConfigurationFile::read(global.config.as_deref(), &environment).map_err(Problems::from)?;
        Self::resolve(flags, &environment, file.as_ref(), environment.now()?)
    }

    /// From the parts; `demo` has an environment of its own, and may take another day as today.
    pub fn resolve(
        flags: &Overrides,
        environment: &Environment,
        file: Option<&ConfigurationFile>,
        now: DateTime<Utc>,
    ) -> Result<Self, Error> {
        let known: Vec<&str> = Catalog::get().tables().collect();
        let resolved = Settings::resolve(flags, environment, file, &known, now);
        let (settings, warnings) = resolved?;
        let warnings = warnings.into_iter().map(|warning| Notice::new(warning.code, warning.message)).collect();
        let clock = if settings.skip_waits { Clock::skipping(now) } else { Clock::starting_at(now) };
        Ok(Self { settings, warnings, clock })
    }

    /// Every table, built in or configured, as the configuration wants it; all problems at once.
    pub fn all_tables(&mut self) -> Result<Vec<Table>, Error> {
        let catalog = Catalog::get();
        let settings = &self.settings;
        let built_in = catalog.tables().map(|name| {
            let overrides = settings.tables.get(name).cloned().unwrap_or_default();
            catalog.resolve(name, &overrides)
        });
        let custom = settings.reports.iter().map(|report| {
            let (mut table, warnings) = catalog.custom_report(report)?;
            if let Some(overrides) = settings.tables.get(&table.name) {
                table.apply(overrides);
            }
            Ok((table, warnings))
        });
        let (mut tables, mut notices, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        for resolved in built_in.chain(custom) {
            match resolved {
                Ok((table, warnings)) => {
                    notices.extend(warnings.iter().map(|warning| table_notice(&table, warning)));
                    tables.push(table);
                }
                Err(error) => problems.push(Notice::of_error(Code::InvalidTable, &error)),
            }
        }
        match <[Notice; 1]>::try_from(problems) {
            Ok([problem]) => return Err(Error::from(problem)),
            Err(problems) if problems.is_empty() => {}
            Err(problems) => {
                let summary = format!("{} tables cannot be configured like this", problems.len());
                return Err(Error::several(Code::InvalidTable, summary, problems));
            }
        }
        self.warnings.extend(notices);
        Ok(tables)
    }

    /// The tables this run is about: those named with `--tables`, or the enabled ones.
    pub fn wanted_tables(&mut self) -> Result<Vec<Table>, Error> {
        let selected = self.settings.selected_tables.clone();
        let mut tables = self.all_tables()?;
        tables.retain(|table| if selected.is_empty() { table.enabled } else { selected.contains(&table.name) });
        self.warnings
            .retain(|warning| warning.table.as_ref().is_none_or(|name| tables.iter().any(|table| table.name == *name)));
        if tables.is_empty() {
            return Err(Error::new(Code::NoTables, "every table is switched off"));
        }
        Ok(tables)
    }
}

fn table_notice(table: &Table, warning: &Warning) -> Notice {
    Notice::new(warning.code(), warning.to_string()).table(&table.name)
}
