"""What is in the files, and whether a target has the same: every value of every column, in one notation."""

import datetime
import decimal
import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq


def nested(value):
    """A list or record, also where a target has it as JSON text, or as a JSON string of it."""
    while isinstance(value, str):
        value = json.loads(value)
    return value


def plain(value, kind):
    """A value as it is compared: a target may have its own way to write the same one."""
    if value is None:
        return [] if pa.types.is_list(kind) else None
    if pa.types.is_list(kind):
        value = nested(value)
        return [plain(item, kind.value_type) for item in value]
    if pa.types.is_struct(kind):
        value = nested(value)
        return {field.name: plain(value.get(field.name), field.type) for field in kind}
    if pa.types.is_decimal(kind):
        return decimal.Decimal(value).quantize(decimal.Decimal("1e-9"), context=decimal.Context(prec=60))
    if pa.types.is_timestamp(kind):
        if isinstance(value, str):
            value = datetime.datetime.fromisoformat(value)
        return value.astimezone(datetime.timezone.utc)
    if pa.types.is_date(kind):
        return value if isinstance(value, datetime.date) else datetime.date.fromisoformat(value)
    if pa.types.is_integer(kind):
        return int(value)
    if pa.types.is_floating(kind):
        return float(value)
    if pa.types.is_boolean(kind):
        return value if isinstance(value, bool) else {"true": True, "false": False}[str(value).lower()]
    return value


def json_text(value):
    """JSON text without its layout, and with every digit of its numbers."""
    value = json.loads(value, parse_float=decimal.Decimal) if isinstance(value, str) else value
    return None if value is None else json.dumps(value, sort_keys=True, default=str)


def row_of(row, schema):
    return {
        field.name: json_text(row[field.name]) if field.name == "_extra" else plain(row[field.name], field.type)
        for field in schema
    }


def in_order(rows):
    return sorted(rows, key=repr)


class Output:
    """An output on disk."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def tables(self):
        return sorted(path.name for path in self.folder.iterdir() if path.is_dir() and not path.name.startswith("_"))

    def files(self, table):
        return sorted((self.folder / table).glob("dt=*/data.parquet"))

    def schema(self, table):
        return pq.read_schema(self.files(table)[-1])

    def rows(self, table):
        schema = self.schema(table)
        rows = []
        for file in self.files(table):
            for row in pq.read_table(file, partitioning=None).to_pylist():
                rows.append(row_of({name: row.get(name) for name in schema.names}, schema))
        return in_order(rows)


def assert_equal(output, table, loaded):
    """`loaded` are dictionaries with the names of the columns in lower case."""
    schema = output.schema(table)
    expected, found = output.rows(table), in_order(row_of(row, schema) for row in loaded)
    assert len(expected) == len(found), f"{table}: {len(found)} rows, not {len(expected)}"
    for ours, theirs in zip(expected, found):
        for name in schema.names:
            assert ours[name] == theirs[name], f"{table}.{name}: {theirs[name]!r} is not {ours[name]!r}"


def assert_same(output, target, tables):
    """Every value of every column of these tables is that of the files."""
    output = Output(output)
    for table in tables:
        assert_equal(output, table, target.rows(table, output.schema(table)))


def advertiser_of(output, date):
    """An advertiser that has rows on this day."""
    rows = Output(output).rows("ad_statistics_daily")
    return next(row["advertiser_id"] for row in rows if row["day"].isoformat() == date)
