"""Criteo's tables as one Dagster asset, materialized every morning; retried where a retry can help.

Set `CRITEO_SOURCE` if the program is not on the PATH, and `CRITEO_CONFIG` to the configuration file.
"""

import json
import os
import subprocess

from dagster import (
    AssetExecutionContext,
    Definitions,
    Failure,
    MaterializeResult,
    RetryRequested,
    ScheduleDefinition,
    asset,
    define_asset_job,
)

PROGRAM = os.environ.get("CRITEO_SOURCE", "criteo-source")
CONFIGURATION = os.environ.get("CRITEO_CONFIG", "criteo-source.toml")
# Partial, Criteo unavailable, locked by another run, warehouse unreachable.
WORTH_A_RETRY = {4, 5, 7, 8}


@asset(group_name="criteo", compute_kind="parquet")
def criteo_partitions(context: AssetExecutionContext) -> MaterializeResult:
    """Partitions of all enabled tables, complete up to yesterday."""
    command = [PROGRAM, "pull", "--config", CONFIGURATION, "--format", "json", "--no-progress"]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    document = json.loads(run.stdout) if run.stdout.strip() else {}
    errors = [f"{error['code']}: {error['message']}" for error in document.get("errors", [])]
    for error in errors:
        context.log.error(error)
    if run.returncode in WORTH_A_RETRY:
        raise RetryRequested(max_retries=3, seconds_to_wait=1800)
    if run.returncode != 0:
        raise Failure(description=f"exit code {run.returncode}", metadata={"errors": errors})
    rows = {name: table["rows"] for name, table in document["tables"].items()}
    return MaterializeResult(metadata={"run_id": document["run_id"], "rows": rows, "report_calls": document["calls"]["report"]})


pull_job = define_asset_job("pull_criteo", selection=[criteo_partitions])

definitions = Definitions(
    assets=[criteo_partitions],
    jobs=[pull_job],
    schedules=[ScheduleDefinition(job=pull_job, cron_schedule="0 7 * * *", execution_timezone="Europe/Paris")],
)
