#!/usr/bin/env python3
"""Opens an output folder with every program that people read Parquet with, and compares each value.

    readers.py OUTPUT --duckdb-oldest PYTHON [--only NAME,NAME]

OUTPUT is a folder that `criteo-source` wrote. What pyarrow reads, in the types that the files declare, is what every other
reader must give back: the same rows with the same values in every column, bit by bit, nested columns, decimals, instants
and files without rows included. PYTHON is an interpreter with the oldest supported `duckdb`; the other readers are
packages of this interpreter. It exits with 1 when a reader differs, after it has tried all of them.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import time

import pyarrow as pa
import pyarrow.parquet as pq


def quoted(files):
    """A list of files as an SQL literal that DuckDB reads."""
    return "[" + ", ".join("'" + str(file).replace("'", "''") + "'" for file in files) + "]"


def duckdb_newest(files, schema, scratch):
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'Asia/Tokyo'")  # an instant is the same wherever it is read
    rows = connection.sql(f"SELECT * FROM read_parquet({quoted(files)}, hive_partitioning = false)")
    return rows.to_arrow_table()


def duckdb_oldest(files, schema, scratch, python):
    """It has no Arrow of its own there: what it read, it writes as Parquet, which only proves more."""
    copy = scratch / "copy.parquet"
    query = f"COPY (SELECT * FROM read_parquet({quoted(files)}, hive_partitioning = false)) TO '{copy}' (FORMAT parquet)"
    subprocess.run([python, "-c", "import duckdb, sys; duckdb.execute(sys.stdin.read())"], input=query, text=True, check=True)
    return pq.read_table(copy)


def polars(files, schema, scratch):
    import polars as pl

    return pl.read_parquet(files, hive_partitioning=False).to_arrow()


def pandas(files, schema, scratch):
    import pandas as pd

    frames = [pd.read_parquet(file, dtype_backend="pyarrow", partitioning=None) for file in files]
    return pa.concat_tables([pa.Table.from_pandas(frame, schema=schema, preserve_index=False) for frame in frames])


def clickhouse(files, schema, scratch):
    import chdb

    tables = []
    for file in files:
        query = f"SELECT * FROM file('{file}', Parquet) SETTINGS use_hive_partitioning = 0, output_format_arrow_string_as_string = 1"
        answer = chdb.query(query, "Arrow").bytes()
        tables.append(same_type(pa.ipc.open_file(answer).read_all(), schema) if answer else schema.empty_table())
    return pa.concat_tables(tables)


def datafusion(files, schema, scratch):
    from datafusion import SessionContext

    context = SessionContext()
    tables = [context.read_parquet(str(file)).to_arrow_table() for file in files]
    return pa.concat_tables(tables)


def spark(files, schema, scratch):
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.warehouse.dir", str(scratch))
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    return session.read.parquet(*map(str, files)).toArrow()


def key_columns(schema):
    """Columns that can be sorted by; together they tell any two rows apart that differ in them."""
    return [(field.name, "ascending") for field in schema if not pa.types.is_nested(field.type)]


def same_type(table, schema):
    """The table with the columns of `schema`: text and lists have several types in Arrow, values only one."""
    if table.column_names != schema.names:
        raise ValueError(f"columns are {table.column_names}")
    for field in schema:
        found = table.schema.field(field.name).type
        exact = pa.types.is_decimal(field.type) or pa.types.is_date(field.type) or pa.types.is_timestamp(field.type)
        if exact and not kin(found, field.type):
            raise ValueError(f"`{field.name}` is {found}, not {field.type}")
    return table.cast(pa.schema([pa.field(field.name, field.type) for field in schema]))


def kin(found, declared):
    """Whether a value of the declared type comes back as one of the same kind, not as text or a float."""
    if pa.types.is_decimal(declared):
        return pa.types.is_decimal(found) and found.scale == declared.scale
    if pa.types.is_timestamp(declared):
        return pa.types.is_timestamp(found) and found.tz is not None
    # ClickHouse has dates as days in its own 32-bit type, which Arrow's date32 is.
    return pa.types.is_date(found)


def difference(expected, found):
    """The first column that is not equal, in words; nothing if all are."""
    if expected.num_rows != found.num_rows:
        return f"{found.num_rows} rows, not {expected.num_rows}"
    keys = key_columns(expected.schema)
    expected, found = expected.sort_by(keys), found.sort_by(keys)
    for name in expected.column_names:
        ours, theirs = expected[name].combine_chunks(), found[name].combine_chunks()
        if not ours.equals(theirs):
            pairs = zip(ours.to_pylist(), theirs.to_pylist())
            row = next((f"{our!r}, read as {their!r}" for our, their in pairs if our != their), "nulls or not-a-numbers")
            return f"`{name}`: {row}"
    return None


def tables_of(output):
    for folder in sorted(output.iterdir()):
        if folder.is_dir() and not folder.name.startswith("_"):
            yield folder.name, sorted(folder.glob("dt=*/data.parquet"))


def check(reader, output, scratch, is_empty):
    """Compares every table, and each file without rows alone; returns how many values were compared."""
    values = 0
    for table, files in tables_of(output):
        schema = pq.read_schema(files[0]).remove_metadata()
        groups = [files] + [[file] for file in files if is_empty[file]][:1]
        for group in groups:
            expected = pa.concat_tables([pq.read_table(file, partitioning=None).cast(schema) for file in group])
            found = same_type(reader(group, schema, scratch), schema)
            if wrong := difference(expected.cast(found.schema), found):
                raise ValueError(f"{table}: {wrong}")
            values += expected.num_rows * expected.num_columns
    return values


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--duckdb-oldest", required=True)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    oldest = lambda files, schema, scratch: duckdb_oldest(files, schema, scratch, arguments.duckdb_oldest)
    readers = {
        "duckdb-oldest": oldest,
        "duckdb-newest": duckdb_newest,
        "polars": polars,
        "pandas": pandas,
        "clickhouse": clickhouse,
        "datafusion": datafusion,
        "spark": spark,
    }
    output = arguments.output.resolve()
    files = [file for _, files in tables_of(output) for file in files]
    is_empty = {file: pq.read_metadata(file).num_rows == 0 for file in files}
    nested = [file for file in files if any(pa.types.is_nested(field.type) for field in pq.read_schema(file))]
    if not (any(is_empty.values()) and nested):
        sys.exit(f"readers: {output} must have a file without rows and one with nested columns, or this proves too little")
    failed = 0
    names = arguments.only.split(",") if arguments.only else list(readers)
    for name in names:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as scratch:
            try:
                values = check(readers[name], output, pathlib.Path(scratch), is_empty)
            except Exception as error:  # every reader is tried, whatever the others do
                failed += 1
                print(f"readers: {name}: FAILED: {type(error).__name__}: {str(error)[:1500]}", flush=True)
                continue
        print(f"readers: {name}: {values} values equal, {time.monotonic() - began:.1f} s", flush=True)
    print(f"{len(names) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
