"""Stands before the `duckdb` command and kills the program that started it when a statement comes by.

KILL_AT is a part of that statement; KILL_WHEN says whether DuckDB still gets it (`after`) or not (`before`).
"""

import os
import signal
import subprocess
import sys

program = subprocess.Popen([os.environ["REAL_DUCKDB"], *sys.argv[1:]], stdin=subprocess.PIPE, text=True)
for line in sys.stdin:
    if os.environ["KILL_AT"] in line:
        if os.environ["KILL_WHEN"] == "after":
            program.stdin.write(line)
            program.stdin.close()
            program.wait()
        else:
            program.kill()
        os.kill(os.getppid(), signal.SIGKILL)
        sys.exit(1)
    program.stdin.write(line)
    program.stdin.flush()
program.stdin.close()
sys.exit(program.wait())
