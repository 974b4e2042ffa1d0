//! What came of a run, for people: one page without scripts, with a line of time for each fault.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::verdict::{FaultVerdict, Outcome, PhaseName, Verdict};
use crate::checkers::DEMANDS;

/// Width of a line of time, of which coordinates are fractions.
const WIDTH: f64 = 600.0;

const HEAD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Orrery: faults</title><style>
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#5b6470;--page:#fff;--line:#d5dae0;--good:#1a7f4b;--bad:#b42318;--odd:#9a6700;--work:#9fb6d4;--safety:#c2410c;--heal:#7c5cc4;--live:#1a7f4b;--end:#8a94a0}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--dim:#9aa4b0;--page:#14171b;--line:#333a43;--good:#4cc38a;--bad:#ff7b6b;--odd:#e3b341;--work:#4a6a94;--safety:#e8703a;--heal:#9d86dd;--live:#3fb07a;--end:#5d6670}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:64rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}.dim{color:var(--dim)}
section{border-top:1px solid var(--line);padding:.8rem 0}h3{font-size:1rem;margin:0}code,pre{font:13px/1.4 ui-monospace,monospace}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.3rem 0}.survived{color:var(--good)}.violated,.invalid{color:var(--bad)}
.skipped,.not-implemented{color:var(--odd)}a{color:inherit}svg{display:block;width:100%;height:1.4rem;margin:.4rem 0}.work{fill:var(--work)}
.safety{fill:var(--safety)}.heal{fill:var(--heal)}.liveness{fill:var(--live)}.end{fill:var(--end)}.whole{fill:var(--end)}
table{border-collapse:collapse;width:100%}td{padding:.15rem .8rem .15rem 0;vertical-align:top}.key span{display:inline-block;margin-right:1rem}
.key i{display:inline-block;width:.8rem;height:.8rem;margin-right:.3rem}
</style></head><body>
"#;

/// The page.
pub fn page(verdict: &Verdict) -> String {
    let mut page = HEAD.to_owned();
    // Writing to a text does not fail.
    let _ = write_page(&mut page, verdict);
    page
}

fn write_page(page: &mut String, verdict: &Verdict) -> std::fmt::Result {
    let Verdict { seed, profile, version, seconds, faults } = verdict;
    let is_good = verdict.exit_code() == 0;
    let class = if is_good { "survived" } else { "violated" };
    writeln!(page, "<h1>Faults done to {}</h1>", escaped(version))?;
    writeln!(page, "<p class=\"{class}\"><b>{}</b></p>", escaped(&verdict.sentence()))?;
    if let Some(compared) = verdict.compared() {
        writeln!(page, "<p>{}</p>", escaped(&compared))?;
    }
    writeln!(page, "<p class=\"dim\">profile {}, seed {seed}, {seconds:.0} s</p>", escaped(profile))?;
    write_summary(page, verdict)?;
    writeln!(page, "<h2>What was done</h2>")?;
    key(page)?;
    let is_done = |fault: &&FaultVerdict| !is_listed(fault);
    let all = faults.iter().filter(is_done).map(|fault| fault.began + fault.seconds).fold(0.0, f64::max);
    // What went wrong is what a reader looks for.
    let (good, bad): (Vec<_>, Vec<_>) =
        faults.iter().filter(is_done).partition(|fault| fault.outcome == Outcome::Survived);
    let mut named = BTreeSet::new();
    for fault in bad.into_iter().chain(good) {
        // What leads to a fault leads to its first way.
        let id = if named.insert(&fault.fault) { format!(" id=\"{}\"", fault.fault) } else { String::new() };
        write_fault(page, fault, &id, all)?;
    }
    for (title, outcome) in
        [("What was skipped, and why", Outcome::Skipped), ("What nothing does yet", Outcome::NotImplemented)]
    {
        let mut listed = faults.iter().filter(|fault| fault.outcome == outcome).peekable();
        if listed.peek().is_none() {
            continue;
        }
        writeln!(page, "<h2>{title}</h2><table>")?;
        for FaultVerdict { fault, sentence, why, .. } in listed {
            let why = escaped(why.as_deref().unwrap_or_default());
            writeln!(page, "<tr><td><b>{fault}</b><td>{}<td class=\"dim\">{why}</tr>", escaped(sentence))?;
        }
        writeln!(page, "</table>")?;
    }
    writeln!(page, "<h2>What must hold</h2><table>")?;
    for (id, demand) in DEMANDS {
        writeln!(page, "<tr id=\"{id}\"><td><b>{id}</b><td>{}</tr>", escaped(demand))?;
    }
    writeln!(page, "</table></body></html>")
}

/// Each fault on a line, by class: what came of it, and where to read on.
fn write_summary(page: &mut String, verdict: &Verdict) -> std::fmt::Result {
    let mut letter = None;
    for (fault, outcome) in verdict.by_fault() {
        let class = outcome.name().replace(' ', "-");
        if letter != fault.chars().next() {
            letter = fault.chars().next();
            write!(page, "<br>")?;
        }
        let mark = match outcome {
            Outcome::Survived => "",
            _ => outcome.name(),
        };
        write!(
            page,
            "<a class=\"{class}\" href=\"#{fault}\" title=\"{}\">{fault}</a> {mark} ",
            outcome.name()
        )?;
    }
    writeln!(page)
}

fn is_listed(fault: &FaultVerdict) -> bool {
    matches!(fault.outcome, Outcome::Skipped | Outcome::NotImplemented)
}

fn key(page: &mut String) -> std::fmt::Result {
    write!(page, "<p class=\"key dim\">")?;
    for (class, text) in [
        ("work", "nothing is done"),
        ("safety", "the fault lasts"),
        ("heal", "it is ended"),
        ("liveness", "all catches up"),
        ("end", "stop and comparison, or an experiment as a whole"),
    ] {
        write!(
            page,
            "<span><svg style=\"display:inline;width:.8rem;height:.8rem\" viewBox=\"0 0 1 1\"><rect class=\"{class}\" width=\"1\" height=\"1\"/></svg> {text}</span>"
        )?;
    }
    writeln!(page, "The thin line above a bar is when in the whole run it was.</p>")
}

fn write_fault(page: &mut String, verdict: &FaultVerdict, id: &str, all: f64) -> std::fmt::Result {
    let FaultVerdict { fault, sentence, way, outcome, began, seconds, .. } = verdict;
    let class = outcome.name().replace(' ', "-");
    writeln!(
        page,
        "<section{id}><h3>{fault} <span class=\"{class}\">{}</span> {}</h3>",
        outcome.name(),
        escaped(sentence)
    )?;
    let link = |id: &String| format!("<a href=\"#{id}\">{id}</a>");
    let invariants = verdict.invariants.iter().map(link).collect::<Vec<_>>().join(" ");
    writeln!(
        page,
        "<div class=\"dim\">{way}, {seconds:.1} s from {began:.0} s on; must hold: {invariants}</div>"
    )?;
    timeline(page, verdict, all)?;
    if let Some(witness) = &verdict.witness {
        writeln!(page, "<div>Witness: {}</div>", escaped(witness))?;
    }
    for problem in &verdict.problems {
        writeln!(page, "<pre class=\"violated\">{}</pre>", escaped(problem))?;
    }
    let history = verdict.history.as_deref().map(|file| format!(" · history {}", escaped(file)));
    writeln!(
        page,
        "<code>{}</code><span class=\"dim\">{}</span></section>",
        escaped(&verdict.reproduce),
        history.unwrap_or_default()
    )
}

/// Where in the run it was, above; its phases, below.
fn timeline(page: &mut String, verdict: &FaultVerdict, all: f64) -> std::fmt::Result {
    let scale = |seconds: f64, of: f64| if of > 0.0 { seconds / of * WIDTH } else { 0.0 };
    write!(page, "<svg viewBox=\"0 0 {WIDTH} 20\" preserveAspectRatio=\"none\">")?;
    let (from, width) = (scale(verdict.began, all), scale(verdict.seconds, all).max(1.0));
    write!(page, "<rect class=\"whole\" x=\"{from:.1}\" width=\"{width:.1}\" height=\"4\"/>")?;
    let end = verdict.phases.last().map_or(verdict.seconds, |phase| phase.to);
    let whole = [(PhaseName::End, 0.0, end)];
    let phases: Vec<_> = match verdict.phases.as_slice() {
        [] => whole.to_vec(),
        phases => phases.iter().map(|phase| (phase.name, phase.from, phase.to)).collect(),
    };
    for (name, from, to) in phases {
        let (x, width) = (scale(from, end), scale(to - from, end).max(0.5));
        let title = format!("{} {:.1} to {:.1} s", name.name(), from, to);
        write!(
            page,
            "<rect class=\"{}\" x=\"{x:.1}\" y=\"7\" width=\"{width:.1}\" height=\"13\"><title>{title}</title></rect>",
            name.name()
        )?;
    }
    writeln!(page, "</svg>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::verdict::{Compared, Phase};

    fn fault(outcome: Outcome) -> FaultVerdict {
        FaultVerdict {
            fault: "P1".to_owned(),
            sentence: "A <node>".to_owned(),
            way: "one node".to_owned(),
            invariants: vec!["I1".to_owned()],
            outcome,
            witness: Some("signal 9".to_owned()),
            why: Some("no right".to_owned()),
            problems: vec!["a & b".to_owned()],
            compared: Compared { datasets: 3, feeds: 2 },
            began: 1.0,
            seconds: 2.0,
            phases: vec![Phase { name: PhaseName::Safety, from: 0.5, to: 1.0 }],
            history: Some("P1-0-0.jsonl".to_owned()),
            reproduce: "orrery-chaos run --fault P1 --seed 7".to_owned(),
        }
    }

    #[test]
    fn the_page_says_everything_and_runs_nothing() {
        let faults = vec![fault(Outcome::Survived), fault(Outcome::Skipped)];
        let verdict =
            Verdict { seed: 7, profile: "smoke".to_owned(), version: "1".to_owned(), seconds: 3.0, faults };
        let page = page(&verdict);
        for text in [
            "A &lt;node&gt;",
            "signal 9",
            "a &amp; b",
            "no right",
            "--seed 7",
            "P1-0-0.jsonl",
            "safety 0.5 to 1.0 s",
            "3 datasets are byte for byte",
            "no text holds a secret",
        ] {
            assert!(page.contains(text), "{text}");
        }
        assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"));
    }
}
