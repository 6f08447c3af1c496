"""Fixtures: an account that was pulled, and every server, started when the first test needs it."""

import glob
import os
import pathlib
import shutil
import subprocess
import sys
import uuid

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import criteo
import processes
from processes import CACHE, Server


def need(path, what):
    """Skips, in words that say what is missing, unless `path` is there."""
    if not path or not pathlib.Path(path).exists():
        pytest.skip(f"SKIPPED, NOT TESTED: {what} is not set up (tests/warehouses/setup says why)")
    return path


@pytest.fixture
def account(tmp_path):
    account = criteo.Account(tmp_path)
    yield account
    account.stop()


@pytest.fixture
def unique():
    """A name for a schema, dataset or bucket that no other test has."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """Starts servers once each; stops them all at the end."""
    started = {}
    folder = tmp_path_factory.mktemp("servers")

    def start(name, *arguments, **options):
        if name not in started:
            started[name] = Server(name, *arguments, folder=folder, **options)
        return started[name]

    yield start
    for server in started.values():
        server.stop()


@pytest.fixture(scope="session")
def bigquery(servers, tmp_path_factory):
    program = need(CACHE / "bigquery/bin/local-bigquery", "the BigQuery emulator")
    port, grpc = processes.free_port(), processes.free_port()
    data = tmp_path_factory.mktemp("bigquery")
    command = [program, "--host", "127.0.0.1", "--port", port, "--grpc-port", grpc]
    command += ["--project", "test-project", "--data-dir", data / "data"]
    servers("bigquery", command, ready=processes.answers(f"http://127.0.0.1:{port}/"), GCS_LOCAL_ROOT=str(data / "gcs"))
    return f"127.0.0.1:{port}"


@pytest.fixture(scope="session")
def snowflake_port(servers):
    python = need(CACHE / "snowflake/bin/python", "the Snowflake emulator")
    port = processes.free_port()
    front = pathlib.Path(__file__).parent / "snowflake_front.py"
    servers("snowflake", [python, front, port], ready=processes.answers(f"http://127.0.0.1:{port}/front/statements"))
    return port


@pytest.fixture(scope="session")
def s3(servers):
    port = processes.free_port()
    program = need(CACHE / "tests/bin/moto_server", "the S3 server")
    servers("moto", [program, "-H", "127.0.0.1", "-p", port], ready=processes.accepts(port))
    return f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def gcs(servers):
    """A stub of our own: no emulator takes the conditional writes of this store's client."""
    port = processes.free_port()
    stub = pathlib.Path(__file__).parent / "gcs_stub.py"
    servers("gcs-stub", [sys.executable, stub, port], ready=processes.accepts(port))
    return f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def azure(servers):
    port = processes.free_port()
    program = need(CACHE / "azurite/node_modules/.bin/azurite-blob", "the Azure server")
    command = [program, "--blobHost", "127.0.0.1", "--blobPort", port, "--inMemoryPersistence"]
    command += ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    servers("azurite", command, ready=processes.accepts(port))
    return f"http://127.0.0.1:{port}/devstoreaccount1"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """A real PostgreSQL on a port of its own, trusting this machine; it refuses to run as root."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    folder = pathlib.Path(need(found[-1] if found else None, "PostgreSQL"))
    data = tmp_path_factory.mktemp("postgres")
    user = "postgres" if os.getuid() == 0 else None
    if user:
        shutil.chown(data, user)
        for parent in list(data.parents)[: len(data.parents) - 2]:
            parent.chmod(parent.stat().st_mode | 0o011)

    def run(*command):
        subprocess.run(list(map(str, command)), user=user, check=True, stdin=subprocess.DEVNULL, capture_output=True)

    port = processes.free_port()
    run(folder / "initdb", "-D", data / "db", "-U", "loader", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    run(folder / "pg_ctl", "-D", data / "db", "-o", options, "-l", data / "log", "-w", "start")
    run(folder / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "loader", "ads")
    yield f"postgresql://loader@127.0.0.1:{port}/ads"
    run(folder / "pg_ctl", "-D", data / "db", "-m", "immediate", "stop")


def duckdb_program(version):
    """A `duckdb` command: of the extension wheels' version, the oldest, or the newest that pip has."""
    places = {"extensions": "tests", "oldest": "duckdb-oldest", "newest": "duckdb-newest"}
    # Older packages have the program itself in `bin`, newer ones a script there that starts it.
    places = [CACHE / places[version] / place for place in ("lib/python3*/site-packages/duckdb_cli/duckdb", "bin/duckdb")]
    found = [path for place in places for path in glob.glob(str(place))]
    return need(found[0] if found else None, f"the {version} duckdb command")
