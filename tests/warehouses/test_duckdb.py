"""What only DuckDB does: versions of its command, kills between statements, and the demo's closing query."""

import json
import re
import subprocess
import sys

import pytest
from conftest import duckdb_program, need
from criteo import Work, day
from processes import CACHE, PROGRAM, environment
from targets import DuckDb
from values import advertiser_of, assert_same


@pytest.fixture
def database(request, tmp_path):
    return DuckDb("file", tmp_path, request)


@pytest.fixture
def work(account, tmp_path, database):
    return Work(tmp_path, account, target=database)


@pytest.mark.parametrize("version", ("oldest", "newest"))
def test_no_version_of_the_command_loads_anything_else(work, database, version):
    work.pull()
    database.program = duckdb_program(version)
    work.run("load", DUCKDB=str(database.program))
    assert_same(work.output, database, ["ad_statistics_daily", "creatives", "coupons", "campaigns"])


STEPS = ("CREATE SCHEMA", "CREATE TABLE", "BEGIN", "DELETE FROM", "INSERT INTO", "_criteo_source_partitions", "COMMIT")


@pytest.mark.parametrize("when", ("before", "after"))
@pytest.mark.parametrize("step", STEPS)
def test_a_load_that_is_killed_at_any_statement_does_not_double_or_lose_rows(work, database, account, tmp_path, step, when):
    killer = tmp_path / "duckdb"
    script = f"{need(CACHE / 'tests/bin/python', 'the set `tests`')} {__file__.replace('test_duckdb', 'duckdb_killer')}"
    killer.write_text(f'#!/bin/sh\nexec {script} "$@"\n')
    killer.chmod(0o755)
    work.pull("--tables", "ad_statistics_daily")
    work.run("load", "duckdb")
    account.take_back("AdvertiserId", advertiser_of(work.output, day(2)))
    work.backfill(day(2), day(1), "--tables", "ad_statistics_daily")
    kill = {"DUCKDB": str(killer), "REAL_DUCKDB": str(database.program), "KILL_AT": step, "KILL_WHEN": when}
    killed = work.run("load", "--full", expect=None, **kill)
    assert killed.code == -9 or step == "CREATE TABLE", killed.text
    work.run("load", "duckdb")
    assert_same(work.output, database, ["ad_statistics_daily"])


def test_the_demos_closing_query_does_not_fail_in_any_version(tmp_path):
    demo = subprocess.run(
        [PROGRAM, "demo", "--output", tmp_path / "criteo-demo"],
        cwd=tmp_path,
        env=environment(CACHE / "duckdb-home", DUCKDB=str(duckdb_program("newest"))),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    query = re.search(r'duckdb (?:(\S+) )?-c "([^"]+)"', demo.stdout)
    assert query, demo.stdout
    assert (tmp_path / "criteo-demo.duckdb").is_file() and query[1], demo.stdout
    for version in ("oldest", "newest"):
        command = [duckdb_program(version), *([query[1]] if query[1] else []), "-json", "-c", query[2]]
        ran = subprocess.run(command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True)
        assert ran.returncode == 0 and json.loads(ran.stdout), ran.stderr
