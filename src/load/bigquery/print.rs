//! What `--print` prints for BigQuery: the same jobs as commands of Google's `bq`, to be read and run by an administrator.

#![expect(clippy::format_push_string, reason = "scripts are short, and read like what they print")]

use serde_json::Value;

use super::schema;
use crate::catalog::Column;
use crate::load::files::{LoadFile, Location};
use crate::settings::load::BigQuerySettings;

/// A word of a shell command.
fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn options(settings: &BigQuerySettings, project: &str) -> String {
    format!("--project_id={} --location={}", word(project), word(&settings.location))
}

/// A query job.
pub(super) fn query(settings: &BigQuerySettings, project: &str, script: &str) -> String {
    let options = options(settings, project);
    format!("bq query {options} --use_legacy_sql=false --quiet <<'END_OF_SCRIPT'\n{script}END_OF_SCRIPT\n")
}

/// Load jobs of the same columns into a staging table: all files of a bucket at once, files of this machine one by one.
pub(super) fn load(
    settings: &BigQuerySettings,
    project: &str,
    staging: &str,
    columns: &[&Column],
    files: &[&LoadFile],
) -> String {
    let options = options(settings, project);
    let schema = Value::from(schema::staging_fields(columns));
    let file = format!("{staging}.schema.json");
    let mut text = format!("cat > {file} <<'END_OF_SCHEMA'\n{schema:#}\nEND_OF_SCHEMA\n");
    let mut job = |replace: bool, source: &str| {
        let replace = if replace { "--replace" } else { "--noreplace" };
        text.push_str(&format!(
            "bq load {options} {replace} --source_format=PARQUET --parquet_enable_list_inference \
             --decimal_target_types=NUMERIC {} {} {file}\n",
            word(&format!("{}.{staging}", settings.dataset)),
            word(source)
        ));
    };
    let urls: Vec<&str> = files.iter().filter_map(|file| super::url(file)).collect();
    if !urls.is_empty() {
        job(true, &urls.join(","));
    }
    for (number, file) in files.iter().enumerate() {
        if let Location::Local(path) = &file.location {
            job(number == 0, &path.display().to_string());
        }
    }
    text.push_str(&format!("rm {file}\n"));
    text
}

/// The end of a staging table.
pub(super) fn remove(settings: &BigQuerySettings, project: &str, staging: &str) -> String {
    format!("bq rm --project_id={} -f -t {}\n", word(project), word(&format!("{}.{staging}", settings.dataset)))
}
