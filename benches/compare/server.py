"""Criteo's answers for one report, over plain HTTP on loopback: `server.py FOLDER`.

Prints its port, then one line per request: the time it arrived, in seconds of the monotonic clock, and its path. Bodies
come from files made by `report.py`, sent by the kernel, so that serving costs the same whoever asks, and little.
"""

import json
import pathlib
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import report


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self.note()
        if self.path.endswith("/report.json"):
            self.send_file("report.json")
        elif self.path.endswith("/advertisers/me"):
            data = [{"id": identifier, "type": "advertiser", "attributes": {"advertiserName": f"Advertiser {identifier}"}}
                    for identifier in report.advertiser_ids()]
            self.send_json({"data": data})
        else:
            self.send_error(404)

    def do_POST(self):
        self.note()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("/oauth2/token"):
            self.send_json({"access_token": "token", "token_type": "Bearer", "expires_in": 900})
        elif self.path.endswith("/statistics/report"):
            asked = json.loads(body)
            wants_ads = "AdId" in asked["dimensions"]
            self.send_file("report.json" if wants_ads else "totals.json")
        else:
            self.send_error(404)

    def note(self):
        print(f"{time.monotonic():.6f} {self.path}", flush=True)

    def send_json(self, value):
        body = json.dumps(value).encode()
        self.send_headers(len(body))
        self.wfile.write(body)

    def send_file(self, name):
        with open(pathlib.Path(self.server.folder) / name, "rb") as file:
            self.send_headers(file.seek(0, 2))
            file.seek(0)
            self.wfile.flush()
            self.connection.sendfile(file)

    def send_headers(self, length):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that ended early is its own affair."""


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Answers)
    server.folder = sys.argv[1]
    print(server.server_address[1], flush=True)
    server.serve_forever()
