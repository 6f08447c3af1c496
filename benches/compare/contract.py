"""What every contestant writes: the report's columns, typed, as one zstd Parquet file."""

import sys
import urllib.request

import report

TEXTS = [name for name in report.DIMENSIONS if name != "Day"]
PRECISION, SCALE = 38, 9
ZSTD_LEVEL = 3


def body_from_http(port):
    """The whole answer, as a script would fetch it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/report.json") as response:
        return response.read()


def rows_of(body):
    """The list inside the envelope, without parsing: the cheapest way past `Total`."""
    start = body.index(b'"Rows":') + len(b'"Rows":')
    return memoryview(body)[start:-1]


def arguments():
    """Where the server listens, the folder with the bodies, and the file to write."""
    return int(sys.argv[1]), sys.argv[2], sys.argv[3]
