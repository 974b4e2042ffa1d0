"""Reads what the sinks wrote with the readers that people have, and compares types and rows.

usage: read_back.py FOLDER [--require-all]

FOLDER holds events.jsonl, events.parquet, events.arrow (IPC file) and events.arrows (IPC stream) of the same rows.
pyarrow and duckdb must be there; polars and deltalake are used where they are, and must be there with --require-all.
The last line names the readers that agreed. Exit code 1 and a message name the first difference.
"""

import base64
import datetime
import decimal
import importlib.util
import json
import os
import sys

import duckdb
import pyarrow
import pyarrow.ipc
import pyarrow.parquet

INTEGERS = ["tx_index", "op_index", "event_index", "ledger_event_index"]
HASHES = ["tx_hash", "to_memo_hash"]
TEXTS = ["event_id", "kind", "op_type", "contract_id", "asset", "asset_code", "asset_issuer", "from", "to", "amount_text"]
COLUMNS = [
    "ledger_sequence", "closed_at", "tx_hash", "tx_index", "op_index", "event_index", "ledger_event_index", "event_id",
    "kind", "op_type", "contract_id", "asset", "asset_code", "asset_issuer", "from", "to", "amount", "amount_text",
    "to_muxed_id", "to_memo_text", "to_memo_hash", "tx_successful",
]


def types(integer, long, text, hash32, binary, amount, muxed, time, boolean):
    """The type of each column, in a reader's own words."""
    words = {"ledger_sequence": long, "closed_at": time, "amount": amount, "to_muxed_id": muxed,
             "to_memo_text": binary, "tx_successful": boolean}
    words |= {name: integer for name in INTEGERS} | {name: text for name in TEXTS} | {name: hash32 for name in HASHES}
    return {name: words[name] for name in COLUMNS}


def expected_row(line):
    """A row as values of Python, from its JSON form."""
    event = json.loads(line)
    text = event.pop("amount")
    event["amount_text"] = text
    event["amount"] = decimal.Decimal(text) if len(text.lstrip("-")) <= 38 else None
    event["closed_at"] = datetime.datetime.fromisoformat(event["closed_at"])
    for name in HASHES:
        event[name] = event[name] and bytes.fromhex(event[name])
    if event["to_memo_text"] is not None:
        event["to_memo_text"] = base64.b64decode(event["to_memo_text"])
    if event["to_muxed_id"] is not None:
        event["to_muxed_id"] = decimal.Decimal(event["to_muxed_id"])
    return event


def check_types(reader, found, expected):
    if list(found) != COLUMNS:
        sys.exit(f"{reader}: columns are {list(found)}")
    for name in COLUMNS:
        if str(found[name]) != expected[name]:
            sys.exit(f"{reader}: column {name} is {found[name]}, not {expected[name]}")


def check_rows(reader, found, expected):
    if len(found) != len(expected):
        sys.exit(f"{reader}: {len(found)} rows, not {len(expected)}")
    for index, (row, other) in enumerate(zip(found, expected)):
        for name in COLUMNS:
            if row[name] != other[name] or type(row[name]) is not type(other[name]):
                sys.exit(f"{reader}: row {index}, column {name}: {row[name]!r}, not {other[name]!r}")
    print(f"{reader}: {len(found)} rows are equal")


def read_pyarrow(folder, expected):
    at_rest = types("int32", "int64", "string", "fixed_size_binary[32]", "binary", "decimal128(38, 0)",
                    "decimal128(20, 0)", "timestamp[us, tz=UTC]", "bool")
    in_memory = at_rest | {name: "dictionary<values=string, indices=int8, ordered=0>" for name in ("kind", "op_type")}
    with pyarrow.OSFile(os.path.join(folder, "events.arrow")) as file:
        seekable = pyarrow.ipc.open_file(file).read_all()
    with pyarrow.OSFile(os.path.join(folder, "events.arrows")) as file:
        stream = pyarrow.ipc.open_stream(file).read_all()
    parquet = pyarrow.parquet.read_table(os.path.join(folder, "events.parquet"))
    cases = [("parquet", parquet, at_rest), ("arrow file", seekable, in_memory), ("arrow stream", stream, in_memory)]
    for name, table, expected_types in cases:
        reader = f"pyarrow {pyarrow.__version__} ({name})"
        check_types(reader, dict(zip(table.schema.names, table.schema.types)), expected_types)
        metadata = table.schema.metadata or {}
        if metadata.get(b"orrery.schema.id") != b"orrery.token_transfers":
            sys.exit(f"{reader}: schema metadata is {metadata}")
        if table.schema.field("amount").metadata[b"unit"] != b"smallest unit of the token":
            sys.exit(f"{reader}: column metadata is {table.schema.field('amount').metadata}")
        check_rows(reader, table.to_pylist(), expected)


def read_duckdb(folder, expected):
    reader = f"duckdb {duckdb.__version__} (parquet)"
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    path = os.path.join(folder, "events.parquet")
    relation = connection.sql("FROM read_parquet(?)", params=[path])
    check_types(reader, dict(zip(relation.columns, relation.types)),
                types("INTEGER", "BIGINT", "VARCHAR", "BLOB", "BLOB", "DECIMAL(38,0)", "DECIMAL(20,0)",
                      "TIMESTAMP WITH TIME ZONE", "BOOLEAN"))
    # Times leave as epochs: as time stamps they would need one more Python package.
    query = 'SELECT * REPLACE (epoch_us(closed_at) AS closed_at) FROM read_parquet(?)'
    rows = [dict(zip(COLUMNS, row)) for row in connection.execute(query, [path]).fetchall()]
    for row in rows:
        row["closed_at"] = utc(row["closed_at"])
    check_rows(reader, rows, expected)
    # A lookup by one value goes through the bloom filters.
    for name in ("from", "to", "contract_id"):
        value = next(row[name] for row in expected if row[name])
        count = connection.execute(f'SELECT count(*) FROM read_parquet(?) WHERE "{name}" = ?', [path, value]).fetchone()
        if count != (sum(row[name] == value for row in expected),):
            sys.exit(f"{reader}: lookup of {name} = {value} finds {count}")


def read_polars(folder, expected):
    import polars

    expected_types = types("Int32", "Int64", "String", "Binary", "Binary", "Decimal(precision=38, scale=0)",
                           "Decimal(precision=20, scale=0)", "Datetime(time_unit='us', time_zone='UTC')", "Boolean")
    reader = f"polars {polars.__version__} (parquet)"
    frame = polars.read_parquet(os.path.join(folder, "events.parquet"))
    check_types(reader, dict(frame.schema), expected_types)
    # Polars gives time zones as its own class: compare the moments.
    rows = frame.to_dicts()
    for row in rows:
        row["closed_at"] = row["closed_at"].astimezone(datetime.timezone.utc)
    check_rows(reader, rows, expected)


def read_deltalake(folder, expected):
    import deltalake

    reader = f"deltalake {deltalake.__version__} (parquet under a log written by hand)"
    table = deltalake.DeltaTable(write_delta_log(folder))
    delta = types("integer", "long", "string", "binary", "binary", "decimal(38,0)", "decimal(20,0)", "timestamp", "boolean")
    stated = {field.name: field.type.type for field in table.schema().fields}
    check_types(reader, stated, delta)
    arrow = pyarrow.table(deltalake.QueryBuilder().register("t", table).execute("SELECT * FROM t"))
    rows = arrow.select(COLUMNS).to_pylist()
    rows.sort(key=lambda row: (row["ledger_sequence"], row["ledger_event_index"]))
    for row in rows:
        row["closed_at"] = row["closed_at"].astimezone(datetime.timezone.utc)
    check_rows(reader, rows, expected)


def write_delta_log(folder):
    """A table over the file as it is, in the words that Delta has for types."""
    table = os.path.join(folder, "table")
    os.makedirs(os.path.join(table, "_delta_log"))
    os.link(os.path.join(folder, "events.parquet"), os.path.join(table, "events.parquet"))
    names = types("integer", "long", "string", "binary", "binary", "decimal(38,0)", "decimal(20,0)", "timestamp", "boolean")
    fields = [{"name": name, "type": names[name], "nullable": True, "metadata": {}} for name in COLUMNS]
    actions = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": {"id": "00000000-0000-0000-0000-000000000000", "format": {"provider": "parquet", "options": {}},
                      "schemaString": json.dumps({"type": "struct", "fields": fields}), "partitionColumns": [],
                      "configuration": {}, "createdTime": 0}},
        {"add": {"path": "events.parquet", "partitionValues": {}, "modificationTime": 0, "dataChange": True,
                 "size": os.path.getsize(os.path.join(table, "events.parquet"))}},
    ]
    with open(os.path.join(table, "_delta_log", f"{0:020}.json"), "w", encoding="utf-8") as log:
        log.write("\n".join(map(json.dumps, actions)))
    return table


def utc(micros):
    return datetime.datetime.fromtimestamp(micros // 1_000_000, datetime.timezone.utc)


def main():
    folder = sys.argv[1]
    with open(os.path.join(folder, "events.jsonl"), encoding="utf-8") as lines:
        expected = [expected_row(line) for line in lines]
    read_pyarrow(folder, expected)
    read_duckdb(folder, expected)
    readers = ["pyarrow", "duckdb"]
    for name, read in [("polars", read_polars), ("deltalake", read_deltalake)]:
        if importlib.util.find_spec(name) is not None:
            read(folder, expected)
            readers.append(name)
        elif "--require-all" in sys.argv:
            sys.exit(f"{name} is not installed")
    print("agreed:", ", ".join(readers))


if __name__ == "__main__":
    main()
