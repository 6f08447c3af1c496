"""polars: the body over HTTP, all cells as text, cast to the contract, decimal(38, 9), zstd."""

import io

import polars

import contract
import report

port, _, output = contract.arguments()
rows = contract.rows_of(contract.body_from_http(port))
frame = polars.read_json(io.BytesIO(rows), schema={name: polars.String for name in report.COLUMNS})
del rows
frame = frame.select(
    polars.col("Day").str.to_date("%Y-%m-%d"),
    *contract.TEXTS,
    *(polars.col(name).cast(polars.Int64) for name in report.COUNTS),
    *(polars.col(name).cast(polars.Decimal(contract.PRECISION, contract.SCALE)) for name in report.DECIMALS),
)
frame.write_parquet(output, compression="zstd", compression_level=contract.ZSTD_LEVEL)
