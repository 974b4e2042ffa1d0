//! `orrery epoch`: the epochs of datasets, and the announcement of the next one to those of all regions.

use orrery_actors::dataset::{AnnouncedEpoch, DatasetSettings, DatasetUrl, Table, TableKind};
use serde_json::{Value, json};

use crate::cli::EpochArgs;
use crate::console::{Console, thousands};
use crate::exit::Failure;
use crate::inspect::Columns;
use crate::runner;
use crate::threads;

/// Lists epochs, after it has announced one if that is asked for.
pub(crate) fn run(args: &EpochArgs, console: &Console) -> Result<(), Failure> {
    threads::runtime()?.block_on(async {
        let mut tables = Vec::new();
        for url in &args.dataset {
            let store = runner::connect(url)?;
            for kind in TableKind::ALL {
                let table = Table::open(&store, kind, &DatasetSettings::default()).await?;
                tables.push((url, table));
            }
        }
        if let Some(from_ledger) = args.from_ledger {
            announce(&mut tables, from_ledger.get(), args.ledgers_per_slot).await?;
        }
        show(tables.iter().flat_map(|(url, table)| listed(url, table)).collect(), console)
    })
}

/// Announces to all or, as far as can be told before, to none: an epoch that one region has and another does not parts them.
async fn announce(
    tables: &mut [(&DatasetUrl, Table)],
    from_ledger: u32,
    ledgers_per_slot: Option<u32>,
) -> Result<(), Failure> {
    let last = |table: &Table| table.configuration().epochs.as_slice().last().map_or(0, |last| last.epoch);
    let known = |table: &Table| table.announced_epoch().map(|announced| announced.epoch);
    let is_there = |table: &Table| {
        let mut begun = table.configuration().epochs.as_slice().iter();
        begun.any(|epoch| epoch.from_ledger.0 == from_ledger)
    };
    // Who was told before, and has perhaps come to it, is asked again with the others.
    let number = |table: &Table| match is_there(table) {
        true => last(table),
        false => known(table).unwrap_or(last(table) + 1),
    };
    let numbers: Vec<u32> = tables.iter().map(|(_, table)| number(table)).collect();
    let Some(epoch) = numbers.first().copied() else { return Ok(()) };
    if let Some(((url, table), other)) = tables.iter().zip(&numbers).find(|(_, number)| **number != epoch) {
        return Err(Failure::Usage(format!(
            "{} of {url} would announce epoch {other}, the first table epoch {epoch}: list them without --from-ledger, \
             and announce to those that are behind what the others have",
            table.kind()
        )));
    }
    let is_told = |table: &Table| is_there(table) || known(table).is_some();
    let untold = tables.iter().filter(|(_, table)| !is_told(table));
    if let Some((url, earliest)) =
        untold.map(|(url, table)| (url, table.earliest_epoch())).max_by_key(|it| it.1)
        && from_ledger < earliest.0
    {
        return Err(Failure::Usage(format!(
            "an epoch from ledger {from_ledger}: ledgers before {earliest} may be in work for {url} already; take that one or a later one"
        )));
    }
    for (_, table) in tables {
        let schema_version = table.kind().schema_version();
        let processor_version = DatasetSettings::default().processor_version;
        let wanted =
            AnnouncedEpoch { epoch, from_ledger, schema_version, processor_version, ledgers_per_slot };
        table.announce_epoch(wanted).await?;
    }
    Ok(())
}

fn listed(url: &DatasetUrl, table: &Table) -> Vec<Value> {
    let grid = &table.configuration().grid;
    let row = |epoch: u32, from: u32, rules: u32, width: Option<u32>, state: &str| {
        json!({
            "dataset": url.to_string(),
            "table": table.kind().as_str(),
            "epoch": epoch,
            "from_ledger": from,
            "rules": rules,
            "ledgers_per_slot": width,
            "state": state,
        })
    };
    let width = |from: u32| {
        let step = grid.steps().iter().rev().find(|step| step.from_ledger.0 <= from);
        step.or(grid.steps().first()).map(|step| step.ledgers_per_slot)
    };
    let begun = table.configuration().epochs.as_slice().iter().map(|epoch| {
        let from = epoch.from_ledger.0;
        row(epoch.epoch, from, epoch.processor_version, width(from), "in the log")
    });
    let announced = table.announced_epoch().map(|epoch| {
        let width = epoch.ledgers_per_slot.or_else(|| width(epoch.from_ledger));
        row(epoch.epoch, epoch.from_ledger, epoch.processor_version, width, "announced")
    });
    begun.chain(announced).collect()
}

fn show(epochs: Vec<Value>, console: &Console) -> Result<(), Failure> {
    let mut columns =
        Columns::new(["DATASET", "TABLE", "EPOCH", "FROM LEDGER", "RULES", "LEDGERS A SLOT", "STATE"]);
    for epoch in &epochs {
        let text = |key: &str| match &epoch[key] {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), thousands),
            _ => "-".to_owned(),
        };
        let keys = ["dataset", "table", "epoch", "from_ledger", "rules", "ledgers_per_slot", "state"];
        columns.add(keys.map(text));
    }
    console.text(columns.lines().join("\n"))?;
    console.json(&Value::Array(epochs))
}
