"""Pulls every Criteo account once a day, one mapped task per account.

Each account is a folder below `CRITEO_ACCOUNTS` with `criteo-source.toml` and `credentials.txt`. Set `CRITEO_SOURCE` if
the program is not on the PATH of the worker. No date is passed: a run fetches what is missing, whatever day it is.
"""

from __future__ import annotations

import json
import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pendulum

try:  # Airflow 3
    from airflow.sdk import dag, task
    from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.exceptions import AirflowException, AirflowFailException, AirflowSkipException

ACCOUNTS = Path(os.environ.get("CRITEO_ACCOUNTS", "/etc/criteo-source/accounts"))
PROGRAM = os.environ.get("CRITEO_SOURCE", "criteo-source")

# Nothing a retry can change: unexpected, configuration, credentials or consent, output.
NEEDS_A_PERSON = {1, 2, 3, 6}
# Another run holds the lock, so the work is being done.
LOCKED = 7


@dag(
    schedule="0 7 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/Paris"),
    catchup=False,
    max_active_runs=1,
    tags=["criteo"],
)
def criteo():
    @task
    def accounts() -> list[str]:
        return sorted(folder.name for folder in ACCOUNTS.iterdir() if (folder / "criteo-source.toml").is_file())

    @task(retries=3, retry_delay=timedelta(minutes=30), max_active_tis_per_dag=10)
    def pull(account: str) -> dict:
        folder = ACCOUNTS / account
        command = [PROGRAM, "pull", "--config", str(folder / "criteo-source.toml"), "--format", "json", "--no-progress"]
        environment = {**os.environ, "CRITEO_CREDENTIALS_FILE": str(folder / "credentials.txt")}
        # The log goes to the task's log; stdout is exactly one JSON document.
        run = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        document = json.loads(run.stdout) if run.stdout.strip() else {}
        for error in document.get("errors", []):
            print(f"{error['code']}: {error['message']}")
        if run.returncode == LOCKED:
            raise AirflowSkipException(f"{account}: another run holds the lock")
        if run.returncode in NEEDS_A_PERSON:
            raise AirflowFailException(f"{account}: exit code {run.returncode}")
        if run.returncode != 0:
            raise AirflowException(f"{account}: exit code {run.returncode}; what is complete is published")
        return {name: table["rows"] for name, table in document["tables"].items()}

    pull.expand(account=accounts())


criteo()
