#!/usr/bin/env python3
"""Memory of a long backfill over time, against the simulated API.

    cargo build --profile dist --locked --features test-hooks
    python3 benches/memory.py [--days 730] [--advertisers 20]

Starts `criteo-source sandbox`, runs `criteo-source backfill` of daily ad statistics against it, reads the resident memory
of the backfill from the kernel (`/proc/PID/statm`, so Linux only) every 20 ms, and prints its peak and its course. Waits for
the quota are simulated: they are counted, not slept, because nothing is held while waiting that is not held otherwise.
"""

import argparse
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MIB = 1 << 20
TODAY = datetime.date(2026, 11, 22)
POINTS = 10


def resident(pid):
    """Bytes of the process in memory now, or None once it is gone."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=730)
    parser.add_argument("--advertisers", type=int, default=20)
    parser.add_argument("--tables", default="ad_statistics_daily")
    parser.add_argument("--program", default=str(ROOT / "target" / "dist" / "criteo-source"))
    options = parser.parse_args()

    keep = {name: value for name, value in os.environ.items() if not name.startswith("CRITEO_")}
    sandbox = subprocess.Popen(
        [options.program, "sandbox", "--port", "0", "--today", str(TODAY), "--calls-per-minute", "1000000",
         "--advertisers-count", str(options.advertisers), "--format", "json", "-q"],
        env=keep, stdout=subprocess.PIPE, text=True)
    try:
        account = json.loads(sandbox.stdout.readline())
        environment = dict(keep, CRITEO_API_URL=account["url"], CRITEO_CLIENT_ID=account["client_id"],
                           CRITEO_CLIENT_SECRET=account["client_secret"], CRITEO_SOURCE_TEST_SKIP_WAITS="1")
        with tempfile.TemporaryDirectory() as output:
            first, last = TODAY - datetime.timedelta(days=options.days), TODAY - datetime.timedelta(days=1)
            command = [options.program, "backfill", "--from", str(first), "--to", str(last), "--as-of", str(TODAY),
                       "--tables", options.tables, "--output", output, "--format", "json", "-q"]
            started = time.monotonic()
            backfill = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
            samples = []
            while backfill.poll() is None:
                memory = resident(backfill.pid)
                if memory:
                    samples.append((time.monotonic() - started, memory))
                time.sleep(0.02)
            summary = json.loads(backfill.stdout.read())
    finally:
        sandbox.terminate()
    if summary["outcome"] != "ok":
        sys.exit(json.dumps(summary, indent=1))

    done = summary["tables"].values()
    print(f"{options.days} days, {options.advertisers} advertisers, {options.tables}: "
          f"{sum(table['rows'] for table in done):,} rows in {sum(table['partitions'] for table in done)} partitions, "
          f"{summary['calls']['report']} report calls, {samples[-1][0]:.1f} s\n")
    print(f"resident memory: peak {max(memory for _, memory in samples) / MIB:.0f} MiB, "
          f"median {statistics.median(memory for _, memory in samples) / MIB:.0f} MiB\n")
    print("| part of the time | most | median |\n|---|---|---|")
    for point in range(POINTS):
        part = [memory for _, memory in samples[len(samples) * point // POINTS:len(samples) * (point + 1) // POINTS]]
        if part:
            print(f"| {point * 100 // POINTS}–{(point + 1) * 100 // POINTS} % | {max(part) / MIB:.0f} MiB | "
                  f"{statistics.median(part) / MIB:.0f} MiB |")


if __name__ == "__main__":
    main()
