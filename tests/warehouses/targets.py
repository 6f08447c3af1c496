"""Places to load into, each as the program is told of it and as another program reads it.

A target has a `configuration`, environment `variables` and `secrets`, and `rows` gives a table back in the notation of
`values`: as text where a client would round.
"""

import datetime
import decimal
import json
import subprocess
import urllib.request

from conftest import duckdb_program
from processes import CACHE, environment

PASSWORD = "hunter2-of-the-key"


class DuckDb:
    target = "duckdb"

    """A place to load into, and the same place as DuckDB reads it."""

    def __init__(self, kind, folder, request):
        self.kind = kind
        self.folder = folder
        if kind == "postgres":
            self.database, self.schema = request.getfixturevalue("postgres"), request.getfixturevalue("unique")
        elif kind == "ducklake":
            self.database, self.schema = f"ducklake:{folder / 'lake.ducklake'}", "main"
        else:
            self.database, self.schema = str(folder / "target.duckdb"), "main"
        self.program = duckdb_program("extensions")
        self.configuration = f'\n[load.duckdb]\ndatabase = "{self.database}"\nschema = "{self.schema}"\n'
        self.variables = {"HOME": str(CACHE / "duckdb-home"), "DUCKDB": str(self.program)}
        self.secrets = []

    def query(self, sql):
        """Rows as dictionaries, every value as text, so that no digit is lost on the way."""
        options = " (TYPE postgres)" if self.kind == "postgres" else ""
        address = self.database.removeprefix("postgres:") if self.kind == "postgres" else self.database
        script = f"ATTACH '{address}' AS t{options};\n{sql};\n"
        home = environment(CACHE / "duckdb-home")
        ran = subprocess.run([self.program, "-json", "-bail"], input=script, env=home, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout) if ran.stdout.strip() else []

    def rows(self, table, schema):
        """A table, in the notation of `values`: numbers and instants as text, nested values as JSON."""
        columns = []
        for field in schema:
            name = f'"{field.name}"'
            nested = str(field.type).startswith(("list", "struct"))
            columns.append(f"CAST(to_json({name}) AS VARCHAR) AS {name}" if nested else f"CAST({name} AS VARCHAR) AS {name}")
        return self.query(f"SET TimeZone = 'UTC'; SELECT {', '.join(columns)} FROM t.{self.schema}.{table}")


class BigQuery:
    target = "bigquery"

    """A dataset of its own, read as the API has it: every value as text."""

    def __init__(self, host, name):
        self.host, self.name = host, name
        self.configuration = f'\n[load.bigquery]\nproject = "test-project"\ndataset = "{self.name}"\n'
        self.variables = {"BIGQUERY_EMULATOR_HOST": host}
        self.secrets = []

    def call(self, path, body=None):
        url = f"http://{self.host}/bigquery/v2/projects/test-project/{path}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def query(self, sql):
        """Rows as dictionaries; nested values as lists and dictionaries, everything else as text."""
        answer = self.call("queries", {"query": sql, "useLegacySql": False, "maxResults": 100000})
        fields = answer["schema"]["fields"]
        return [record(row, fields) for row in answer.get("rows", [])]

    def rows(self, table, schema):
        names = ", ".join(f"`{name}`" for name in schema.names)
        return self.query(f"SELECT {names} FROM `test-project`.{self.name}.{table}")


def record(row, fields):
    return {field["name"]: value(cell["v"], field) for cell, field in zip(row["f"], fields)}


def value(cell, field):
    if field.get("mode") == "REPEATED":
        return [value(item["v"], {**field, "mode": "NULLABLE"}) for item in cell or []]
    if cell is None:
        return None
    if field["type"] in ("RECORD", "STRUCT"):
        return record(cell, field["fields"])
    if field["type"] == "TIMESTAMP":
        # Seconds since 1970, or microseconds where the caller asks for them; never through a float.
        seconds = decimal.Decimal(cell)
        microseconds = int(seconds * 1_000_000)
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        return epoch + datetime.timedelta(microseconds=microseconds)
    return cell


class Snowflake:
    target = "snowflake"

    """A schema of a database of its own, read with Snowflake's driver from Python."""

    def __init__(self, port, folder, name):
        self.port, self.name = port, name
        self.key = folder / "key.p8"
        generate = subprocess.run(
            ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], check=True, capture_output=True
        )
        encrypt = ["openssl", "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", f"pass:{PASSWORD}", "-out", self.key]
        subprocess.run(encrypt, input=generate.stdout, check=True)
        self.driver = next(CACHE.glob("snowflake/lib/python3*/site-packages/adbc_driver_snowflake/libadbc_driver_snowflake.so"))

        self.variables = {"SNOWFLAKE_PRIVATE_KEY_FILE_PWD": PASSWORD}
        self.secrets = [PASSWORD]
        self.front("reset", {})
        # A database is the administrator's to create; this session does, with its schema.
        self.query("SELECT 1 AS ONE")
        self.configuration = self.configured(self.driver)

    def configured(self, driver):
        return f"""
[load.snowflake]
account = "fakesnow"
user = "LOADER"
database = "{self.name}"
schema = "CRITEO"
private_key_file = "{self.key}"
driver = "{driver}"
host = "127.0.0.1"
port = "{self.port}"
protocol = "http"
"""

    def front(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/front/{path}", data, timeout=30) as answer:
            return json.loads(answer.read())

    def query(self, sql):
        """Rows as the connector of Python has them, whose key is never checked there."""
        script = (
            "import json, sys, snowflake.connector as c\n"
            f"x = c.connect(account='fakesnow', user='U', password='p', host='127.0.0.1', port={self.port}, protocol='http',"
            f" database='{self.name}', schema='CRITEO').cursor()\n"
            "x.execute(\"ALTER SESSION SET TIMEZONE = 'UTC'\")\n"
            "x.execute(sys.stdin.read())\n"
            "names = [d[0].lower() for d in x.description]\n"
            "print(json.dumps([dict(zip(names, row)) for row in x.fetchall()], default=str))\n"
        )
        ran = subprocess.run([CACHE / "snowflake/bin/python", "-c", script], input=sql, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr[-2000:]
        return json.loads(ran.stdout)

    def rows(self, table, schema):
        columns = []
        for field in schema:
            nested = str(field.type).startswith(("list", "struct")) or field.name == "_extra"
            text = "TO_JSON" if nested else "TO_VARCHAR"
            columns.append(f"{text}({field.name}) AS {field.name}" if text == "TO_JSON" else f"{field.name}::VARCHAR AS {field.name}")
        return self.query(f"SELECT {', '.join(columns)} FROM {self.name}.CRITEO.{table}")
