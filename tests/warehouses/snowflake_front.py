"""A front before fakesnow that speaks more of Snowflake.

fakesnow refuses statements that our load needs, and executes a repeated request again. This front, in fakesnow's own
process, does what Snowflake's documentation says instead. It is our reading of that documentation, not Snowflake:

- `ALTER SESSION SET` is accepted, and its TIMEZONE is that of the session, which is Asia/Tokyo before;
- `@~` is the user's stage; `FILES = (…)` names files in it, of which none may be missing; `REMOVE` removes them;
- a temporary table is a table that goes with its session, and COPY may fill it;
- DDL on tables that are not temporary commits what is open;
- a request that comes again with its id is answered again, not executed again.

`POST /front/fault` with {"kind", "match"} makes the next statement in which the expression `match` is found fail:
`cut`: it is executed, and the connection is cut instead of an answer; `refuse`: it is an error; `lose`: before it, the files
of the user's stage are removed; `lose-silently`: so too, and COPY takes files that are missing for none at all; `exit`: the
session ends before it, as when the client is killed. `GET /front/statements` lists what was executed.
"""

import gzip
import importlib
import json
import os
import pathlib
import re
import sys

import snowflake.connector.errors
import uvicorn
from fakesnow.transforms import stage

# `fakesnow.server` is also the name of a function.
server, copy_into = (importlib.import_module(f"fakesnow.{name}") for name in ("server", "copy_into"))

USER_STAGE = "FRONT.PUBLIC.USER_STAGE"
SESSION_ZONE = "Asia/Tokyo"
OK = "SELECT 'Statement executed successfully.' AS status"
DDL = re.compile(r"(CREATE|ALTER|DROP)\s+(?!.*\bTEMPORARY\b)", re.I)
TEMPORARY = re.compile(r"CREATE\s+(OR\s+REPLACE\s+)?TEMPORARY\s+TABLE\s+(\S+)", re.I)

answers = {}
statements = []
faults = []
silent = False


def stage_folder():
    return pathlib.Path(stage.internal_dir(USER_STAGE))


def files_of_copy(source, files):
    """fakesnow's own knows no files of an internal stage."""
    found = [source.rstrip("/") + "/" + file for file in files]
    missing = [path for path in found if stage.is_internal(path) and not os.path.exists(path)]
    if not missing:
        return found
    if silent:
        return [path for path in found if path not in missing]
    raise snowflake.connector.errors.ProgrammingError(
        msg=f"Remote file '{missing[0]}' was not found.", errno=91016, sqlstate="22000"
    )


copy_into._source_urls = files_of_copy


def take_fault(sql):
    for fault in faults:
        if re.search(fault["match"], sql, re.I):
            faults.remove(fault)
            return fault["kind"]
    return None


class Session:
    """What a session needs beyond fakesnow's."""

    def __init__(self):
        self.in_transaction = False
        self.temporary = []
        self.zone = None

    def translate(self, sql):
        """The statements that fakesnow executes for this one; the answer is that of the last."""
        word = sql.split(None, 1)[0].upper()
        before = []
        if self.zone is None:
            self.zone = SESSION_ZONE
        if word in ("BEGIN", "COMMIT", "ROLLBACK"):
            self.in_transaction = word == "BEGIN"
        elif self.in_transaction and DDL.match(sql):
            self.in_transaction = False
            before = ["COMMIT"]
        if word == "ALTER" and re.match(r"ALTER\s+SESSION\s+SET", sql, re.I):
            if zone := re.search(r"TIMEZONE\s*=\s*'([^']+)'", sql):
                self.zone = zone[1]
            return before + [OK]
        if word == "REMOVE":
            path = re.match(r"REMOVE\s+@~/(\S*)", sql)[1]
            for file in sorted((stage_folder() / path).glob("**/*"), reverse=True):
                file.unlink() if file.is_file() else file.rmdir()
            return before + [OK]
        if table := TEMPORARY.match(sql):
            self.temporary.append(table[2])
            sql = re.sub(r"\bTEMPORARY\s+", "", sql, count=1, flags=re.I)
        if word in ("PUT", "COPY"):
            sql = sql.replace("@~/", f"@{USER_STAGE}/")
        if word == "PUT":
            # When the driver asks for the address of one file of a pattern, it leaves the asterisk before the name.
            sql = re.sub(r"\*(?=[^.])", "", sql, count=1)
        if word == "CREATE":
            sql = re.sub(r",\s*PRIMARY KEY \([^)]*\) NOT ENFORCED", "", sql)
        # A column of INFORMATION_SCHEMA.COLUMNS that fakesnow lacks; it stores microseconds.
        sql = sql.replace("DATETIME_PRECISION", "6")
        if word == "COPY" and self.zone != "UTC":
            # In another zone, instants would be stored with an offset that is not theirs in the file.
            return ["SELECT front_refuses_to_copy_in_the_time_zone_of_the_account"]
        if re.match(r"CREATE\s+OR\s+REPLACE\s+VIEW", sql, re.I):
            sql = re.sub(r"\sCOPY GRANTS\b", "", sql, count=1)
        return before + [sql]


class Front:
    """Rewrites the bodies of query requests on their way to fakesnow."""

    def __init__(self, app):
        self.app = app
        self.sessions = {}

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or not scope["path"].startswith(("/queries/v1/query-request", "/front/", "/session")):
            return await self.app(scope, receive, send)
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = dict(scope["headers"])
        if headers.get(b"content-encoding") == b"gzip":
            body = gzip.decompress(body)
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"content-encoding"]}
        if scope["path"].startswith("/front/"):
            return await self.control(scope["path"], body, send)
        token = headers.get(b"authorization", b"").decode()
        if scope["path"].startswith("/session"):
            if b"delete=true" in scope["query_string"]:
                await self.end(scope, token)
            return await self.app(scope, given(body), send)
        query = dict(pair.split("=", 1) for pair in scope["query_string"].decode().split("&") if "=" in pair)
        await self.query(scope, token, query.get("requestId"), json.loads(body), send)

    async def query(self, scope, token, request_id, body, send):
        global silent
        if request_id in answers:
            return await forward(answers[request_id], send)
        sql = body["sqlText"].strip().rstrip(";")
        session = self.sessions.setdefault(token, Session())
        fault = take_fault(sql)
        if fault == "refuse":
            sql = "SELECT front_was_told_to_refuse_this"
        if fault in ("lose", "lose-silently"):
            silent = fault == "lose-silently"
            for file in stage_folder().glob("**/*.parquet"):
                file.unlink()
        statements.append(sql)
        for statement in session.translate(sql):
            answer = await self.ask(scope, {**body, "sqlText": statement})
        silent = False
        answers[request_id] = answer
        if fault == "cut":
            # An answer that ends before its length: the client cannot know what became of its request.
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100000")]})
            await send({"type": "http.response.body", "body": b"{", "more_body": True})
            raise ConnectionError("cut on purpose")
        await forward(answer, send)

    async def ask(self, scope, body):
        """fakesnow's whole answer to one statement."""
        messages = []

        async def keep(message):
            messages.append(message)

        headers = [(name, value) for name, value in scope["headers"] if name not in (b"content-encoding", b"content-length")]
        await self.app({**scope, "headers": headers}, given(json.dumps(body).encode()), keep)
        return messages

    async def end(self, scope, token):
        session = self.sessions.pop(token, Session())
        scope = {**scope, "path": "/queries/v1/query-request", "raw_path": b"/queries/v1/query-request", "method": "POST"}
        if session.in_transaction:
            await self.ask(scope, {"sqlText": "ROLLBACK"})
        for table in session.temporary:
            await self.ask(scope, {"sqlText": f"DROP TABLE IF EXISTS {table}"})

    async def control(self, path, body, send):
        answer = {}
        if path == "/front/fault":
            faults.append(json.loads(body))
        elif path == "/front/reset":
            faults.clear()
            statements.clear()
        else:
            answer = statements
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


def given(body):
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def forward(messages, send):
    for message in messages:
        await send(message)


if __name__ == "__main__":
    server.shared_fs.connect("FRONT", "PUBLIC").cursor().execute(f"CREATE STAGE {USER_STAGE}")
    uvicorn.run(Front(server.app), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
