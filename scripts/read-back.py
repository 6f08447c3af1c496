#!/usr/bin/env python3
"""Reads an output folder with two independent Parquet readers and compares it with its contract.

    read-back.py OUTPUT SCHEMA

OUTPUT is a folder that `criteo-source` wrote; SCHEMA is the file that `criteo-source schema --format json` printed for
the same configuration. Needs the packages `duckdb` and `pyarrow`. Exits with 1 at the first claim that does not hold:

- every file lies at `<table>/dt=<day>/data.parquet`, alone in its folder;
- pyarrow finds exactly the declared columns, in order, with the promised Parquet types;
- DuckDB finds the promised SQL types, rows in every table, and no row of another day than the folder's;
- sums that DuckDB computes exactly are those that the ledger recorded when the file was written.
"""

import json
import pathlib
import sys
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

NUMERIC = pa.decimal128(38, 9)
INSTANT = pa.timestamp("us", tz="UTC")

# The types promised to whoever loads the files, written here a second time on purpose: a change of the program must
# not silently change what it is compared with.
ARROW_TYPES = {
    "STRING": pa.string(),
    "INTEGER": pa.int64(),
    "NUMERIC": NUMERIC,
    "FLOAT": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": INSTANT,
    "JSON": pa.string(),
}

# A sample that does not depend on what the program says about itself.
ARROW_SAMPLE = {
    "ad_statistics_daily": {
        "day": pa.date32(),
        "advertiser_id": pa.string(),
        "displays": pa.int64(),
        "clicks": pa.int64(),
        "advertiser_cost": NUMERIC,
        "sales_client_attribution": NUMERIC,
        "revenue_generated_pc30d_pv24h": NUMERIC,
        "_pulled_at": INSTANT,
    },
    "placements_daily": {"cost": NUMERIC, "roas_pc30d": pa.float64(), "disclosed": pa.bool_()},
    "transactions": {"transaction_at": INSTANT, "event_at": INSTANT, "amount": NUMERIC},
    "ad_sets": {
        "snapshot_date": pa.date32(),
        "budget_amount": NUMERIC,
        "targeting_delivery_limitations_devices": pa.list_(pa.string()),
    },
}
DUCKDB_SAMPLE = {
    "ad_statistics_daily": {
        "day": "DATE",
        "clicks": "BIGINT",
        "advertiser_cost": "DECIMAL(38,9)",
        "_pulled_at": "TIMESTAMP WITH TIME ZONE",
        "dt": "DATE",
    },
    "creatives": {"image_urls": "VARCHAR[]", "_extra": "VARCHAR"},
}


def claim(holds, message):
    if not holds:
        sys.exit(f"read-back: {message}")


def arrow_type(column):
    """The Arrow type of a declared column, lists and records included."""
    if column["type"] == "RECORD":
        element = pa.struct([(field["name"], arrow_type(field)) for field in column["fields"]])
    else:
        element = ARROW_TYPES[column["type"]]
    return pa.list_(element) if column["mode"] == "REPEATED" else element


def plain(data_type):
    """A type without the names and nullability of what is inside, which readers choose as they like."""
    if pa.types.is_list(data_type):
        return ("list", plain(data_type.value_type))
    if pa.types.is_struct(data_type):
        return ("struct", tuple((field.name, plain(field.type)) for field in data_type))
    return data_type


def check_files(table, contract, files):
    declared = [(column["name"], plain(arrow_type(column))) for column in contract["columns"]]
    for file in files:
        claim(file.name == "data.parquet", f"{file} is not a `data.parquet`")
        claim([path.name for path in file.parent.iterdir()] == ["data.parquet"], f"{file.parent} holds other files")
        schema = pq.read_schema(file)
        found = [(field.name, plain(field.type)) for field in schema]
        claim(found == declared, f"{file}: columns are\n{found}\nnot\n{declared}")
        for name, expected in ARROW_SAMPLE.get(table, {}).items():
            claim(plain(schema.field(name).type) == plain(expected), f"{file}: `{name}` is {schema.field(name).type}")


def check_rows(connection, table, contract, folder):
    source = f"read_parquet('{folder}/*/data.parquet', hive_partitioning = true)"
    types = dict(connection.sql(f"select column_name, column_type from (describe from {source})").fetchall())
    for name, expected in DUCKDB_SAMPLE.get(table, {}).items():
        claim(types.get(name) == expected, f"{table}: DuckDB reads `{name}` as {types.get(name)}")
    day = contract["partition_by"]
    # The key of the path is that of the rows. A snapshot's is the day of the pull; both are dates without time.
    strays = connection.sql(f'select count(*) from {source} where dt <> "{day}"').fetchall()[0][0]
    claim(strays == 0, f"{table}: {strays} rows of another day than their folder's")
    rows = connection.sql(f"select count(*) from {source}").fetchall()[0][0]
    claim(rows > 0, f"{table} has no rows")
    return rows


def check_sums(connection, output, table, files):
    """The ledger's sums, recomputed from the files by another program; returns how many were compared."""
    compared = 0
    for month in sorted((output / "_ledger" / "partitions" / table).glob("*.json")):
        for date, record in json.loads(month.read_text())["partitions"].items():
            file = output / table / f"dt={date}" / "data.parquet"
            claim(file in files, f"the ledger records {file}, which is not there")
            claim(file.stat().st_size == record["bytes"], f"{file} has another size than recorded")
            for column, recorded in record["sums"].items():
                query = f"select cast(coalesce(sum(\"{column}\"), 0) as varchar) from read_parquet('{file}')"
                found = connection.sql(query).fetchall()[0][0]
                claim(Decimal(found) == Decimal(recorded), f"{file}: sum of `{column}` is {found}, recorded {recorded}")
                compared += 1
    return compared


def main(output, schema):
    contracts = {contract["table"]: contract for contract in json.loads(pathlib.Path(schema).read_text())}
    output = pathlib.Path(output)
    tables = sorted(path.name for path in output.iterdir() if path.is_dir() and not path.name.startswith("_"))
    claim(tables, f"{output} holds no table")
    missing = (ARROW_SAMPLE.keys() | DUCKDB_SAMPLE.keys()) - set(tables)
    claim(not missing, f"{output} lacks {sorted(missing)}")
    connection = duckdb.connect()
    for table in tables:
        claim(table in contracts, f"there is no contract for the folder `{table}`")
        files = sorted((output / table).glob("dt=*/*"))
        claim(files, f"{table} has no partition")
        check_files(table, contracts[table], files)
        rows = check_rows(connection, table, contracts[table], output / table)
        sums = check_sums(connection, output, table, files)
        print(f"read-back: {table}: {len(files)} partitions, {rows} rows, {sums} sums agree")


if __name__ == "__main__":
    claim(len(sys.argv) == 3, "usage: read-back.py OUTPUT SCHEMA")
    main(sys.argv[1], sys.argv[2])
