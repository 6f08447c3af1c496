//! Configuration files: every complaint names its line and key, and what was accepted makes tables.

use chrono::DateTime;

use crate::catalog::Catalog;
use crate::commands::session::Session;
use crate::settings::{ConfigurationFile, Environment, Origin, Overrides, Settings};
use crate::table::decode::ReportLayout;
use crate::table::schema::arrow_schema;

/// The text of a configuration file.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let file = ConfigurationFile { path: "f.toml".into(), text: text.to_owned() };
    let known: Vec<&str> = Catalog::get().tables().collect();
    let resolve = || {
        let (flags, environment) = (Overrides::default(), Environment::default());
        Settings::resolve(&flags, &environment, Some(&file), &known, DateTime::UNIX_EPOCH)
    };
    match resolve() {
        Err(problems) => {
            assert!(!problems.0.is_empty());
            for problem in &problems.0 {
                let Origin::File { line, key, .. } = &problem.origin else { panic!("{problem:?} is of no file") };
                assert!((1..=text.matches('\n').count() + 1).contains(line), "{problem:?}");
                assert!(
                    !key.is_empty() || problem.code == crate::notice::Code::InvalidToml,
                    "{problem:?} names no key"
                );
                assert!(!problem.message.is_empty() && !problem.remedy.is_empty(), "{problem:?}");
            }
        }
        Ok((settings, _)) => {
            let (again, _) = resolve().unwrap_or_else(|problems| panic!("accepted once: {problems}"));
            assert_eq!(settings.to_string(), again.to_string());
            check_tables(&file);
        }
    }
}

fn check_tables(file: &ConfigurationFile) {
    let session = Session::resolve(&Overrides::default(), &Environment::default(), Some(file), DateTime::UNIX_EPOCH);
    let Ok(mut session) = session else { return };
    let tables = match session.all_tables() {
        Ok(tables) => tables,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    for table in &tables {
        let mut names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "`{}` has a column twice", table.name);
        for key in &table.primary_key {
            assert!(names.contains(&key.as_str()), "`{}` has no column `{key}`", table.name);
        }
        assert_eq!(arrow_schema(table).fields().len(), table.columns.len());
        let layout = ReportLayout::new(table, chrono_tz::UTC, "EUR");
        assert_eq!(layout.map(|layout| layout.empty_rows().len()), table.is_report().then_some(0));
    }
}
