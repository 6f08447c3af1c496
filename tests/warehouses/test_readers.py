"""What we write opens with equal values in every program that people read Parquet with."""

import pathlib
import subprocess

from conftest import need
from criteo import Work, day
from processes import CACHE, environment

READERS = pathlib.Path(__file__).parents[2] / "scripts/readers.py"


def test_every_reader_has_every_value_of_every_table(account, tmp_path):
    python = need(CACHE / "readers/bin/python", "the set `readers`")
    oldest = need(CACHE / "readers-oldest/bin/python", "the oldest DuckDB")
    work = Work(tmp_path, account)
    work.pull()
    # An advertiser that never delivers: the day is a file without rows.
    work.backfill(day(5), day(5), "--tables", "ad_statistics_daily,transactions", "--advertisers", "10041")
    command = [python, READERS, work.output, "--duckdb-oldest", oldest]
    ran = subprocess.run(
        list(map(str, command)), env=environment(tmp_path), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    print(ran.stdout)
    assert ran.returncode == 0, ran.stdout + ran.stderr[-3000:]
