"""pyarrow: the body over HTTP, rows one a line for its JSON reader, cast to the contract, decimal(38, 9), zstd."""

import pyarrow
import pyarrow.compute
import pyarrow.json
import pyarrow.parquet

import contract
import report

port, _, output = contract.arguments()
rows = bytes(contract.rows_of(contract.body_from_http(port)))[1:-1].replace(b'"},{"', b'"}\n{"')
schema = pyarrow.schema([(name, pyarrow.string()) for name in report.COLUMNS])
table = pyarrow.json.read_json(
    pyarrow.BufferReader(rows),
    parse_options=pyarrow.json.ParseOptions(explicit_schema=schema),
)
del rows
types = {"Day": pyarrow.date32()}
types.update({name: pyarrow.int64() for name in report.COUNTS})
types.update({name: pyarrow.decimal128(contract.PRECISION, contract.SCALE) for name in report.DECIMALS})
target = pyarrow.schema([(name, types.get(name, pyarrow.string())) for name in report.COLUMNS])
table = table.cast(target)
pyarrow.parquet.write_table(table, output, compression="zstd", compression_level=contract.ZSTD_LEVEL)
