//! Every path that Rust code names, `use` trees spread out.

use crate::code::is_word;

/// A path such as `crate::source::open`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedPath {
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
}

impl NamedPath {
    pub(crate) fn text(&self) -> String {
        self.segments.join("::")
    }

    /// True if it is `prefix` or goes on behind it.
    pub(crate) fn is_below(&self, prefix: &str) -> bool {
        let text = self.text();
        text.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }
}

/// Paths of two and more segments, and single ones in `use`. `code` has no comments and literals.
pub(crate) fn paths(code: &str) -> Vec<NamedPath> {
    let tokens = tokens(code);
    let (mut paths, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let is_use = tokens[at].text == "use" && tokens.get(at + 1).is_none_or(|next| next.text != "<");
        if is_use {
            at = tree(&tokens, at + 1, &[], &mut paths);
        } else if is_name(&tokens, at) {
            at = inline(&tokens, at, &mut paths);
        } else {
            at += 1;
        }
    }
    paths
}

/// Where a path is a module of the crate itself: its segments from the crate's root. `file` is relative to `src/`.
pub(crate) fn in_crate(path: &NamedPath, file: &str) -> Option<Vec<String>> {
    let mut module: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    let (first, mut rest) = path.segments.split_first()?;
    match first.as_str() {
        "crate" => module.clear(),
        "self" => {}
        "super" => {
            module.pop();
            while rest.first().is_some_and(|segment| segment == "super") {
                module.pop();
                rest = &rest[1..];
            }
        }
        _ => return None,
    }
    module.extend(rest.iter().cloned());
    Some(module)
}

struct Token {
    line: usize,
    text: String,
}

fn tokens(code: &str) -> Vec<Token> {
    let (mut tokens, mut line) = (Vec::<Token>::new(), 1);
    let mut before = '\0';
    for char in code.chars() {
        match (char, tokens.last_mut()) {
            ('\n', _) => line += 1,
            (char, Some(last)) if is_word(char) && is_word(before) => last.text.push(char),
            (':', Some(last)) if before == ':' && last.text == ":" => last.text.push(':'),
            (char, _) if !char.is_whitespace() => tokens.push(Token { line, text: char.to_string() }),
            _ => {}
        }
        before = char;
    }
    tokens
}

fn is_name(tokens: &[Token], at: usize) -> bool {
    tokens
        .get(at)
        .is_some_and(|token| token.text.starts_with(|char: char| char.is_alphabetic() || char == '_'))
}

fn is(tokens: &[Token], at: usize, text: &str) -> bool {
    tokens.get(at).is_some_and(|token| token.text == text)
}

/// A path outside of `use`; returns where it ends.
fn inline(tokens: &[Token], start: usize, paths: &mut Vec<NamedPath>) -> usize {
    let mut segments = vec![tokens[start].text.clone()];
    let mut at = start + 1;
    while is(tokens, at, "::") && is_name(tokens, at + 1) {
        segments.push(tokens[at + 1].text.clone());
        at += 2;
    }
    if segments.len() > 1 {
        paths.push(NamedPath { line: tokens[start].line, segments });
    }
    at
}

/// One tree of a `use`, up to its `,`, `}` or `;`; returns where that is.
fn tree(tokens: &[Token], start: usize, prefix: &[String], paths: &mut Vec<NamedPath>) -> usize {
    let mut segments = prefix.to_vec();
    let mut at = start;
    let line = tokens.get(start).map_or(0, |token| token.line);
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while at < tokens.len() && !is(tokens, at, "}") {
                    at = tree(tokens, at, &segments, paths);
                    at += usize::from(is(tokens, at, ","));
                }
                return at + 1;
            }
            "," | "}" | ";" => break,
            "as" => at += 2,
            segment => {
                segments.push(segment.to_owned());
                at += 1;
            }
        }
    }
    paths.push(NamedPath { line, segments });
    at
}

#[test]
fn use_trees_and_inline_paths_are_spread_out() {
    let check = |code: &str, expect: &[&str]| {
        let found: Vec<_> = paths(code).iter().map(NamedPath::text).collect();
        assert_eq!(found, expect, "{code}");
    };
    check("use a::b;", &["a::b"]);
    check("use a::{b, c::{d, self}, e as f};", &["a::b", "a::c::d", "a::c::self", "a::e"]);
    check("pub(crate) use a::*;\nuse b;", &["a::*", "b"]);
    check("use ::a::b; fn f() { crate::x::y(z) }", &["a::b", "crate::x::y"]);
    check("let x: Vec<a::B> = c::d::<e::F>();", &["a::B", "c::d", "e::F"]);
    check("fn f() -> impl Fn() + use<'a> { g::h }", &["g::h"]);
    check("use a::{b,\n c};", &["a::b", "a::c"]);
}

#[test]
fn paths_inside_a_crate_are_told_from_its_root() {
    let check = |file: &str, path: &str, expect: Option<&str>| {
        let path = NamedPath { line: 1, segments: path.split("::").map(str::to_owned).collect() };
        assert_eq!(in_crate(&path, file).map(|module| module.join("::")).as_deref(), expect);
    };
    check("sink/parquet.rs", "crate::source::open", Some("source::open"));
    check("sink/parquet.rs", "super::output", Some("sink::output"));
    check("sink/parquet.rs", "super::super::source", Some("source"));
    check("sink/mod.rs", "super::source", Some("source"));
    check("sink/mod.rs", "self::parquet", Some("sink::parquet"));
    check("lib.rs", "self::sink", Some("sink"));
    check("sink/mod.rs", "parquet::file", None);
}
