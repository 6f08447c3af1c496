#!/usr/bin/env python3
"""One full report to Parquet, as whole processes: criteo-source beside polars, pyarrow and DuckDB.

    cargo build --profile dist --locked
    python3 benches/compare/compare.py [--runs N] [--rows N] [--pin]

Makes one statistics report of 99,999 rows and 30 columns (99.7 MB of JSON), serves it on loopback, and runs each
contestant as a process of its own, every time right after criteo-source, so that a machine whose speed drifts is as fast
for both; the ratio is taken pair by pair. Wall time, processor time and peak memory are the kernel's (`wait4`). What
each writes is compared with the report's sums.

criteo-source does its whole job: token, advertisers, Criteo's totals, report, reconciliation, sorted rows, file flushed to
disk, ledger. The others get what is best for them: no token, no totals, for DuckDB not even HTTP or the envelope.

`--pin` puts every contestant on the first processor and the server on the second.

Python 3.9 or newer. Packages go to a virtual environment in the scratch folder (`--scratch`, kept between runs).
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import report

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PACKAGES = ["polars==2.1.0", "pyarrow==26.0.1", "duckdb==2.0.0"]
MIB = 1 << 20


class Run:
    """What one process took."""

    def __init__(self, command, environment=None, pin=None):
        # Peak memory is counted from the start of the child, when it still shares this process's memory: this process
        # must stay small, which is why the report is made and served by others.
        output = tempfile.TemporaryFile()
        before = time.monotonic()
        if pin is not None:
            command = ["taskset", "-c", pin, *command]
        pid = os.posix_spawn(
            shutil.which(command[0]), command, environment or os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, output.fileno(), 1), (os.POSIX_SPAWN_DUP2, output.fileno(), 2)],
        )
        _, status, usage = os.wait4(pid, 0)
        self.started = before
        self.wall = time.monotonic() - before
        self.cpu = usage.ru_utime + usage.ru_stime
        self.peak = usage.ru_maxrss * 1024
        output.seek(0)
        self.output = output.read().decode(errors="replace")
        if status != 0:
            sys.exit(f"{' '.join(command)} failed:\n{self.output}")


class Server:
    """`server.py`, and when requests arrived at it."""

    def __init__(self, folder, pin):
        self.log = open(folder / "server.log", "w+")
        command = [sys.executable, str(HERE / "server.py"), str(folder)]
        if pin is not None:
            command = ["taskset", "-c", pin, *command]
        self.process = subprocess.Popen(command, stdout=self.log)
        while not (line := self.lines()[:1]) or not line[0].endswith("\n"):
            time.sleep(0.02)
        self.port = line[0].strip()

    def lines(self):
        self.log.seek(0)
        return self.log.readlines()

    def arrivals(self, since):
        """(seconds after `since`, path) of requests."""
        entries = (line.split() for line in self.lines()[1:])
        return [(float(at) - since, path) for at, path in entries if float(at) >= since]


def packages(scratch):
    """The interpreter of a virtual environment that has the other contestants."""
    python = scratch / "venv" / "bin" / "python"
    wanted = scratch / "venv" / "packages"
    if not wanted.exists() or wanted.read_text() != " ".join(PACKAGES):
        subprocess.run([sys.executable, "-m", "venv", str(scratch / "venv")], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES], check=True)
        wanted.write_text(" ".join(PACKAGES))
    return str(python)


def prepare(folder, rows):
    """The report's bodies, made once for each number of rows."""
    marker = folder / "rows"
    source = (HERE / "report.py").read_text()
    made_by = folder / "made-by"
    if not marker.exists() or not made_by.exists() or made_by.read_text() != source:
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, str(HERE / "report.py"), str(folder), str(rows)], check=True)
        marker.write_text(str(rows))
        made_by.write_text(source)
    size = (folder / "report.json").stat().st_size
    print(f"one report: {rows:,} rows, {len(report.COLUMNS)} columns, {size / 1e6:.1f} MB of JSON\n")


def configuration(folder):
    """criteo-source's configuration for the report."""
    def quoted(names):
        return "[" + ", ".join(f'"{name}"' for name in names) + "]"

    path = folder / "criteo-source.toml"
    path.write_text(
        f'start_date = "{report.DAY}"\ncurrency = "{report.CURRENCY}"\n\n[[reports]]\nname = "{report.REPORT}"\n'
        f'grain = "day"\ndimensions = {quoted(["CampaignId", "AdsetId", "AdId", "Device", "Os"])}\n'
        f"metrics = {quoted(report.METRICS)}\n"
    )
    return str(path)


def skip_command():
    """Builds, if need be, the program that does nothing but skip through the body with serde_json."""
    build = ["cargo", "bench", "--locked", "--bench", "skip", "--no-run", "--message-format=json-render-diagnostics"]
    messages = subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    artifacts = (json.loads(line) for line in messages)
    return next(found["executable"] for found in artifacts if found.get("target", {}).get("name") == "skip"
                and found.get("executable"))


class Comparison:
    """The contestants, and how each is started."""

    def __init__(self, options, scratch, folder, python):
        self.folder, self.pin = folder, "0" if options.pin else None
        self.server = Server(folder, "1" if options.pin else None)
        self.files = scratch / "files"
        shutil.rmtree(self.files, ignore_errors=True)
        self.files.mkdir()
        self.python = python
        self.program = options.program
        self.configuration = configuration(folder)
        self.starts = []
        port = self.server.port

        def script(name, output, *more):
            return [python, str(HERE / name), port, str(folder), self.file(output), *more]

        self.others = {
            "polars, decimal(38, 9)": script("with_polars.py", "polars"),
            "pyarrow, decimal(38, 9)": script("with_pyarrow.py", "pyarrow"),
            "DuckDB on a cut file, decimal(38, 9)": script("with_duckdb.py", "duckdb38", "38"),
            "DuckDB on a cut file, decimal(18, 9)": script("with_duckdb.py", "duckdb18", "18"),
        }
        self.outputs = dict(zip(self.others, ["polars", "pyarrow", "duckdb38", "duckdb18"]))

    def file(self, name):
        return str(self.files / f"{name}.parquet")

    def ours(self):
        output = self.files / "output"
        shutil.rmtree(output, ignore_errors=True)
        keep = {name: value for name, value in os.environ.items() if not name.startswith("CRITEO_")}
        environment = dict(keep, CRITEO_API_URL=f"http://127.0.0.1:{self.server.port}",
                           CRITEO_CLIENT_ID="bench", CRITEO_CLIENT_SECRET="bench")
        run = Run([self.program, "backfill", "--from", report.DAY, "--to", report.DAY, "--as-of", "2026-11-02",
                   "--tables", report.REPORT, "--config", self.configuration, "--output", str(output), "--strict"],
                  environment, self.pin)
        self.starts.append(self.server.arrivals(run.started))
        return run

    def our_file(self):
        return self.files / "output" / report.REPORT / f"dt={report.DAY}" / "data.parquet"

    def check(self, path):
        subprocess.run([self.python, str(HERE / "verify.py"), str(path), str(self.folder)], check=True)

    def run(self, runs):
        """Pairs of runs for each contestant: warm both, then criteo-source and the other in turn."""
        pairs = {name: [] for name in self.others}
        for number in range(runs + 1):
            for name, command in self.others.items():
                pair = (self.ours(), Run(command, pin=self.pin))
                if number:
                    pairs[name].append(pair)
        self.check(self.our_file())
        for name in self.others:
            self.check(self.file(self.outputs[name]))
        return pairs


def median(values):
    return statistics.median(values)


def line(name, runs, size=None, ratios=None):
    walls = [run.wall for run in runs]
    spread = f"{min(walls):.2f}–{max(walls):.2f}"
    file = f"{size / 1e6:.2f} MB" if size else ""
    ratio = f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})" if ratios else ""
    return (f"| {name} | {median(walls):.2f} s ({spread}) | {median([run.cpu for run in runs]):.2f} s | "
            f"{median([run.peak for run in runs]) / MIB:.0f} MiB | {file} | {ratio} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="pairs for each contestant, after one to warm up")
    parser.add_argument("--rows", type=int, default=99_999)
    parser.add_argument("--pin", action="store_true", help="one processor for every contestant")
    parser.add_argument("--scratch", default=str(pathlib.Path(tempfile.gettempdir()) / "criteo-source-compare"))
    parser.add_argument("--program", default=str(ROOT / "target" / "dist" / "criteo-source"))
    parser.add_argument("--floor", help="the built `skip` benchmark, instead of building it with cargo")
    parser.add_argument("--no-floor", action="store_true", help="leave out the serde_json floor, which needs cargo")
    options = parser.parse_args()

    scratch = pathlib.Path(options.scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    python = packages(scratch)
    folder = scratch / f"report-{options.rows}"
    prepare(folder, options.rows)
    comparison = Comparison(options, scratch, folder, python)
    try:
        pairs = comparison.run(options.runs)
        floor = [] if options.no_floor else floor_runs(comparison, options)
        help_runs = [Run([options.program, "--help"], pin=comparison.pin) for _ in range(max(20, options.runs))]
    finally:
        comparison.server.process.terminate()
    print_table(options, comparison, pairs, floor)
    print_start(comparison, help_runs)


def floor_runs(comparison, options):
    command = [options.floor or skip_command(), str(comparison.folder / "report.json")]
    return [(comparison.ours(), Run(command, pin=comparison.pin)) for _ in range(options.runs)]


def print_table(options, comparison, pairs, floor):
    print(f"{options.runs} pairs each, {'one processor' if options.pin else 'all processors'}; "
          "medians, least to most in brackets\n")
    print("| whole process | wall | processor | peak memory | file | criteo-source takes, pair by pair |")
    print("|---|---|---|---|---|---|")
    ours = [own for runs in pairs.values() for own, _ in runs]
    print(line("criteo-source", ours, comparison.our_file().stat().st_size))
    for name, runs in pairs.items():
        size = os.path.getsize(comparison.file(comparison.outputs[name]))
        print(line(name, [other for _, other in runs], size, [own.wall / other.wall for own, other in runs]))
    if floor:
        print(line("serde_json skipping the body in a file", [other for _, other in floor],
                   ratios=[own.wall / other.wall for own, other in floor]))
        inside = [float(other.output.split()[0]) for _, other in floor]
        ratios = [own.wall / seconds for (own, _), seconds in zip(floor, inside)]
        print(f"\nserde_json skipping alone, without reading the file: {median(inside) * 1000:.0f} ms; "
              f"the whole of criteo-source takes {median(ratios):.1f} times that")


def print_start(comparison, help_runs):
    def delays(path_before, path):
        found = []
        for arrivals in comparison.starts:
            times = {}
            for at, name in arrivals:
                times.setdefault(name.rsplit("/", 1)[-1], at)
            found.append((times[path] - (times[path_before] if path_before else 0)) * 1000)
        return median(found)

    print(f"\n`--help`: {median([run.wall for run in help_runs]) * 1000:.1f} ms; "
          f"start to token call: {delays(None, 'token'):.1f} ms; "
          f"token call to first request: {delays('token', 'me'):.1f} ms")


if __name__ == "__main__":
    main()
