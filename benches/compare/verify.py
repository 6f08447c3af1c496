"""`verify.py FILE FOLDER`: says so and fails when a Parquet file does not hold the report, row for row in sums."""

import decimal
import json
import pathlib
import sys

import pyarrow
import pyarrow.compute
import pyarrow.parquet

import report

table = pyarrow.parquet.read_table(sys.argv[1], partitioning=None)
folder = pathlib.Path(sys.argv[2])
expected = json.loads((folder / "sums.json").read_text())
names = {name: name if name in table.column_names else report.snake_case(name) for name in report.COLUMNS}
missing = [name for name, column in names.items() if column not in table.column_names]
if missing:
    sys.exit(f"{sys.argv[1]} lacks {missing}")
for name, total in expected.items():
    column = table.column(names[name])
    if pyarrow.types.is_decimal(column.type):
        column = column.cast(pyarrow.decimal256(76, 9))
    found = pyarrow.compute.sum(column).as_py()
    if decimal.Decimal(found) != decimal.Decimal(total):
        sys.exit(f"{sys.argv[1]}: the sum of {name} is {found}, not {total}")
if table.num_rows != int((folder / "rows").read_text()):
    sys.exit(f"{sys.argv[1]} has {table.num_rows} rows")
