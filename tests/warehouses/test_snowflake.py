"""What only Snowflake does wrong, through its own driver, against fakesnow behind `snowflake_front.py`."""

import pytest
from criteo import Work, day
from targets import Snowflake
from values import advertiser_of, assert_same


@pytest.fixture
def schema(snowflake_port, tmp_path, unique):
    return Snowflake(snowflake_port, tmp_path, unique)


@pytest.fixture
def work(account, tmp_path, schema):
    return Work(tmp_path, account, target=schema)


def load(work, *arguments, **options):
    return work.run("load", "snowflake", *arguments, **options)


def rows_of(schema):
    return sorted(map(repr, schema.query("SELECT * FROM AD_STATISTICS_DAILY")))


STATEMENTS = ("^CREATE TABLE", "TEMPORARY", "^PUT", "^COPY", "^BEGIN", "^DELETE", "^INSERT", 'PARTITIONS" WHERE', "^COMMIT")


@pytest.mark.parametrize("statement", STATEMENTS)
def test_an_answer_that_is_lost_is_not_a_second_load_or_a_failure(work, schema, statement):
    work.pull("--tables", "campaigns")
    schema.front("fault", {"kind": "cut", "match": statement})
    load(work, "--tables", "campaigns")
    assert_same(work.output, schema, ["campaigns"])


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_that_fails_does_not_cost_the_old_rows(work, schema, account, statement):
    work.pull("--tables", "campaigns,ad_statistics_daily")
    load(work, "--tables", "campaigns,ad_statistics_daily")
    before = rows_of(schema)
    account.take_back("AdvertiserId", advertiser_of(work.output, day(2)))
    work.backfill(day(3), day(1), "--tables", "ad_statistics_daily")
    if statement != "^CREATE TABLE":
        schema.front("fault", {"kind": "refuse", "match": statement})
        failed = load(work, "--tables", "ad_statistics_daily", expect=8).load()
        assert failed["outcome"] != "ok" and failed["errors"], failed
        assert rows_of(schema) == before
    load(work, "--tables", "ad_statistics_daily")
    assert_same(work.output, schema, ["ad_statistics_daily"])


@pytest.mark.parametrize("kind", ("lose", "lose-silently"))
def test_a_staged_file_that_is_missing_does_not_empty_its_day(work, schema, account, kind):
    work.pull("--tables", "ad_statistics_daily")
    load(work, "--tables", "ad_statistics_daily")
    before = rows_of(schema)
    schema.front("fault", {"kind": kind, "match": "COPY INTO"})
    failed = load(work, "--full", "--tables", "ad_statistics_daily", expect=8).load()
    assert failed["errors"], failed
    assert rows_of(schema) == before


def test_an_identical_file_is_loaded_again_where_that_is_asked_for(work, schema):
    work.pull("--tables", "campaigns")
    load(work, "--tables", "campaigns")
    again = load(work, "--full", "--tables", "campaigns").load()["tables"]["campaigns"]
    assert again["rows_inserted"] == again["rows_deleted"] > 0
    assert_same(work.output, schema, ["campaigns"])


def test_a_table_takes_at_most_ten_statements(work, schema):
    work.pull("--tables", "ad_statistics_daily")
    load(work, "--tables", "ad_statistics_daily")
    schema.front("reset", {})
    load(work, "--full", "--tables", "ad_statistics_daily")
    # The session's settings, what is there, and what is loaded come once for all tables.
    once = ("ALTER SESSION", "SELECT")
    statements = [text for text in schema.front("statements") if not text.startswith(once)]
    # PUT of several files asks for the address of each, which is no statement of a warehouse.
    assert len([text for text in statements if not text.startswith("PUT")]) <= 10, statements


def test_without_the_driver_the_message_says_how_to_get_it_and_print_still_writes_the_script(account, tmp_path, schema):
    schema.configuration = schema.configured("/nowhere/libadbc_driver_snowflake.so")
    work = Work(tmp_path, account, target=schema)
    work.pull("--tables", "campaigns")
    failed = load(work, expect=8)
    assert "pip install adbc-driver-snowflake" in failed.text and "--print" in failed.text
    printed = load(work, "--print").text
    assert "COPY INTO" in printed and "FILES = (" in printed and "COMMIT" in printed
