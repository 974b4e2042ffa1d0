//! `orrery verify --dataset --against`: two datasets held against each other by their logs.

use futures::FutureExt;
use orrery_actors::dataset::{Comparison, DatasetUrl, Relation, Side, Standing, TableComparison, compare};
use serde_json::{Value, json};

use crate::console::Console;
use crate::exit::Failure;
use crate::threads;
use crate::{interrupt, runner};

/// Reads the ends of both logs, and more where they differ; fails if they contradict each other or one is behind.
pub(crate) fn run(one: &DatasetUrl, other: &DatasetUrl, console: &Console) -> Result<(), Failure> {
    let runtime = threads::runtime()?;
    let interrupted = interrupt::wait()?;
    let stores = (runner::connect(one)?, runner::connect(other)?);
    let comparison = runtime.block_on(async {
        tokio::select! {
            comparison = compare(&stores.0, &stores.1).boxed() => comparison.map_err(Failure::from),
            () = interrupted => Err(Failure::Interrupted),
        }
    })?;
    let tables: Vec<_> = comparison.tables.iter().map(table).collect();
    console.rows(&tables)?;
    verdict(&comparison, one, other, console)
}

fn table(table: &TableComparison) -> Vec<(&'static str, Value)> {
    let [one, other] = &table.ends;
    let of = |end: &Option<Standing>, value: fn(&Standing) -> Value| end.as_ref().map(value);
    let pair = |value: fn(&Standing) -> Value| json!([of(one, value), of(other, value)]);
    let difference = table.difference.as_ref();
    let hashes = difference.map(|it| it.slot_sha256.map(|hash| hash.to_string()));
    vec![
        ("table", json!(table.kind.as_str())),
        ("state", json!(state(table.relation))),
        ("last_slots", pair(|end| json!(end.slot))),
        ("last_ledgers", pair(|end| json!(end.last_ledger.map(|ledger| ledger.0)))),
        ("closed_at", pair(|end| json!(end.closed_at.map(|time| time.to_string())))),
        ("last_slot_sha256", pair(|end| json!(end.slot_sha256.to_string()))),
        ("first_slot_that_differs", json!(difference.map(|it| it.slot))),
        ("its_sha256", json!(hashes)),
        ("difference", json!(difference.map(|it| &it.what))),
    ]
}

fn state(relation: Relation) -> &'static str {
    match relation {
        Relation::Equal => "equal",
        Relation::Behind(Side::One) => "behind",
        Relation::Behind(Side::Other) => "ahead",
        Relation::OtherLayout => "other layout",
        Relation::OtherRows => "other rows",
        Relation::OtherSettings => "other settings",
        Relation::Missing(Side::One) => "missing",
        Relation::Missing(Side::Other) => "missing in the other",
    }
}

/// Whether the tables are equal; one that is merely behind is asked again later.
fn verdict(
    comparison: &Comparison,
    one: &DatasetUrl,
    other: &DatasetUrl,
    console: &Console,
) -> Result<(), Failure> {
    let names = |side: Side| if side == Side::One { one } else { other };
    let mut behind = None;
    for table in &comparison.tables {
        let kind = table.kind.as_str();
        let slot = table.difference.as_ref().map_or(0, |difference| difference.slot);
        match table.relation {
            Relation::Equal => {}
            Relation::Behind(side) => behind = behind.or(Some((kind, side))),
            Relation::OtherLayout => {
                console.warn(format_args!("{kind}: from slot {slot} on, slots or compactions are in other places; the rows are the same"));
                let [ends_one, ends_other] =
                    table.ends.each_ref().map(|end| end.as_ref().map(|it| it.last_ledger));
                if ends_one != ends_other {
                    let side = if ends_one < ends_other { Side::One } else { Side::Other };
                    behind = behind.or(Some((kind, side)));
                }
            }
            Relation::Missing(side) => {
                return Err(Failure::CheckFailed(format!("{}: there is no table {kind}", names(side))));
            }
            Relation::OtherRows | Relation::OtherSettings => {
                let what = table.difference.as_ref().map_or("", |difference| difference.what.as_str());
                return Err(Failure::CheckFailed(format!(
                    "{kind}: {one} and {other} contradict each other from slot {slot} on: {what}; find which is wrong: \
                     `orrery verify --dataset` for each, and the ledgers' own proofs with `orrery verify --source`"
                )));
            }
        }
    }
    match behind {
        Some((kind, side)) => {
            Err(Failure::Behind(format!("{}: {kind} is behind, and the same as far as it goes", names(side))))
        }
        None => console.text(WHAT_IT_MEANS),
    }
}

const WHAT_IT_MEANS: &str = "
The logs are hash chains: equal ends, equal logs, and equal hashes of every data file. That the files are as the logs say is
for `orrery scrub` to find, in each.";
