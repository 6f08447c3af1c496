"""Child processes that serve: started on a free port of 127.0.0.1, awaited, and ended by their own id."""

import os
import pathlib
import socket
import subprocess
import time
import urllib.error
import urllib.request

CACHE = pathlib.Path(os.environ["WAREHOUSES_CACHE"])
PROGRAM = os.environ["CRITEO_SOURCE"]
READY_SECS = 60
# What the processes here may know of the outside: not anybody's account, and no network but this machine.
KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "JAVA_HOME", "USER")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def environment(home, **variables):
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "HOME": str(home), **variables}


class Server:
    """A process; `log` has what it said."""

    def __init__(self, name, command, folder, ready, **variables):
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                list(map(str, command)),
                cwd=folder,
                env=environment(CACHE / "duckdb-home", **variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.await_ready(ready)

    def await_ready(self, ready):
        deadline = time.monotonic() + READY_SECS
        while not ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def answers(url):
    """Whether a server answers there, whatever it says."""

    def ready():
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    return ready


def accepts(port):
    """Whether something listens on the port."""

    def ready():
        with socket.socket() as client:
            client.settimeout(1)
            return client.connect_ex(("127.0.0.1", port)) == 0

    return ready
