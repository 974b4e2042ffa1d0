//! Sizes of files and functions, names of modules, and what a file begins with.

use crate::code::{code_of, is_word, line_at, without_tests};
use crate::workspace::{File, is_test_path, rust_files};

/// Lines of a file, less those of its tests.
const FILE_LINES_MAX: usize = 500;

/// Lines of a function, from its `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Names under which ideas gather that nobody has named.
const UNNAMED_IDEAS: [&str; 10] =
    ["utils", "util", "common", "helpers", "helper", "types", "misc", "shared", "stuff", "manager"];

/// Sizes that are above the limit: `PATH LINES` or `PATH FUNCTION LINES` a line. It may only shrink, so that every entry
/// says exactly what is, and this is their number: it may only be lowered.
const RATCHET: &str = include_str!("ratchet.txt");
const RATCHET_ENTRIES: usize = 0;

/// What is too large, as ratchet entries.
fn oversized(path: &str, text: &str) -> Vec<String> {
    if is_test_path(path) {
        return Vec::new();
    }
    let (code, test_lines) = without_tests(&code_of(text));
    let lines = text.lines().count().saturating_sub(test_lines);
    let file = (lines > FILE_LINES_MAX).then(|| format!("{path} {lines}"));
    let functions = functions(&code)
        .into_iter()
        .filter(|(_, lines)| *lines > FUNCTION_LINES_MAX)
        .map(|(name, lines)| format!("{path} {name} {lines}"));
    file.into_iter().chain(functions).collect()
}

/// Names and lines of all functions with a body.
fn functions(code: &str) -> Vec<(String, usize)> {
    let is_boundary = |char: Option<char>| char.is_none_or(|char| !is_word(char));
    code.match_indices("fn ")
        .filter(|(start, _)| is_boundary(code[..*start].chars().next_back()))
        .filter_map(|(start, keyword)| {
            let rest = &code[start + keyword.len()..];
            let name: String = rest.chars().take_while(|char| is_word(*char)).collect();
            let end = body_end(rest)?;
            let body_end = start + keyword.len() + end;
            (!name.is_empty()).then(|| (name, line_at(code, body_end) - line_at(code, start) + 1))
        })
        .collect()
}

/// Where the brace is that closes the body; `None` for a declaration.
fn body_end(code: &str) -> Option<usize> {
    let (mut nesting, mut braces) = (0, 0);
    for (index, char) in code.char_indices() {
        match char {
            '(' | '[' => nesting += 1,
            ')' | ']' => nesting -= 1,
            ';' if nesting == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                if braces == 0 {
                    return Some(index);
                }
            }
            _ => {}
        }
    }
    None
}

/// Complaints about a name, or about what a file begins with.
fn complaints(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut names = path.trim_end_matches(".rs").split('/');
    if let Some(name) = names.find(|name| UNNAMED_IDEAS.contains(name)) {
        complaints.push(format!("{path}: `{name}` names no idea"));
    }
    if path.contains("/src/") && !is_test_path(path) && !text.starts_with("//!") {
        complaints.push(format!("{path}: does not begin with `//!` and what it is for"));
    }
    let code = code_of(text);
    for (start, word) in code.match_indices("unsafe") {
        let around = [code[..start].chars().next_back(), code[start + word.len()..].chars().next()];
        if around.iter().all(|char| char.is_none_or(|char| !is_word(char))) {
            complaints.push(format!("{path}:{}: unsafe code", line_at(&code, start)));
        }
    }
    complaints
}

#[test]
fn files_and_functions_keep_their_size() {
    let found: Vec<String> =
        rust_files().iter().flat_map(|File { path, text }| oversized(path, text)).collect();
    let ratchet: Vec<&str> =
        RATCHET.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let new = found.iter().filter(|entry| !ratchet.contains(&entry.as_str()));
    let new = new.map(|entry| {
        format!("{entry}: too many lines (file {FILE_LINES_MAX}, function {FUNCTION_LINES_MAX})")
    });
    let gone = ratchet.iter().filter(|entry| !found.iter().any(|found| found == *entry));
    let gone = gone.map(|entry| format!("{entry}: in ratchet.txt, but no longer so: lower or delete it"));
    crate::none(new.chain(gone).collect());
    assert_eq!(ratchet.len(), RATCHET_ENTRIES, "ratchet.txt may only shrink");
}

#[test]
fn files_have_good_names_and_say_what_they_are_for() {
    crate::none(rust_files().iter().flat_map(|File { path, text }| complaints(path, text)).collect());
}

#[test]
fn size_rules_find_what_breaks_them() {
    let check = |path: &str, text: &str, expect: &[&str]| assert_eq!(oversized(path, text), expect, "{path}");
    let lines = |count: usize| "x;\n".repeat(count);
    check("a/src/b.rs", &lines(500), &[]);
    check("a/src/b.rs", &lines(501), &["a/src/b.rs 501"]);
    check("a/tests/b.rs", &lines(501), &[]);
    check("a/src/b/tests.rs", &lines(501), &[]);
    check("a/src/b.rs", &format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", lines(500), lines(99)), &[]);
    check("a/src/b.rs", &format!("fn f() {{\n{}}}\n", lines(68)), &[]);
    check("a/src/b.rs", &format!("fn f() {{\n{}}}\n", lines(69)), &["a/src/b.rs f 71"]);
    let nested =
        format!("impl A {{\npub(crate) fn f<'a>(x: [u8; 2]) -> B\nwhere C: D {{\n{}}}\n}}", lines(69));
    check("a/src/b.rs", &nested, &["a/src/b.rs f 72"]);
    check("a/src/b.rs", &format!("#[test]\nfn f();\nconst A: fn () = b;\n{}", lines(99)), &[]);
    check("a/src/b.rs", &format!("// fn f() {{\n{}}}", lines(99)), &[]);
}

#[test]
fn name_rules_find_what_breaks_them() {
    let check = |path: &str, text: &str, expect: &str| {
        let found = complaints(path, text).join("\n");
        assert!(
            if expect.is_empty() { found.is_empty() } else { found.contains(expect) },
            "{path}: `{found}`"
        );
    };
    check("a/src/utils.rs", "//! x", "`utils` names no idea");
    check("a/src/types/b.rs", "//! x", "`types` names no idea");
    check("a/tests/common/mod.rs", "//! x", "`common` names no idea");
    check("a/src/lib.rs", "mod b;", "does not begin with `//!`");
    check("a/src/b/mod.rs", "\n//! x", "does not begin with `//!`");
    check("a/src/b/tests.rs", "use super::*;", "");
    check("a/src/b.rs", "//! x\nunsafe { y }", "b.rs:2: unsafe code");
    check("a/src/b.rs", "//! unsafe\n#![forbid(unsafe_code)]\nconst A: &str = \"unsafe\";", "");
}
