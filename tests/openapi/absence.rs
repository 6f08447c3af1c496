//! What happens without the specification: this program, run again where there is none.

use std::process::{Command, Output};

/// One claim of this program, without the file.
fn run_without_the_file(ci: Option<&str>) -> Output {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args(["--exact", "endpoints::every_endpoint_exists_under_the_version_with_the_declared_method"]);
    command.args(["--nocapture"]).env("CRITEO_OPENAPI", "no-such-file.json").env_remove("CI");
    command.envs(ci.map(|value| ("CI", value))).output().expect("it runs")
}

#[test]
fn without_the_file_a_claim_is_skipped_aloud() {
    let output = run_without_the_file(None);
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}{told}");
    assert!(told.contains("SKIPPED: no OpenAPI at no-such-file.json; set CRITEO_OPENAPI to the file"), "{told}");
}

#[test]
fn without_the_file_a_claim_fails_in_continuous_integration() {
    let output = run_without_the_file(Some("true"));
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success() && said.contains("1 failed"), "{said}{told}");
}
