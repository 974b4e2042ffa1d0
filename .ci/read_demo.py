"""Reads the demo's Parquet file with pyarrow and DuckDB; fails if it is empty or they disagree."""

import sys

import duckdb
import pyarrow.parquet

path = sys.argv[1]
table = pyarrow.parquet.read_table(path)
count, ledgers, kinds = duckdb.execute(
    "select count(*), count(distinct ledger_sequence), count(distinct kind) from read_parquet(?)", [path]
).fetchone()
print(f"{path}: {count} rows of {ledgers} ledgers and {kinds} kinds, {table.num_columns} columns")
if table.num_rows == 0 or table.num_rows != count:
    sys.exit(f"{path}: pyarrow reads {table.num_rows} rows, DuckDB {count}")
