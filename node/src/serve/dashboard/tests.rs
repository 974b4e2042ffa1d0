use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;

/// Marks of code and style that the policy refuses, of text that is read as markup, and of other origins.
const REFUSED: [&str; 14] = [
    "style=\"",
    " onclick=",
    " onload=",
    "javascript:",
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "eval(",
    "new Function",
    "@import",
    "http://",
    "https://",
    "//cdn",
];

fn text(file: &File) -> &'static str {
    std::str::from_utf8(file.bytes).unwrap()
}

#[test]
fn every_file_of_the_page_is_served() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/serve/dashboard");
    let there: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".rs"))
        .map(|name| if name == "index.html" { "/".to_owned() } else { format!("/dashboard/{name}") })
        .collect();
    let served: BTreeSet<String> = FILES.iter().map(|file| file.path.to_owned()).collect();
    assert_eq!(there, served);
    assert_eq!(endpoints().len(), FILES.len());
}

#[test]
fn whatever_the_page_refers_to_is_served() {
    let served: BTreeSet<&str> = FILES.iter().map(|file| file.path).collect();
    let mut references = 0;
    for file in FILES {
        let relative = if file.path == "/" { "" } else { "./" };
        for quoted in text(file).split('"').skip(1).step_by(2) {
            let is_reference = [".js", ".css", ".svg"].iter().any(|end| quoted.ends_with(end));
            let Some(name) = quoted.strip_prefix(relative).filter(|_| is_reference) else { continue };
            let path = if file.path == "/" { format!("/{name}") } else { format!("/dashboard/{name}") };
            assert!(served.contains(path.as_str()), "{} refers to {quoted}", file.path);
            references += 1;
        }
    }
    assert!(references > FILES.len(), "{references}");
}

#[test]
fn nothing_of_the_page_is_inline_or_from_elsewhere() {
    // The one address in it names a kind of document and is not fetched.
    for mark in REFUSED {
        for file in FILES {
            let text = text(file).replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains(mark), "{} has {mark}", file.path);
        }
    }
    let page = text(&FILES[0]);
    assert!(!page.contains("<style") && !page.contains("<script>"));
    assert_eq!(page.matches("<script ").count(), page.matches("<script src=\"").count() + 1);
}

#[test]
fn a_file_has_a_tag_and_is_not_sent_to_whoever_has_it() {
    let check = |known: &str, expect: bool| assert_eq!(names(known, "\"a\""), expect, "{known}");
    check("\"a\"", true);
    check("\"b\", W/\"a\"", true);
    check("*", true);
    check("\"b\"", false);
    let tags: BTreeSet<String> = FILES.iter().map(|file| tag(file.bytes)).collect();
    assert_eq!(tags.len(), FILES.len());
}

#[test]
fn the_server_that_tests_play_a_node_with_has_the_same_policy() {
    let stub = include_str!("../../../tests/dashboard/stub_server.py");
    let directives: Vec<&str> = POLICY.split(';').map(str::trim).collect();
    assert_eq!(directives.len(), 9);
    for directive in directives {
        assert!(stub.contains(directive), "{directive}");
    }
}
