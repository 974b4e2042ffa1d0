//! Who may name what, inside of crates: the table "who owns what" of the style guide.

use std::collections::BTreeSet;

use crate::code::{code_of, is_word, without_tests};
use crate::paths::{in_crate, paths};
use crate::workspace::{is_test_path, rust_files};

/// What only these places may name. Tests may name anything that their crate depends on.
const OWNED: [(&str, &[&str]); 17] = [
    ("stellar_xdr", &["actors/src/ledger/", "actors/src/processor/", "actors/src/source/"]),
    ("parquet", &["actors/src/columnar.rs", "actors/src/dataset/", "actors/src/sink/"]),
    ("arrow::ipc", &["actors/src/exchange/", "actors/src/feed/", "actors/src/sink/"]),
    ("arrow_ipc", &["actors/src/exchange/", "actors/src/sink/"]),
    ("arrow_flight", &["actors/src/exchange/", "node/src/", "chaos/src/load/", "chaos/src/run/faults/"]),
    ("tonic", &["actors/src/exchange/", "node/src/", "chaos/src/load/", "chaos/src/run/faults/"]),
    ("sled", &["actors/src/checkpoint/"]),
    ("warp", &["node/src/"]),
    ("clap", &["node/src/", "chaos/src/"]),
    ("std::env::var", &["node/src/", "chaos/src/"]),
    ("std::env::var_os", &["node/src/", "chaos/src/"]),
    ("std::process::exit", &["node/src/", "chaos/src/"]),
    ("std::process::ExitCode", &["node/src/", "chaos/src/"]),
    ("std::time::Instant", &["supervisor/src/clock.rs"]),
    ("Actor::spawn", &["supervisor/"]),
    ("ractor::Actor::spawn", &["supervisor/"]),
    ("orrery_chaos", &["chaos/"]),
];

/// Words of ractor that only the supervisor crate uses, however they are reached: who spawns an actor past it has an actor
/// that nobody restarts.
const SUPERVISORS_WORDS: [&str; 6] = [
    "SupervisionEvent",
    "handle_supervisor_evt",
    "spawn_linked",
    "spawn_instant",
    "spawn_linked_instant",
    "ActorRuntime",
];

/// Parts of the data path, and which other parts each may not name.
const STAGES: [(&str, &[&str]); 5] = [
    ("ledger", &["source", "processor", "sink", "pipeline"]),
    ("source", &["processor", "sink", "pipeline"]),
    ("processor", &["source", "sink", "pipeline"]),
    ("sink", &["source", "processor", "ledger", "pipeline"]),
    ("dataset", &["source", "processor", "sink", "ledger", "pipeline"]),
];

fn complaints(path: &str, text: &str) -> Vec<String> {
    let (code, _) = without_tests(&code_of(text));
    let paths = paths(&code);
    let mut complaints = Vec::new();
    for (name, owners) in OWNED {
        // A crate's own tests reach it by its name.
        if owners.iter().any(|owner| path.starts_with(owner)) || is_test_path(path) && name != "orrery_chaos"
        {
            continue;
        }
        let named = paths.iter().filter(|found| found.is_below(name));
        complaints.extend(named.map(|found| {
            format!("{path}:{}: names {}, which belongs to {}", found.line, found.text(), owners.join(", "))
        }));
    }
    if !path.starts_with("supervisor/") && !is_test_path(path) {
        complaints.extend(supervisors_words(path, &code));
    }
    let Some(file) = path.strip_prefix("actors/src/").filter(|_| !is_test_path(path)) else {
        return complaints;
    };
    let stage = file.split(['/', '.']).next().unwrap_or_default();
    let named: Vec<_> = paths
        .iter()
        .filter_map(|found| Some((found, in_crate(found, file)?.first()?.clone())))
        .filter(|(_, top)| top != stage)
        .collect();
    let forbidden =
        STAGES.iter().find(|(name, _)| *name == stage).map_or(&[][..], |(_, forbidden)| forbidden);
    complaints.extend(named.iter().filter(|(_, top)| forbidden.contains(&top.as_str())).map(|(found, _)| {
        format!("{path}:{}: {stage} names {}; only pipeline.rs joins the stages", found.line, found.text())
    }));
    let stages: BTreeSet<_> = named
        .iter()
        .map(|(_, top)| top.as_str())
        .filter(|top| ["source", "processor", "sink"].contains(top))
        .collect();
    if stages.len() == 3 && !["pipeline", "lib"].contains(&stage) {
        complaints.push(format!("{path}: names source, processor and sink; only pipeline.rs may"));
    }
    complaints
}

fn supervisors_words(path: &str, code: &str) -> Vec<String> {
    let lines = code.lines().enumerate();
    let words = lines
        .flat_map(|(index, line)| line.split(|char: char| !is_word(char)).map(move |word| (index + 1, word)));
    words
        .filter(|(_, word)| SUPERVISORS_WORDS.contains(word))
        .map(|(line, word)| {
            format!("{path}:{line}: {word} belongs to supervisor; write a child specification")
        })
        .collect()
}

#[test]
fn nobody_imports_what_belongs_to_another() {
    crate::none(rust_files().iter().flat_map(|file| complaints(&file.path, &file.text)).collect());
}

#[test]
fn import_rules_find_what_breaks_them() {
    let check = |path: &str, text: &str, expect: &str| {
        let found = complaints(path, text).join("\n");
        assert!(
            if expect.is_empty() { found.is_empty() } else { found.contains(expect) },
            "{path}: `{found}`"
        );
    };
    check("schemas/src/ids.rs", "use stellar_xdr::Asset;", "ids.rs:1: names stellar_xdr::Asset");
    check("node/src/main.rs", "fn f(x: stellar_xdr::Asset) {}", "stellar_xdr");
    check("actors/src/ledger/view.rs", "use stellar_xdr::Asset;", "");
    check("actors/src/sink/rows.rs", "use stellar_xdr::Asset;", "stellar_xdr");
    check("actors/tests/golden.rs", "use stellar_xdr::Asset;", "");
    check("schemas/src/ids.rs", "// use stellar_xdr::Asset;\nconst A: &str = \"stellar_xdr::Asset\";", "");
    check("node/src/main.rs", "use parquet::arrow::ArrowWriter;", "parquet");
    check("node/src/main.rs", "use orrery_actors::sink::parquet::Writer;", "");
    check("actors/src/dataset/file.rs", "use parquet::arrow::ArrowWriter;", "");
    check("actors/src/dataset/file.rs", "use crate::sink::FileColumn;", "only pipeline.rs joins");
    check("schemas/src/ids.rs", "use arrow::{array, ipc::writer};", "arrow::ipc::writer");
    check("actors/src/source/mod.rs", "sled::open(path)", "sled");
    check("supervisor/src/lib.rs", "use warp::Filter;", "warp");
    check("actors/src/pipeline.rs", "use clap::Parser;", "clap");
    check("chaos/src/cli.rs", "use clap::Parser;", "");
    check("actors/src/pipeline.rs", "std::env::var(\"HOME\")", "std::env::var");
    check("actors/src/pipeline.rs", "use std::time::{Duration, Instant};", "std::time::Instant");
    check("supervisor/src/clock.rs", "use std::time::{Duration, Instant};", "");
    check("node/src/main.rs", "orrery_chaos::run()", "orrery_chaos");
    check("node/tests/x.rs", "use orrery_chaos::run;", "orrery_chaos");

    check("actors/src/pipeline.rs", "Actor::spawn(None, a, b)", "Actor::spawn");
    check(
        "actors/src/pipeline.rs",
        "cell.spawn_linked(None, a, b)",
        "rs:1: spawn_linked belongs to supervisor",
    );
    check("node/src/lib.rs", "use ractor::{Actor,\n SupervisionEvent};", "rs:2: SupervisionEvent belongs to");
    check("node/src/lib.rs", "fn spawn_linked_things() {}", "");
    check("supervisor/src/start.rs", "Actor::spawn_linked(None, a, b)", "");
    check("actors/tests/golden.rs", "Actor::spawn(None, a, b); SupervisionEvent", "");

    check("actors/src/sink/mod.rs", "use crate::source::open;", "only pipeline.rs joins");
    check("actors/src/sink/mod.rs", "use super::processor;", "only pipeline.rs joins");
    check(
        "actors/src/sink/parquet.rs",
        "use super::super::{source, sink::Output};",
        "only pipeline.rs joins",
    );
    check("actors/src/source/mod.rs", "fn f() { crate::sink::open() }", "only pipeline.rs joins");
    check("actors/src/processor/ttp/mod.rs", "use crate::source::RawLedger;", "only pipeline.rs joins");
    check("actors/src/ledger/mod.rs", "use crate::processor::ttp;", "only pipeline.rs joins");
    check("actors/src/source/mod.rs", "use crate::ledger::Network;", "");
    check("actors/src/source/mod.rs", "#[cfg(test)]\nmod tests { use crate::processor::ttp; }", "");
    check("actors/src/source/made/tests.rs", "use crate::processor::ttp;", "");
    let all = "use crate::{source, processor, sink};";
    check("actors/src/pipeline.rs", all, "");
    check("actors/src/coordinator.rs", all, "only pipeline.rs may");
}
