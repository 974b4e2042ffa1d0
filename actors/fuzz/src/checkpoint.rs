//! Rows of a checkpoint whose columns have any Arrow type and any value, as another engine may have written them.

use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use arrow::array::{ArrayRef, Int64Array, MapBuilder, RecordBatch, StringArray, StringBuilder, StructArray};
use arrow::datatypes::{Field, Fields, Schema};
use orrery_actors::dataset::reread_checkpoint_rows;

use super::columns;

/// The settings' row and the files' ones.
const ROWS: usize = 4;

/// The settings of a small table of ledgers.
const CONFIGURATION: [(&str, &str); 8] = [
    ("orrery.network.passphrase", "Test SDF Network ; September 2015"),
    ("orrery.network.id", "cee0302d59844d32bdca915c8203dd44b33fbb7edc19051ea37abedf28ecd472"),
    ("orrery.start_ledger", "2"),
    ("orrery.grid", "0:16"),
    ("orrery.epochs", "1@2:1:1"),
    ("orrery.schema.id", "orrery.ledgers"),
    ("orrery.schema.version", "1"),
    ("orrery.row_digest", "setsum-sha256-v1/ledgers-v1"),
];

/// Checks rows that are valid but for some columns, which `input` replaces: what is read is made again, and stays so.
pub fn check(input: &[u8]) {
    let is_whole = input.is_empty();
    let Ok(rows) = rows(&mut Unstructured::new(input)) else { return };
    match reread_checkpoint_rows(&rows) {
        Ok(made) => assert_eq!(reread_checkpoint_rows(&made).expect("read what was made"), made),
        Err(problem) => assert!(!problem.is_empty() && !is_whole, "{problem}"),
    }
}

/// Input that is too short means that nothing is damaged.
fn rows(input: &mut Unstructured<'_>) -> Result<RecordBatch> {
    let files = damaged(input, files()?, |row| row > 0)?;
    let metadata = damaged(input, metadata()?, |row| row == 0)?;
    let mut columns = vec![("add", files), ("metaData", metadata)];
    if !input.ratio(15, 16)? {
        let at = input.choose_index(columns.len())?;
        columns[at].1 = columns::column(input, &texts("text"))?;
    }
    let fields = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(schema, columns).expect("columns of equal length");
    let skipped = input.int_in_range(0..=ROWS)?;
    Ok(batch.slice(skipped, ROWS - skipped))
}

type Children = Vec<(&'static str, ArrayRef)>;

/// A struct of these, some of them replaced or left out, in some of the rows.
fn damaged(
    input: &mut Unstructured<'_>,
    mut children: Children,
    is_there: fn(usize) -> bool,
) -> Result<ArrayRef> {
    for _ in 0..input.int_in_range(0..=2)? {
        let at = input.choose_index(children.len())?;
        if !input.ratio(15, 16)? {
            children.swap_remove(at);
        } else {
            let valid = children[at].1.clone();
            children[at].1 = if !input.ratio(3, 4)? { map(input)? } else { columns::column(input, &valid)? };
        }
    }
    let fields = children.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true));
    let fields: Fields = fields.collect::<Vec<_>>().into();
    let arrays = children.into_iter().map(|(_, array)| array).collect();
    let mut nulls: Vec<bool> = (0..ROWS).map(is_there).collect();
    if !input.ratio(7, 8)? {
        nulls.fill(input.arbitrary()?);
    }
    Ok(Arc::new(StructArray::try_new(fields, arrays, Some(nulls.into())).expect("children of equal length")))
}

fn texts(text: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![text; ROWS]))
}

fn numbers(number: i64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![number; ROWS]))
}

fn files() -> Result<Children> {
    let digits = "0".repeat(64);
    let bounds = r#"{"sequence":2,"closed_at":"2024-09-02T10:50:19.000Z"}"#;
    let stats = format!(r#"{{"numRecords":1,"minValues":{bounds},"maxValues":{bounds}}}"#);
    Ok(vec![
        ("path", texts(&format!("data/2-15-{}.parquet", &digits[..16]))),
        ("size", numbers(100)),
        ("modificationTime", numbers(1_725_274_219_000)),
        ("stats", texts(&stats)),
        ("tags", maps(&[("orrery.row_digest", &digits), ("orrery.sha256", &digits)])),
    ])
}

fn metadata() -> Result<Children> {
    Ok(vec![
        ("id", texts("00000000-0000-0000-0000-000000000000")),
        ("name", texts("ledgers")),
        ("schemaString", texts("{}")),
        ("configuration", maps(&CONFIGURATION)),
    ])
}

fn maps(pairs: &[(&str, &str)]) -> ArrayRef {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for _ in 0..ROWS {
        for (key, value) in pairs {
            builder.keys().append_value(key);
            builder.values().append_value(value);
        }
        builder.append(true).expect("as many keys as values");
    }
    Arc::new(builder.finish())
}

/// The settings with other values, some null, some with texts that keys may have.
fn map(input: &mut Unstructured<'_>) -> Result<ArrayRef> {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for _ in 0..ROWS {
        for (key, value) in CONFIGURATION {
            let kept = input.ratio(7, 8)?;
            builder.keys().append_value(key);
            match kept {
                true => builder.values().append_value(value),
                false => builder.values().append_option(input.arbitrary::<Option<&str>>()?),
            }
        }
        builder.append(input.ratio(7, 8)?).expect("as many keys as values");
    }
    Ok(Arc::new(builder.finish()))
}
