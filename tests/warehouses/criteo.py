"""The program, and the Criteo account it pulls from: its own sandbox behind a front that can change answers.

The front stands for what Criteo does to data that was read before: it takes rows back, renames, adds attributes. It
changes totals and rows alike, because the program compares them.
"""

import datetime
import http.server
import itertools
import json
import re
import subprocess
import threading
import urllib.error
import urllib.request

import processes

SECRET = "s3cret+with/slash 100%=odd&end"
TODAY = datetime.datetime.now(datetime.timezone.utc).date()
# Every table that has nested columns, decimals, instants or `_extra`, and one without any of them.
TABLES = ("ad_statistics_daily", "transactions", "placement_categories_daily", "campaigns", "ad_sets", "creatives", "coupons")


def day(ago):
    return (TODAY - datetime.timedelta(days=ago)).isoformat()


class Account:
    """A simulated account, from its start to `stop`."""

    def __init__(self, folder):
        said = folder / "sandbox.json"
        with said.open("w") as out, (folder / "sandbox.log").open("w") as log:
            self.process = subprocess.Popen(
                [processes.PROGRAM, "sandbox", "--port", "0", "--format", "json", "--calls-per-minute", "100000"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env=processes.environment(folder),
            )
        deadline = 200
        while not said.read_text().strip():
            deadline -= 1
            if deadline == 0 or self.process.poll() is not None:
                raise RuntimeError(f"the sandbox did not start: {(folder / 'sandbox.log').read_text()}")
            threading.Event().wait(0.05)
        self.sandbox = json.loads(said.read_text())["url"]
        self.changes = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def stop(self):
        self.server.shutdown()
        self.process.terminate()
        self.process.wait()

    def replace(self, pattern, replacement):
        """From now on, what matches in the body of an answer is replaced."""
        self.changes.append(lambda body: re.sub(pattern, replacement, body))

    def cycle(self, pattern, values):
        """As `replace`, with these values one after the other; the pattern's first group stays before them."""
        values = itertools.cycle(values)
        self.changes.append(lambda body: re.sub(pattern, lambda match: f'{match[1]}"{next(values)}"', body))

    def take_back(self, name, value):
        """From now on, rows and entities in which `name` is `value` are gone."""

        def kept(thing):
            if isinstance(thing, list):
                return [kept(item) for item in thing if not (isinstance(item, dict) and item.get(name) == value)]
            if isinstance(thing, dict):
                return {key: kept(item) for key, item in thing.items()}
            return thing

        # Numbers keep their digits: money comes as text, and what is a number in the sandbox survives Python's.
        self.changes.append(lambda body: json.dumps(kept(json.loads(body)), ensure_ascii=False) if body[:1] in "{[" else body)

    def handler(self):
        account = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("content-length") or 0)
                dropped = ("host", "accept-encoding", "content-length", "connection")
                headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
                body = self.rfile.read(length) if length else None
                request = urllib.request.Request(account.sandbox + self.path, body, headers, method=self.command)
                try:
                    response = urllib.request.urlopen(request)
                except urllib.error.HTTPError as error:
                    response = error
                text = response.read().decode()
                if response.status == 200 and "oauth2" not in self.path:
                    for change in account.changes:
                        text = change(text)
                sent = text.encode()
                self.send_response_only(response.status)
                for name, value in response.headers.items():
                    if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                        self.send_header(name, value)
                self.send_header("content-length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        return Handler


class Outcome:
    """What a run of the program has left: exit code, document, and everything it printed."""

    def __init__(self, code, stdout, stderr):
        self.code = code
        self.text = stdout + stderr
        self.document = json.loads(stdout) if stdout.lstrip().startswith("{") else None

    def load(self):
        """The load's own part of the document."""
        loads = self.document.get("loads") or [self.document]
        assert len(loads) == 1, self.document
        return loads[0]


class Work:
    """A folder with a configuration, an output, and the account that fills it."""

    def __init__(self, folder, account, output=None, target=None, **variables):
        self.folder = folder
        self.output = output or str(folder / "data")
        self.secrets = [SECRET, *(target.secrets if target else [])]
        self.variables = {**(target.variables if target else {}), **variables}
        self.target = target
        self.configure()
        self.account = account

    def configure(self, tables=""):
        """Writes the configuration: three days, a target, and these tables."""
        target = self.target.configuration if self.target else ""
        (self.folder / "criteo-source.toml").write_text(f'start_date = "{day(3)}"\n{tables}{target}')

    def environment(self, **variables):
        return processes.environment(
            self.folder,
            CRITEO_API_URL=self.account.url,
            CRITEO_CLIENT_ID="sandbox-client",
            CRITEO_CLIENT_SECRET=SECRET,
            **{**self.variables, **variables},
        )

    def command(self, *arguments):
        return [processes.PROGRAM, *arguments, "--output", self.output, "--format", "json"]

    def run(self, *arguments, expect=0, **variables):
        ran = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        outcome = Outcome(ran.returncode, ran.stdout, ran.stderr)
        for secret in self.secrets:
            assert secret not in outcome.text, "a secret was printed"
        assert expect is None or outcome.code == expect, f"exit {outcome.code}: {outcome.text[-4000:]}"
        return outcome

    def pull(self, *arguments, **options):
        tables = [] if "--tables" in arguments else ["--tables", ",".join(TABLES)]
        return self.run("pull", *tables, *arguments, **options)

    def backfill(self, first, last, *arguments, **options):
        return self.run("backfill", "--from", first, "--to", last, "--force", *arguments, **options)
