//! Words that no file of the project holds: notes without an issue, paths of one machine, hosts of registries.
//!
//! The words are put together from parts here, so that this file holds none of them.

use crate::workspace::{File, files};

/// Marks of unfinished work. `TO-DO(#12)`, written without the hyphen, names the issue that finishes it.
const NOTES: [[&str; 2]; 4] = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["HA", "CK"]];

/// Beginnings of paths that exist on one machine alone.
const MACHINE_PATHS: [[&str; 2]; 5] =
    [["/ho", "me/"], ["/ro", "ot/"], ["/Us", "ers/"], ["/wo", "rk/"], ["/tm", "p/"]];

/// Hosts that ordinary clients know by themselves.
const REGISTRY_HOSTS: [[&str; 2]; 9] = [
    ["index.crates", ".io"],
    ["static.crates", ".io"],
    ["//crates", ".io"],
    ["pypi", ".org"],
    ["pythonhosted", ".org"],
    ["npmjs", ".org"],
    ["npmjs", ".com"],
    ["deb.debian", ".org"],
    ["proxy.golang", ".org"],
];

fn complaints(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut complain =
            |what: &str| complaints.push(format!("{path}:{}: {what}: {}", index + 1, line.trim()));
        if NOTES.iter().any(|note| has_note(line, &note.concat())) {
            complain("a note without an issue");
        }
        if MACHINE_PATHS.iter().any(|start| has_path(line, &start.concat())) {
            complain("a path of one machine");
        }
        if REGISTRY_HOSTS.iter().any(|host| line.contains(&host.concat())) {
            complain("a registry's host");
        }
    }
    complaints
}

/// A whole word in capitals that is not followed by `(#number)`.
fn has_note(line: &str, note: &str) -> bool {
    line.match_indices(note).any(|(start, _)| {
        let (before, after) = (&line[..start], &line[start + note.len()..]);
        let is_word = |char: char| char.is_alphanumeric() || char == '_';
        let has_issue =
            after.strip_prefix("(#").is_some_and(|rest| rest.starts_with(|char: char| char.is_ascii_digit()));
        !before.ends_with(is_word) && !after.starts_with(is_word) && !has_issue
    })
}

/// A path that begins so, rather than goes on so.
fn has_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        before.is_none_or(|char| {
            !(char.is_alphanumeric() || "_.-}/~*$".contains(char)) || line[..start].ends_with("//")
        })
    })
}

#[test]
fn no_file_holds_words_that_belong_elsewhere() {
    crate::none(files().iter().flat_map(|File { path, text }| complaints(path, text)).collect());
}

#[test]
fn word_rules_find_what_breaks_them() {
    let check = |line: &str, expect: &str| {
        let found = complaints("x.md", line).join("\n");
        assert!(
            if expect.is_empty() { found.is_empty() } else { found.contains(expect) },
            "{line}: `{found}`"
        );
    };
    for note in NOTES.map(|note| note.concat()) {
        check(&format!("// {note}: later"), "x.md:1: a note without an issue");
        check(&format!("{note}(me)"), "a note without an issue");
        check(&format!("{note}(#12): later"), "");
        check(&format!("A{note}B {}", note.to_lowercase()), "");
    }
    for path in MACHINE_PATHS.map(|path| path.concat()) {
        check(&format!("see `{path}x`"), "a path of one machine");
        check(&format!("{path}x"), "a path of one machine");
        check(&format!("file://{path}x"), "a path of one machine");
        check(&format!("folder{path}x"), "");
    }
    for host in REGISTRY_HOSTS.map(|host| host.concat()) {
        check(
            &format!("curl https:{}", if host.starts_with('/') { host } else { format!("//{host}") }),
            "host",
        );
    }
    check("only crates.io; /usr/bin/env bash", "");
}
