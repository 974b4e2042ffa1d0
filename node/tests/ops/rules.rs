//! Rules: what they ask for is there, each alert has a page and a test that fires and resolves it.

use std::collections::{BTreeMap, BTreeSet};

use crate::contract::known;
use crate::query::{TARGET_LABELS, named};
use crate::tools::{files, program, read, succeeds};

const RULES: &str = "monitoring/prometheus/rules";

/// A rule as its file has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    /// Of an alert, or of what is recorded.
    pub(crate) name: String,
    pub(crate) is_alert: bool,
    pub(crate) query: String,
    pub(crate) runbook: String,
    pub(crate) summary: String,
    pub(crate) severity: String,
    /// That it adds.
    pub(crate) labels: BTreeSet<String>,
}

/// Every rule. Our files are simple: one key a line, a query in quotes or indented below `>-`.
pub(crate) fn rules() -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for file in files(RULES, ".yaml") {
        let text = read(&file);
        let mut folded = false;
        for line in text.lines() {
            let trimmed = line.trim_start();
            let (key, value) = trimmed.trim_start_matches("- ").split_once(": ").unwrap_or((trimmed, ""));
            let value = value.trim_matches(['\'', '"']).replace("''", "'");
            let indent = line.len() - trimmed.len();
            if ["alert", "record"].contains(&key) {
                rules.push(Rule { name: value, is_alert: key == "alert", ..Rule::default() });
                continue;
            }
            let Some(rule) = rules.last_mut() else { continue };
            match key {
                "expr" if value == ">-" => folded = true,
                "expr" => rule.query = value,
                _ if folded && indent > 8 => rule.query += &format!(" {trimmed}"),
                "runbook" => rule.runbook = value,
                "summary" => rule.summary = value,
                "severity" => rule.severity = value,
                "labels" => {
                    let given = value
                        .trim_matches(['{', '}'])
                        .split(',')
                        .filter_map(|one| Some(one.split_once(':')?.0));
                    rule.labels.extend(given.map(|label| label.trim().to_owned()));
                }
                _ => {}
            }
            folded = folded && (key == "expr" || indent > 8);
        }
    }
    rules
}

/// What is recorded, and which labels it has.
pub(crate) fn recorded() -> BTreeMap<String, BTreeSet<String>> {
    let mut recorded = BTreeMap::new();
    for rule in rules().into_iter().filter(|rule| !rule.is_alert) {
        let labels: &mut BTreeSet<String> = recorded.entry(rule.name).or_default();
        labels.extend(named(&rule.query).grouped);
        labels.extend(rule.labels);
    }
    recorded
}

/// That every name in a query is known, and every label is one of the metrics that it selects.
#[track_caller]
pub(crate) fn check_query(query: &str, of: &str, known: &BTreeMap<String, BTreeSet<String>>) {
    let asked = named(query);
    let mut all: BTreeSet<&str> = TARGET_LABELS.into();
    for (metric, labels) in &asked.metrics {
        let has = known.get(metric).unwrap_or_else(|| panic!("{of}: nobody shows {metric}: {query}"));
        all.extend(has.iter().map(String::as_str));
        let strange: Vec<_> = labels
            .iter()
            .filter(|label| !has.contains(*label) && !TARGET_LABELS.contains(&label.as_str()))
            .collect();
        assert!(strange.is_empty(), "{of}: {metric} has no label {strange:?}: {query}");
    }
    let strange: Vec<_> = asked.grouped.iter().filter(|label| !all.contains(label.as_str())).collect();
    assert!(strange.is_empty(), "{of}: nothing in it has the label {strange:?}: {query}");
}

#[test]
fn rules_ask_for_what_is_there() {
    let (rules, known) = (rules(), known());
    for rule in &rules {
        check_query(&rule.query, &rule.name, &known);
        assert!(!named(&rule.query).metrics.is_empty() || rule.query == "vector(1)", "{rule:?}");
    }
    let alerts = rules.iter().filter(|rule| rule.is_alert).count();
    assert!(alerts > 100, "{alerts}");
    // Whatever a query is told by must be among what it leaves.
    for rule in rules.iter().filter(|rule| rule.is_alert) {
        for part in rule.summary.split("{{ $labels.").skip(1) {
            let label = part.split(' ').next().unwrap();
            let asked = named(&rule.query);
            let mut all: BTreeSet<&str> = TARGET_LABELS.into();
            all.extend(asked.grouped.iter().map(String::as_str));
            all.extend(asked.metrics.keys().flat_map(|metric| known[metric].iter().map(String::as_str)));
            assert!(all.contains(label), "{}: the summary names {label}", rule.name);
        }
    }
}

/// The anchor that a heading has.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace(' ', "-")
}

#[test]
fn every_alert_has_a_page_that_is_about_it() {
    let mut used = BTreeSet::new();
    for rule in rules().into_iter().filter(|rule| rule.is_alert) {
        let (page, place) =
            rule.runbook.split_once('#').unwrap_or_else(|| panic!("{}: no runbook", rule.name));
        let text = read(page.strip_prefix("ops/").unwrap());
        let section =
            text.split("\n## ").skip(1).find(|section| anchor(section.lines().next().unwrap()) == place);
        let section = section.unwrap_or_else(|| panic!("{}: {page} has no {place}", rule.name));
        assert_eq!(anchor(&rule.name), place);
        assert!(section.contains(&format!("`{}`", rule.query)), "{}: its page has another query", rule.name);
        assert!(section.contains(&format!("Severity {};", rule.severity)), "{}: another severity", rule.name);
        let (_, behind) =
            section.split_once("```sh\n").unwrap_or_else(|| panic!("{}: no command", rule.name));
        let (commands, what_to_do) = behind.split_once("```").unwrap();
        assert!(!commands.trim().is_empty() && !what_to_do.trim().is_empty(), "{}", rule.name);
        used.insert((page.to_owned(), place.to_owned()));
    }
    for page in files("runbooks/alerts", ".md").into_iter().filter(|page| !page.ends_with("README.md")) {
        for heading in read(&page).lines().filter_map(|line| line.strip_prefix("## ")) {
            assert!(used.contains(&(format!("ops/{page}"), anchor(heading))), "{page}: no alert {heading}");
        }
    }
}

#[test]
fn every_alert_fires_and_is_resolved() {
    let tests = files("monitoring/prometheus/tests", ".yaml");
    let all: String = tests.iter().map(|file| read(file)).collect();
    for rule in rules().into_iter().filter(|rule| rule.is_alert) {
        let (_, test) =
            all.split_once(&format!("  - name: {}\n", rule.name)).unwrap_or_else(|| panic!("{}", rule.name));
        let test = test.split("  - name: ").next().unwrap();
        let evaluations: Vec<_> = test.split("- eval_time:").skip(1).collect();
        let expect =
            |at: usize| evaluations.get(at).is_some_and(|evaluation| evaluation.contains("exp_alerts"));
        assert!(expect(0), "{}: nothing shows that it fires", rule.name);
        let is_resolved = evaluations.len() == 2 && !expect(1);
        assert!(is_resolved || rule.query == "vector(1)", "{}: nothing shows that it is resolved", rule.name);
    }
    for file in tests {
        let Some(mut promtool) = program("ORRERY_PROMTOOL", "promtool") else { return };
        succeeds(promtool.args(["test", "rules"]).arg(crate::tools::ops(&file)));
    }
}

#[test]
fn prometheus_and_alertmanager_take_their_configuration() {
    if let Some(mut promtool) = program("ORRERY_PROMTOOL", "promtool") {
        let config = crate::tools::ops("monitoring/prometheus/prometheus.yaml");
        let said = succeeds(promtool.args(["check", "config"]).arg(config));
        assert!(said.contains("SUCCESS") && !said.contains("FAILED"), "{said}");
    }
    let config = crate::tools::ops("monitoring/alertmanager/alertmanager.yaml");
    let Some(mut amtool) = program("ORRERY_AMTOOL", "amtool") else { return };
    succeeds(amtool.arg("check-config").arg(&config));
    let check = |labels: &[&str], expect: &str| {
        let mut amtool = program("ORRERY_AMTOOL", "amtool").unwrap();
        let amtool = amtool.args(["config", "routes", "test", "--config.file"]).arg(&config).args(labels);
        let output = amtool.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expect, "{labels:?}");
    };
    check(&["severity=critical", "team=operations"], "pagerduty,slack");
    check(&["severity=warning", "team=operations"], "slack");
    check(&["severity=info", "team=operations"], "slack-info");
    check(&["severity=info", "team=product"], "mail-product");
    check(&["severity=critical", "team=security"], "slack-security,pagerduty,slack");
    check(&["alertname=OrreryWatchdog", "severity=none"], "dead-mans-switch");
}

/// Whatever Alertmanager names is an alert, or a pattern that some alert fits.
#[test]
fn what_is_inhibited_exists() {
    let names: Vec<_> = rules().into_iter().filter(|rule| rule.is_alert).map(|rule| rule.name).collect();
    let text = read("monitoring/alertmanager/alertmanager.yaml");
    let patterns = text.split("alertname ").skip(1).map(|rest| rest.split('"').nth(1).unwrap());
    let mut count = 0;
    for pattern in patterns.flat_map(alternatives) {
        let fits = |name: &&String| match pattern.split_once(".*") {
            Some((before, behind)) => name.starts_with(before) && name.ends_with(behind),
            None => **name == pattern,
        };
        assert!(names.iter().any(|name| fits(&name)), "no alert is like {pattern}");
        count += 1;
    }
    assert!(count > 30);
}

/// `a|b(c|d)e` as `a`, `bce`, `bde`.
fn alternatives(pattern: &str) -> Vec<String> {
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for one in pattern.chars() {
        match one {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        match (one, depth) {
            ('|', 0) => parts.push(String::new()),
            _ => parts.last_mut().unwrap().push(one),
        }
    }
    let expand = |part: String| match (part.find('('), part.find(')')) {
        (Some(open), Some(close)) => {
            let inner = part[open + 1..close].split('|');
            inner.map(|inner| format!("{}{inner}{}", &part[..open], &part[close + 1..])).collect()
        }
        _ => vec![part],
    };
    parts.into_iter().flat_map(expand).collect()
}
