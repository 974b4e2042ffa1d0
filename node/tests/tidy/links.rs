//! Links and paths in the project's documents lead to files that exist.

use std::path::Path;

use crate::workspace::{File, files, root};

/// A page that is read in one go.
const ARCHITECTURE_LINES_MAX: usize = 150;

/// First folders of paths that a document may name in backticks.
const FOLDERS: [&str; 6] = ["schemas/", "supervisor/", "actors/", "node/", "chaos/", "ops/"];

/// Complaints about a document at `path`; `exists` is asked about paths from the root.
fn complaints(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut complaints = Vec::new();
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    for (index, line) in text.lines().enumerate() {
        for target in link_targets(line) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !exists(&folder.join(file).to_string_lossy()) {
                complaints.push(format!("{path}:{}: the link to {target} leads nowhere", index + 1));
            }
        }
        for named in line.split('`').skip(1).step_by(2) {
            let is_path = FOLDERS.iter().any(|folder| named.starts_with(folder));
            if is_path && !named.contains(['*', '<', ' ']) && !exists(named) {
                complaints.push(format!("{path}:{}: {named} does not exist", index + 1));
            }
        }
    }
    complaints
}

/// Targets of `[text](target)` that are files of the project.
fn link_targets(line: &str) -> Vec<&str> {
    let targets = line.match_indices("](").filter_map(|(start, _)| line[start + 2..].split(')').next());
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

#[test]
fn links_and_paths_in_documents_lead_to_files() {
    let documents = files().into_iter().filter(|file| file.path.ends_with(".md"));
    let exists = |path: &str| root().join(path).exists();
    crate::none(documents.flat_map(|File { path, text }| complaints(&path, &text, exists)).collect());
}

#[test]
fn architecture_is_one_page() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    assert!(text.lines().count() <= ARCHITECTURE_LINES_MAX, "{} lines", text.lines().count());
}

#[test]
fn link_rules_find_what_breaks_them() {
    let check = |text: &str, expect: &str| {
        let exists = |path: &str| ["ops/README.md", "README.md", "actors/src"].contains(&path);
        let found = complaints("ops/README.md", text, exists).join("\n");
        assert!(
            if expect.is_empty() { found.is_empty() } else { found.contains(expect) },
            "{text}: `{found}`"
        );
    };
    check("[a](README.md) [b](README.md#c) [d](#e) [f](https://example.org/x)", "");
    check("[a](README.md) [b](missing.md)", "ops/README.md:1: the link to missing.md");
    check("x\n[a](missing.md#b)", "ops/README.md:2");
    check("see `actors/src` and `actors/missing.rs`", "actors/missing.rs does not exist");
    check("see `actors/src` and `cargo run` and `ops/<name>.md`", "");
}
