"""Compares the files that a follower kept with the rows that it should have kept: all of them, once, in order.

    python3 same_rows.py FOLDER EXPECTED.parquet
"""

import os
import sys

import pyarrow as pa
import pyarrow.parquet as parquet

folder, path = sys.argv[1:]


def place(name):
    ledger, _, event = name.removesuffix(".parquet").partition("-")
    return (int(ledger), int(event) if event else float("inf"))


names = sorted((name for name in os.listdir(folder) if name.endswith(".parquet")), key=place)
found = pa.concat_tables(parquet.read_table(os.path.join(folder, name)) for name in names)
expected = parquet.read_table(path).cast(found.schema)
key = lambda table: list(zip(table["ledger_sequence"].to_pylist(), table["ledger_event_index"].to_pylist()))
lost, repeated = set(key(expected)) - set(key(found)), len(key(found)) - len(set(key(found)))
assert not lost and not repeated, f"{len(lost)} lost, {repeated} repeated"
assert found.combine_chunks().equals(expected.combine_chunks())
print(f"agreed on {found.num_rows} rows in {len(names)} files")
