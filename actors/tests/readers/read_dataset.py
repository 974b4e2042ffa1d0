"""Reads both tables of a dataset with the Delta readers that people have, and compares types and rows.

usage: read_dataset.py DATASET EXPECTED

EXPECTED holds token_transfers.jsonl (as the JSON sink writes it) and ledgers.jsonl (hashes in hexadecimal). deltalake,
polars, and DuckDB with its delta extension must be there. Exit code 1 and a message name the first difference.
"""

import datetime
import json
import os
import sys
import tempfile

import deltalake
import duckdb
import polars
import pyarrow
from duckdb_extensions import import_extension

import read_back

LEDGER_HASHES = ["hash", "previous_hash", "tx_set_hash", "tx_set_result_hash", "row_digest"]
LEDGER_LONGS = ["sequence", "total_coins", "fee_pool", "base_fee", "base_reserve", "max_tx_set_size"]
LEDGER_COLUMNS = [
    "sequence", "hash", "previous_hash", "closed_at", "protocol_version", "tx_set_hash", "tx_set_result_hash", "tx_count",
    "successful_tx_count", "failed_tx_count", "operation_count", "event_count", "total_coins", "fee_pool", "base_fee",
    "base_reserve", "max_tx_set_size", "row_digest",
]


def ledger_types(integer, long, hash32, time):
    words = {name: integer for name in LEDGER_COLUMNS} | {name: long for name in LEDGER_LONGS}
    return words | {name: hash32 for name in LEDGER_HASHES} | {"closed_at": time}


TYPES = {
    "deltalake": {
        "token_transfers": read_back.types("integer", "long", "string", "binary", "binary", "decimal(38,0)", "decimal(20,0)",
                                           "timestamp", "boolean"),
        "ledgers": ledger_types("integer", "long", "binary", "timestamp"),
    },
    "polars": {
        "token_transfers": read_back.types("Int32", "Int64", "String", "Binary", "Binary",
                                           "Decimal(precision=38, scale=0)", "Decimal(precision=20, scale=0)",
                                           "Datetime(time_unit='us', time_zone='UTC')", "Boolean"),
        "ledgers": ledger_types("Int32", "Int64", "Binary", "Datetime(time_unit='us', time_zone='UTC')"),
    },
    "duckdb": {
        "token_transfers": read_back.types("INTEGER", "BIGINT", "VARCHAR", "BLOB", "BLOB", "DECIMAL(38,0)", "DECIMAL(20,0)",
                                           "TIMESTAMP WITH TIME ZONE", "BOOLEAN"),
        "ledgers": ledger_types("INTEGER", "BIGINT", "BLOB", "TIMESTAMP WITH TIME ZONE"),
    },
}

ORDER = {"token_transfers": ["ledger_sequence", "ledger_event_index"], "ledgers": ["sequence"]}


def expected_ledger(line):
    ledger = json.loads(line)
    for name in LEDGER_HASHES:
        ledger[name] = bytes.fromhex(ledger[name])
    ledger["closed_at"] = datetime.datetime.fromisoformat(ledger["closed_at"])
    return ledger


def compare(reader, table, types, rows, expected):
    columns = list(TYPES[reader][table])
    if list(types) != columns:
        sys.exit(f"{reader}, {table}: columns are {list(types)}")
    for name, word in TYPES[reader][table].items():
        if str(types[name]) != word:
            sys.exit(f"{reader}, {table}: column {name} is {types[name]}, not {word}")
    if len(rows) != len(expected):
        sys.exit(f"{reader}, {table}: {len(rows)} rows, not {len(expected)}")
    rows.sort(key=lambda row: [row[name] for name in ORDER[table]])
    for index, (row, other) in enumerate(zip(rows, expected)):
        row["closed_at"] = row["closed_at"].astimezone(datetime.timezone.utc)
        for name in columns:
            if row[name] != other[name] or type(row[name]) is not type(other[name]):
                sys.exit(f"{reader}, {table}, row {index}, column {name}: {row[name]!r}, not {other[name]!r}")
    print(f"{reader}, {table}: {len(rows)} rows are equal")


def read_deltalake(path, table):
    delta = deltalake.DeltaTable(path)
    types = {field.name: field.type.type for field in delta.schema().fields}
    columns = ", ".join(f'"{name}"' for name in types)
    arrow = pyarrow.table(deltalake.QueryBuilder().register("t", delta).execute(f"SELECT {columns} FROM t"))
    return types, arrow.to_pylist()


def read_polars(path, table):
    frame = polars.read_delta(path)
    return dict(frame.schema), frame.to_dicts()


def read_duckdb(path, table):
    with tempfile.TemporaryDirectory() as folder:
        connection = duckdb.connect(config={"extension_directory": folder})
        import_extension("delta", con=connection)
        connection.execute("LOAD delta")
        connection.execute("SET TimeZone = 'UTC'")
        relation = connection.sql(f"FROM delta_scan('{path}')")
        types = dict(zip(relation.columns, relation.types))
        # Times leave as epochs: as time stamps they would need one more Python package.
        query = f"SELECT * REPLACE (epoch_us(closed_at) AS closed_at) FROM delta_scan('{path}')"
        rows = [dict(zip(types, row)) for row in connection.execute(query).fetchall()]
        # Skipping files by the statistics of the log must not lose rows.
        ledger = ORDER[table][0]
        middle = sorted(row[ledger] for row in rows)[len(rows) // 2]
        count = connection.execute(f"SELECT count(*) FROM delta_scan('{path}') WHERE {ledger} = {middle}").fetchone()[0]
        if count != sum(row[ledger] == middle for row in rows):
            sys.exit(f"duckdb, {table}: lookup of ledger {middle} finds {count} rows")
    for row in rows:
        row["closed_at"] = read_back.utc(row["closed_at"])
    return types, rows


def main():
    dataset, expectations = sys.argv[1:]
    for table, read_line in [("token_transfers", read_back.expected_row), ("ledgers", expected_ledger)]:
        with open(os.path.join(expectations, f"{table}.jsonl"), encoding="utf-8") as lines:
            expected = [read_line(line) for line in lines]
        for reader, read in [("deltalake", read_deltalake), ("polars", read_polars), ("duckdb", read_duckdb)]:
            types, rows = read(os.path.join(dataset, table), table)
            compare(reader, table, types, rows, expected)
    print("agreed: deltalake, polars, duckdb")


main()
