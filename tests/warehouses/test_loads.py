"""What every target must do alike: each test is named after what must not happen."""

import pathlib

import pytest
from criteo import TABLES, Work, day
from targets import BigQuery, DuckDb, Snowflake
from values import Output, advertiser_of, assert_same

TARGETS = ("file", "ducklake", "postgres", "bigquery", "snowflake")


@pytest.fixture(params=TARGETS)
def target(request, tmp_path, unique):
    if request.param == "bigquery":
        return BigQuery(request.getfixturevalue("bigquery"), unique)
    if request.param == "snowflake":
        return Snowflake(request.getfixturevalue("snowflake_port"), tmp_path, unique)
    return DuckDb(request.param, tmp_path, request)


@pytest.fixture
def work(account, tmp_path, target):
    return Work(tmp_path, account, target=target)


def load(work, *arguments):
    outcome = work.run("load", *arguments, expect=None)
    if "this build cannot load into" in outcome.text:
        pytest.skip(f"SKIPPED, NOT TESTED: there is no `load {work.target.target}` in this build")
    assert outcome.code == 0, outcome.text[-4000:]
    return outcome.load()


def partitions(done):
    return sum(table["partitions"] for table in done["tables"].values())


def test_no_value_of_any_column_differs_and_a_second_load_loads_nothing(work, target):
    work.pull()
    assert load(work)["outcome"] == "ok"
    assert_same(work.output, target, TABLES)
    assert partitions(load(work)) == 0
    assert_same(work.output, target, TABLES)


def test_rows_that_criteo_took_back_do_not_stay_and_other_days_are_not_touched(work, target, account):
    work.pull("--tables", "ad_statistics_daily")
    load(work)
    account.take_back("AdvertiserId", advertiser_of(work.output, day(2)))
    work.backfill(day(2), day(2), "--tables", "ad_statistics_daily")
    done = load(work)["tables"]["ad_statistics_daily"]
    assert done["partitions"] == 1 and done["rows_deleted"] > done["rows_inserted"], done
    assert_same(work.output, target, ["ad_statistics_daily"])


def test_a_day_that_has_no_rows_any_more_does_not_keep_its_old_ones(work, target, account):
    work.pull("--tables", "ad_statistics_daily")
    load(work)
    for advertiser in ("10011", "10031", "10041"):
        account.take_back("AdvertiserId", advertiser)
    work.backfill(day(2), day(2), "--tables", "ad_statistics_daily")
    done = load(work)["tables"]["ad_statistics_daily"]
    assert done["rows_inserted"] == 0 < done["rows_deleted"], done
    assert_same(work.output, target, ["ad_statistics_daily"])


def test_odd_values_are_not_nulled_rounded_or_refused(work, target, account):
    """The smallest and largest NUMERIC, a name that is backslash N, a number of 23 digits in an attribute we do not know."""
    amounts = ["0.000000001", "-0.000000001", "12345678901234567890.123456789", "-99999999999999999999.999999999"]
    account.cycle(r'("AdvertiserCost":)"?[-+0-9.eE]+"?', amounts)
    account.replace(r'"attributes":\{', r'"attributes":{"newThing":12345678901234567890123,')
    account.replace(r'("(?:CampaignName|name)":)"(?:[^"\\]|\\.)*"', r'\1"\\\\N"')
    work.pull("--tables", "ad_statistics_daily,campaigns")
    texts = repr(Output(work.output).rows("campaigns")) + repr(Output(work.output).rows("ad_statistics_daily"))
    assert "12345678901234567890123" in texts and repr("\\N") in texts and "99999999999999999999.999999999" in texts
    load(work)
    assert_same(work.output, target, ["ad_statistics_daily", "campaigns"])


def test_a_new_metric_in_the_middle_of_a_window_does_not_cost_the_load(work, target):
    columns = '[tables.ad_statistics_daily]\nenabled = true\nlookback_days = 0\nmetrics = ["Clicks"]\n'
    work.configure(columns)
    work.pull("--tables", "ad_statistics_daily")
    load(work)
    work.configure(columns.replace('["Clicks"]', '["Clicks", "Displays", "AdvertiserCost"]'))
    work.backfill(day(2), day(1), "--tables", "ad_statistics_daily")
    done = load(work, "--full")["tables"]["ad_statistics_daily"]
    assert sorted(done["columns_added"]) == ["advertiser_cost", "displays"], done
    assert_same(work.output, target, ["ad_statistics_daily"])


def test_a_file_that_is_not_what_was_published_is_not_loaded_and_the_old_rows_stay(work, target):
    work.pull("--tables", "campaigns")
    load(work)
    before = Output(work.output).rows("campaigns")
    file = Output(work.output).files("campaigns")[0]
    whole = file.read_bytes()
    file.write_bytes(whole[:-20] + b"x" + whole[-19:])
    refused = work.run("load", "--full", expect=6)
    assert "--verify" in refused.text
    file.write_bytes(whole)
    assert_same(work.output, target, ["campaigns"])
    assert Output(work.output).rows("campaigns") == before


def test_a_failed_load_is_not_reported_as_a_success(work, target, account):
    """After a pull that published, the exit code and the document say that the load failed."""
    variables = {name: "/nowhere" if "/" in value else "127.0.0.1:1" for name, value in target.variables.items()}
    if target.target == "snowflake":
        variables = {"SNOWFLAKE_PRIVATE_KEY_FILE": "/nowhere/key.p8"}
    failed = work.pull("--load", target.target, expect=8, CRITEO_SOURCE_TEST_SKIP_WAITS="1", **variables)
    assert failed.load()["outcome"] == "failed", failed.document
    assert Output(work.output).tables(), "what was pulled is published"
