"""An output in a bucket: the same results as on disk, whatever stops a run.

S3 is moto, Azure is azurite, Google's is a stub of our own (`gcs_stub.py`). What is compared is what another program reads from the bucket with the store's own client.
"""

import json
import signal
import subprocess
import time
import urllib.request
import xml.etree.ElementTree

import boto3
import pytest
from azure.storage.blob import ContainerClient
from criteo import TABLES, Work, day
from targets import DuckDb
from values import Output, assert_same

KEY_ID, KEY = "AKIAEXAMPLEEXAMPLE", "example/secret+key"
AZURE_ACCOUNT = "devstoreaccount1"
# The account key that every Azurite has.
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class S3:
    """A bucket of its own."""

    def __init__(self, endpoint, name):
        self.client = boto3.client(
            "s3", endpoint_url=endpoint, aws_access_key_id=KEY_ID, aws_secret_access_key=KEY, region_name="us-east-1"
        )
        self.client.create_bucket(Bucket=name)
        self.name, self.url = name, f"s3://{name}/criteo"
        self.secrets = [KEY]
        self.variables = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": KEY,
            "AWS_REGION": "us-east-1",
        }

    def files(self):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return sorted(item["Key"].removeprefix("criteo/") for page in pages for item in page.get("Contents", []))

    def read(self, key):
        return self.client.get_object(Bucket=self.name, Key=f"criteo/{key}")["Body"].read()

    def delete(self, key):
        self.client.delete_object(Bucket=self.name, Key=f"criteo/{key}")


class Azure:
    """A container of its own."""

    def __init__(self, endpoint, name):
        self.container = ContainerClient(endpoint, name, credential={"account_name": AZURE_ACCOUNT, "account_key": AZURE_KEY})
        self.container.create_container()
        self.url = f"az://{name}/criteo"
        self.secrets = [AZURE_KEY]
        self.variables = {
            "AZURE_STORAGE_ACCOUNT_NAME": AZURE_ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY,
            "AZURE_STORAGE_ENDPOINT": endpoint,
            "AZURE_STORAGE_ALLOW_HTTP": "true",
        }

    def files(self):
        return sorted(blob.name.removeprefix("criteo/") for blob in self.container.list_blobs())

    def read(self, key):
        return self.container.download_blob(f"criteo/{key}").readall()

    def delete(self, key):
        self.container.delete_blob(f"criteo/{key}")


class Gcs:
    """A bucket of its own, by the stub's plain requests."""

    def __init__(self, endpoint, name):
        self.address = f"{endpoint}/{name}"
        self.url = f"gs://{name}/criteo"
        self.secrets, self.variables = [], {"STORAGE_EMULATOR_HOST": endpoint}

    def ask(self, method, path):
        request = urllib.request.Request(f"{self.address}{path}", method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def files(self):
        found = xml.etree.ElementTree.fromstring(self.ask("GET", "?list-type=2"))
        return sorted(key.text.removeprefix("criteo/") for key in found.iter("Key"))

    def read(self, key):
        return self.ask("GET", f"/criteo/{key}")

    def delete(self, key):
        self.ask("DELETE", f"/criteo/{key}")


class Folder:
    """A folder, by its URL."""

    def __init__(self, folder):
        self.folder = folder
        self.url = folder.as_uri()
        self.secrets, self.variables = [], {}

    def files(self):
        found = (path for path in self.folder.glob("**/*") if path.is_file())
        return sorted(path.relative_to(self.folder).as_posix() for path in found)

    def read(self, key):
        return (self.folder / key).read_bytes()

    def delete(self, key):
        (self.folder / key).unlink()


@pytest.fixture(params=("s3", "azure", "gcs", "file"))
def store(request, tmp_path, unique):
    if request.param == "file":
        return Folder(tmp_path / "by url")
    return {"s3": S3, "azure": Azure, "gcs": Gcs}[request.param](request.getfixturevalue(request.param), unique)


@pytest.fixture
def work(account, tmp_path, store):
    work = Work(tmp_path, account, output=store.url, **store.variables)
    work.secrets += store.secrets
    return work


def data_files(store):
    return [key for key in store.files() if key.endswith("/data.parquet") and not key.startswith("_")]


def copy(store, folder):
    """The bucket's partitions on disk, for whoever reads folders."""
    for key in data_files(store):
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.read(key))
    return Output(folder)


def rows(output):
    without_clock = lambda row: {name: value for name, value in row.items() if name != "_pulled_at"}
    return {table: [without_clock(row) for row in output.rows(table)] for table in output.tables()}


def on_disk(account, folder):
    """The same pull, into a folder."""
    folder.mkdir()
    work = Work(folder, account)
    work.pull()
    return rows(Output(work.output))


def test_a_pull_has_the_same_rows_as_on_disk_and_a_second_one_publishes_nothing_new(work, store, account, tmp_path):
    work.pull()
    assert rows(copy(store, tmp_path / "copy")) == on_disk(account, tmp_path / "disk")
    before = {key: store.read(key) for key in data_files(store)}
    again = work.pull().document
    assert {key: store.read(key) for key in data_files(store)} == before, "the same rows are no reason for another file"
    assert all(not file["changed"] for table in again["tables"].values() for file in table.get("files", [])), again


def test_a_pull_that_is_killed_leaves_whole_partitions_and_the_next_one_completes_it(work, store, account, tmp_path):
    expected = on_disk(account, tmp_path / "disk")
    for delay in (0.2, 0.5, 0.9, 1.4):
        process = subprocess.Popen(
            work.command("pull", "--tables", ",".join(TABLES)),
            cwd=work.folder,
            env=work.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(delay)
        process.kill()
        process.wait()
        for key in data_files(store):
            assert store.read(key)[-4:] == b"PAR1", f"{key} is not whole"
    expire_lease(store)
    work.pull()
    assert rows(copy(store, tmp_path / "copy")) == expected


def expire_lease(store):
    """A run that was killed holds its lease until it expires; a test does not wait for that."""
    if "_ledger/lock" in store.files():
        store.delete("_ledger/lock")


def test_two_runs_at_once_are_one_and_a_refusal(work, store):
    first = subprocess.Popen(
        work.command("pull", "--tables", ",".join(TABLES)),
        cwd=work.folder,
        env=work.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        deadline = time.monotonic() + 30
        while not any(key.startswith("_ledger/lock") for key in store.files()) and time.monotonic() < deadline:
            assert first.poll() is None, "the first run ended before its lease was seen"
            time.sleep(0.02)
        first.send_signal(signal.SIGSTOP)
        work.pull(expect=7)
    finally:
        first.send_signal(signal.SIGCONT)
    stdout, _ = first.communicate(timeout=120)
    assert first.returncode == 0, stdout


def test_a_holder_that_was_paused_past_its_lease_publishes_nothing_more(work, store):
    if isinstance(store, Folder):
        pytest.skip("a folder is locked by the kernel, which lets go of nothing while the process lives")
    first = subprocess.Popen(
        work.command("pull", "--tables", ",".join(TABLES)),
        cwd=work.folder,
        env=work.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        deadline = time.monotonic() + 30
        while "_ledger/lock" not in store.files() and time.monotonic() < deadline:
            time.sleep(0.02)
        first.send_signal(signal.SIGSTOP)
        expire_lease(store)
        work.pull()
        after = {key: store.read(key) for key in data_files(store)}
    finally:
        first.send_signal(signal.SIGCONT)
    first.communicate(timeout=180)
    assert first.returncode != 0, "a holder without a lease says so"
    assert {key: store.read(key) for key in data_files(store)} == after


def test_a_load_from_a_bucket_has_every_value_and_leaves_no_copy(work, store, request, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    work.target = DuckDb("file", tmp_path, request)
    work.variables.update(work.target.variables, TMPDIR=str(scratch))
    work.configure()
    work.pull()
    assert work.run("load").load()["outcome"] == "ok"
    assert_same(str(copy(store, tmp_path / "copy").folder), work.target, TABLES)
    assert not list(scratch.iterdir())
    again = work.run("load").load()
    assert sum(table["partitions"] for table in again["tables"].values()) == 0
    printed = work.run("load", "--full", "--print").document["loads"][0]["statements"]
    assert str(scratch) not in "".join(printed), "a script must not name copies that are gone"


def test_a_daily_pull_stays_within_three_requests_per_changed_partition_and_thirty(work, store):
    if isinstance(store, Folder):
        pytest.skip("a folder has no requests to count")
    work.run("pull", "--as-of", day(1))
    second = work.run("pull").document
    changed = sum(file["changed"] for table in second["tables"].values() for file in table.get("files", []))
    requests = sum(second["store_requests"].values())
    assert changed > 0 and requests <= 3 * changed + 30, (changed, second["store_requests"])


def test_a_lost_ledger_is_rebuilt_and_status_and_verify_agree(work, store):
    work.pull()
    before = work.run("status").document
    work.run("status", "--verify")
    for key in store.files():
        if key.startswith("_ledger/") and key != "_ledger/lock":
            store.delete(key)
    work.run("status", "--rebuild")
    work.run("status", "--verify")
    after = work.run("status").document
    days = lambda document: json.dumps(document["tables"], sort_keys=True).count("-")
    assert set(before["tables"]) == set(after["tables"]) if isinstance(before["tables"], dict) else days(before) == days(after)
    victim = data_files(store)[0]
    store.delete(victim)
    assert victim.split("/")[0] in work.run("status", "--verify", expect=6).text
