//! Positions and epochs: I5 heads never go back, I8 fencing.

use std::collections::BTreeMap;

use super::{Finding, Findings};
use crate::history::{Entry, Kind, Op};

/// I5: a subject's position never goes back, and whoever looks after ledgers were acknowledged finds them.
pub fn monotone(history: &[Entry]) -> Vec<Finding> {
    let mut findings = Findings::of(5);
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    let mut acknowledged: BTreeMap<&str, u64> = BTreeMap::new();
    // What was acknowledged when somebody began to look.
    let mut looks: BTreeMap<u64, u64> = BTreeMap::new();
    for entry in history {
        match (&entry.what, entry.kind) {
            (Op::Commit { table, last, .. }, Kind::Ok) => {
                let newest = acknowledged.entry(table).or_default();
                *newest = (*newest).max(u64::from(*last));
            }
            (Op::Head { subject, .. }, Kind::Invoke) => {
                looks.insert(entry.operation, acknowledged.get(subject.as_str()).copied().unwrap_or(0));
            }
            (Op::Head { subject, value }, Kind::Ok) => match looks.get(&entry.operation) {
                Some(least) if value < least => findings.add(format!(
                    "{} found {subject} at {value}, though {least} was acknowledged before it looked",
                    entry.process
                )),
                Some(_) => {}
                None => {
                    let before = seen.entry(subject).or_default();
                    if value < before {
                        findings.add(format!("{subject} went back from {before} to {value}"));
                    }
                    *before = (*before).max(*value);
                }
            },
            _ => {}
        }
    }
    findings.found
}

/// I8: nobody acts under an older epoch than it has seen, and no two act under the same.
pub fn fencing(history: &[Entry]) -> Vec<Finding> {
    let mut findings = Findings::of(8);
    let mut known: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut owners: BTreeMap<(&str, u64), &str> = BTreeMap::new();
    for entry in history {
        match &entry.what {
            Op::Epoch { register, epoch } => {
                let newest = known.entry((&entry.process, register)).or_default();
                *newest = (*newest).max(*epoch);
            }
            Op::Acts { register, epoch } if entry.kind == Kind::Ok => {
                let newest = known.get(&(entry.process.as_str(), register.as_str())).copied().unwrap_or(0);
                if *epoch < newest {
                    findings.add(format!(
                        "{} acts for {register} under epoch {epoch}, though it has seen {newest}",
                        entry.process
                    ));
                }
                let owner = owners.entry((register, *epoch)).or_insert(&entry.process);
                if *owner != entry.process {
                    findings
                        .add(format!("{owner} and {} act for {register} under epoch {epoch}", entry.process));
                }
            }
            _ => {}
        }
    }
    findings.found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::tests::{check, history, seen};

    #[test]
    fn heads_that_go_back_are_found() {
        let head = |subject: &str, value| Op::Head { subject: subject.to_owned(), value };
        check(monotone, &seen([head("a", 1), head("b", 0), head("a", 1), head("a", 5)]), "");
        check(monotone, &seen([head("a", 4), head("a", 3)]), "a went back from 4 to 3");
        let commit = Op::Commit { table: "t".to_owned(), first: 2, last: 9 };
        let look = |value, first: Kind| {
            let commit = ("w", Kind::Ok, 1, commit.clone());
            let begin = ("r", Kind::Invoke, 2, head("t", 0));
            let order = if first == Kind::Ok { [commit, begin] } else { [begin, commit] };
            history(order.into_iter().chain([("r", Kind::Ok, 2, head("t", value))]))
        };
        check(monotone, &look(9, Kind::Ok), "");
        check(monotone, &look(5, Kind::Ok), "found t at 5, though 9 was acknowledged");
        check(monotone, &look(5, Kind::Invoke), "");
    }

    #[test]
    fn acting_under_an_old_epoch_and_two_under_one_are_found() {
        let epoch = |epoch| Op::Epoch { register: "lease".to_owned(), epoch };
        let acts = |epoch| Op::Acts { register: "lease".to_owned(), epoch };
        let is = |parts: Vec<(&'static str, Op)>, expect| {
            let parts = parts.into_iter().map(|(who, what)| (who, Kind::Ok, 0, what));
            check(fencing, &history(parts), expect);
        };
        is(vec![("a", epoch(1)), ("a", acts(1)), ("b", epoch(2)), ("a", acts(1)), ("b", acts(2))], "");
        is(vec![("a", epoch(2)), ("a", acts(1))], "a acts for lease under epoch 1, though it has seen 2");
        is(vec![("a", acts(1)), ("b", acts(1))], "a and b act for lease under epoch 1");
    }
}
