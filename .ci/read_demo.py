"""Reads the demo's Parquet files with pyarrow and DuckDB; fails if it is empty or they disagree."""

import glob
import sys

import duckdb
import pyarrow
import pyarrow.parquet

path = sys.argv[1]
table = pyarrow.concat_tables(pyarrow.parquet.read_table(file) for file in sorted(glob.glob(path)))
count, ledgers, kinds = duckdb.execute(
    "select count(*), count(distinct ledger_sequence), count(distinct kind) from read_parquet(?)", [path]
).fetchone()
print(f"{path}: {count} rows of {ledgers} ledgers and {kinds} kinds, {table.num_columns} columns")
if table.num_rows == 0 or table.num_rows != count:
    sys.exit(f"{path}: pyarrow reads {table.num_rows} rows, DuckDB {count}")
