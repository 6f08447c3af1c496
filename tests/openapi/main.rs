//! The connector, its data files and its sandbox against Criteo's own `OpenAPI`.
//!
//! The file is Criteo's and not part of this repository: `CRITEO_OPENAPI` names it. Where it is absent, every claim
//! here is skipped, aloud; where `CI` is set, every claim fails, since a contract that nobody checked is not kept.
//! What is proven is that both ends keep to the specification, not that Criteo does.

mod absence;
mod endpoints;
mod fields;
mod json_schema;
mod requests;
mod runs;
mod sandbox;
mod specification;
mod tables;

use std::path::PathBuf;
use std::sync::LazyLock;

use specification::Specification;

/// Where the file lies beside a checkout.
const DEFAULT_PATH: &str = "../shared/criteo/openapi-marketing-solutions-2026-07.json";

static SPECIFICATION: LazyLock<Option<Specification>> =
    LazyLock::new(|| std::fs::read_to_string(path()).ok().map(|text| Specification::parse(&text)));

fn path() -> PathBuf {
    std::env::var_os("CRITEO_OPENAPI")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(DEFAULT_PATH), PathBuf::from)
}

/// Criteo's specification; `None` where it is absent and nobody promised it.
fn specification() -> Option<&'static Specification> {
    let specification = SPECIFICATION.as_ref();
    if specification.is_none() {
        let advice = format!("no OpenAPI at {}; set CRITEO_OPENAPI to the file", path().display());
        assert!(std::env::var_os("CI").is_none(), "{advice}");
        eprintln!("SKIPPED: {advice}");
    }
    specification
}
