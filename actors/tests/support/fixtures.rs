//! Where the fixtures are.

#![allow(clippy::print_stderr, reason = "a test says what it skips")]

use std::path::{Path, PathBuf};

/// `../shared/fixtures`, or `None` (after saying so) where it is missing and not required.
pub(crate) fn fixtures() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures");
    if folder.join("README.md").is_file() {
        return Some(folder);
    }
    let required = std::env::var("ORRERY_REQUIRE_FIXTURES").is_ok_and(|value| value == "1");
    assert!(!required, "fixtures are required and missing at {}", folder.display());
    eprintln!("skipped: no fixtures at {}", folder.display());
    None
}
