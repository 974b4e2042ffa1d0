//! The Python interpreter of `ORRERY_PYTHON` (`python3` without it), and what it has.

#![allow(clippy::print_stderr, reason = "a test says what it skips")]

use std::env;
use std::process::{Command, Output};

/// The interpreter, or `None` (after saying so) where it cannot import `modules` and need not.
pub(crate) fn python(modules: &str) -> Option<String> {
    let python = env::var("ORRERY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let imports = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    if imports.as_ref().is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let required = env::var("ORRERY_REQUIRE_READERS").unwrap_or_default();
    assert_eq!(required, "", "{python} cannot import {modules}: {imports:?}");
    eprintln!("skipped: {python} cannot import {modules}; name one that can with ORRERY_PYTHON");
    None
}

/// Checks that a script is content: its last line must begin so.
pub(crate) fn check_agreement(output: &Output, agreed: &str) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.trim_end().lines().last().is_some_and(|line| line.starts_with(agreed)), "{said}");
    eprintln!("{said}");
}
