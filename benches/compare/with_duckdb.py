"""DuckDB at its best: the body is a local file already and its envelope is cut off, types are given to the reader.

`with_duckdb.py PORT FOLDER OUTPUT DIGITS`: decimal(18, 9) is what DuckDB keeps in 64 bits, decimal(38, 9) is the contract.
"""

import sys

import duckdb

import contract
import report

_, folder, output = contract.arguments()
digits = int(sys.argv[4])
types = {name: "VARCHAR" for name in contract.TEXTS}
types.update({name: "BIGINT" for name in report.COUNTS})
types.update({name: f"DECIMAL({digits},{contract.SCALE})" for name in report.DECIMALS})
types["Day"] = "DATE"
columns = ", ".join(f"'{name}': '{types[name]}'" for name in report.COLUMNS)
duckdb.sql(
    f"COPY (SELECT * FROM read_json('{folder}/rows.json', format = 'array', columns = {{{columns}}})) "
    f"TO '{output}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL {contract.ZSTD_LEVEL})"
)
