#!/usr/bin/env python3
"""How many calls the job takes, with Criteo's own row caps, against the sandbox.

    cargo build --profile dist --locked --features test-hooks
    python3 benches/calls.py [--program target/dist/criteo-source]

Prints one line for each situation: rows, report calls, the least that the row cap allows, calls whose answers were cut at
the cap and thrown away, other calls, and the peak memory of the process. Needs Python 3.9 and nothing else; takes about a
minute. The program's own limits (40 report calls a minute) are in force, but waits are counted and not slept.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

TODAY = "2026-11-10"
CAP = 100_000
TABLE = "ad_statistics_daily"
TWO_YEARS = ["backfill", "--from", "2024-11-10", "--to", "2026-11-09", "--tables", TABLE]
MONTH = ["backfill", "--from", "2026-10-11", "--to", "2026-11-09", "--tables", TABLE]


def sandbox(program, arguments):
    """Starts a sandbox; its process, and the variables that point the program at it."""
    process = subprocess.Popen(
        [program, "sandbox", "--port", "0", "--today", TODAY, "--calls-per-minute", "100000", "--format", "json", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    where = json.loads(process.stdout.readline())
    variables = {
        "CRITEO_API_URL": where["url"],
        "CRITEO_CLIENT_ID": where["client_id"],
        "CRITEO_CLIENT_SECRET": where["client_secret"],
        "CRITEO_SOURCE_TEST_SKIP_WAITS": "1",
    }
    return process, variables


def run(program, variables, folder, arguments):
    """One run to its end: its summary, and its peak memory in MiB."""
    with tempfile.TemporaryFile("w+") as stdout:
        command = [program, *arguments, "--as-of", TODAY, "--format", "json", "-q", "--output", str(folder)]
        child = subprocess.Popen(command, stdout=stdout, env=variables, cwd=folder.parent)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        summary = json.load(stdout)
    if child.returncode != 0:
        sys.exit(f"{' '.join(arguments)} ended with {child.returncode}: {json.dumps(summary['errors'], indent=1)}")
    return summary, usage.ru_maxrss / 1024


def line(name, summary, memory):
    rows = sum(table["rows"] for tables, table in summary["tables"].items() if tables == TABLE)
    capped = sum(table["capped_calls"] for table in summary["tables"].values())
    calls = summary["calls"]
    least = -(-rows // CAP)
    print(f"| {name} | {rows:,} | {calls['report']} | {least} | {capped} | {calls['default']} | {memory:.0f} MiB |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/dist/criteo-source", type=pathlib.Path)
    program = parser.parse_args().program.resolve()
    print("| 20 advertisers | rows of daily ad statistics | report calls | at best | thrown away | other calls | peak memory |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        server, variables = sandbox(program, ["--advertisers-count", "20", "--ads-per-ad-set", "7"])
        try:
            data = pathlib.Path(scratch, "data")
            line("730 days, empty ledger", *run(program, variables, data, TWO_YEARS))
            line("730 days, all of them known", *run(program, variables, data, [*TWO_YEARS, "--force"]))
            data = pathlib.Path(scratch, "month")
            line("30 days, empty ledger", *run(program, variables, data, MONTH))
            line("730 days, 30 of them known", *run(program, variables, data, TWO_YEARS))
            data = pathlib.Path(scratch, "daily")
            pathlib.Path(scratch, "criteo-source.toml").write_text('start_date = "2026-10-01"\n')
            line("first `pull`, 40 days, all default tables", *run(program, variables, data, ["pull"]))
            line("daily `pull`, all default tables", *run(program, variables, data, ["pull"]))
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
