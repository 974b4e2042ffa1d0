//! Which metrics and labels a query names. Whether it is a query at all, promtool says.

use std::collections::{BTreeMap, BTreeSet};

/// Words of the language that are followed by no bracket of their own.
const WORDS: [&str; 10] =
    ["by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool", "and", "or"];

/// Labels that every series of a scraped target has, and that rules add.
pub(crate) const TARGET_LABELS: [&str; 4] = ["job", "instance", "cluster", "le"];

#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Text,
    Mark(char),
}

fn tokens(query: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = query;
    let is_word = |one: char| one.is_ascii_alphanumeric() || "_:$".contains(one);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' => {
                let end = rest[1..].find(first).unwrap_or_else(|| panic!("no end of a text: {query}"));
                found.push(Token::Text);
                end + 2
            }
            one if is_word(one) => {
                let end = rest.find(|one| !is_word(one)).unwrap_or(rest.len());
                found.push(Token::Word(&rest[..end]));
                end
            }
            one if one.is_whitespace() => one.len_utf8(),
            one => {
                found.push(Token::Mark(one));
                one.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    found
}

/// What a query names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// Metrics, each with the labels that it is selected by.
    pub(crate) metrics: BTreeMap<String, BTreeSet<String>>,
    /// Labels that results are grouped or joined by.
    pub(crate) grouped: BTreeSet<String>,
}

/// Reads a query.
pub(crate) fn named(query: &str) -> Named {
    let tokens = tokens(query);
    let mut named = Named::default();
    let mut at = 0;
    while at < tokens.len() {
        let Token::Word(word) = tokens[at] else {
            // Times in square brackets are no metrics.
            if tokens[at] == Token::Mark('[') {
                at += tokens[at..].iter().position(|token| *token == Token::Mark(']')).unwrap();
            }
            at += 1;
            continue;
        };
        let behind = tokens.get(at + 1);
        at += 1;
        if ["by", "without", "on", "ignoring", "group_left", "group_right"].contains(&word) {
            assert_eq!(behind, Some(&Token::Mark('(')), "{query}");
            while tokens[at] != Token::Mark(')') {
                if let Token::Word(label) = tokens[at] {
                    named.grouped.insert(label.to_owned());
                }
                at += 1;
            }
            continue;
        }
        let is_function = behind == Some(&Token::Mark('('));
        // A grouping may stand between an aggregation and its bracket.
        let is_aggregation = matches!(behind, Some(Token::Word("by" | "without")));
        let is_number = word.starts_with(|one: char| one.is_ascii_digit());
        let is_offset = at >= 2 && tokens[at - 2] == Token::Word("offset");
        if is_function
            || is_aggregation
            || is_number
            || is_offset
            || WORDS.contains(&word)
            || word == "unless"
        {
            continue;
        }
        let labels = named.metrics.entry(word.to_owned()).or_default();
        if behind == Some(&Token::Mark('{')) {
            while tokens[at] != Token::Mark('}') {
                if let (Token::Word(label), Some(Token::Mark('=' | '!'))) = (&tokens[at], tokens.get(at + 1))
                {
                    labels.insert((*label).to_owned());
                }
                at += 1;
            }
        }
    }
    named
}

#[test]
fn a_query_tells_its_metrics_and_labels() {
    let check = |query: &str, metrics: &[(&str, &[&str])], grouped: &[&str]| {
        let set = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect::<BTreeSet<_>>();
        let metrics = metrics.iter().map(|(name, labels)| ((*name).to_owned(), set(labels))).collect();
        assert_eq!(named(query), Named { metrics, grouped: set(grouped) }, "{query}");
    };
    check("up == 1", &[("up", &[])], &[]);
    check(
        "sum by (a, b) (rate(x_total{c=\"d,e=f\",g!~\"h\"}[5m])) > 0.1",
        &[("x_total", &["c", "g"])],
        &["a", "b"],
    );
    check("sum(rate(x[$__rate_interval])) by (le) * 1e9", &[("x", &[])], &["le"]);
    check("a:b offset 1w / on (c) group_left () z and vector(1)", &[("a:b", &[]), ("z", &[])], &["c"]);
    check("x > bool 300 unless time() - y < 0", &[("x", &[]), ("y", &[])], &[]);
}
