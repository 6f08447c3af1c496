"""A stub of the part of Cloud Storage's XML API that outputs use: put, get, head, delete and list, with generations.

It is our reading of Google's documentation, not Cloud Storage. No emulator among the packages takes conditional writes by the
XML API (fake-gcs-server, gcp-storage-emulator), which is what the store's client uses.
"""

import hashlib
import http.server
import itertools
import sys
import threading
import urllib.parse
from xml.sax.saxutils import escape

objects = {}
generations = itertools.count(1_700_000_000_000_001)
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def send(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def parts(self):
        address = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(address.query, keep_blank_values=True))
        bucket, _, key = address.path.lstrip("/").partition("/")
        return bucket, urllib.parse.unquote(key), query

    def facts(self, found):
        content, generation, tag = found
        return {
            "ETag": tag,
            "Last-Modified": "Fri, 27 Nov 2026 12:00:00 GMT",
            "x_goog_generation": generation,
            "Content_Length": len(content),
        }

    def do_GET(self):
        bucket, key, query = self.parts()
        with lock:
            if not key:
                return self.list(bucket, query)
            found = objects.get((bucket, key))
        if found is None:
            return self.send(404, b"<Error><Code>NoSuchKey</Code></Error>")
        self.send(200, found[0], **self.facts(found))

    do_HEAD = do_GET

    def list(self, bucket, query):
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        contents, folders = [], set()
        for (owner, key), (content, _, tag) in sorted(objects.items()):
            if owner != bucket or not key.startswith(prefix):
                continue
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.split(delimiter)[0] + delimiter)
                continue
            contents.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-27T12:00:00.000Z</LastModified>"
                f"<ETag>{escape(tag)}</ETag><Size>{len(content)}</Size></Contents>"
            )
        folders = "".join(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in sorted(folders))
        body = f'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>{"".join(contents)}{folders}</ListBucketResult>'
        self.send(200, body.encode(), Content_Type="application/xml")

    def do_PUT(self):
        bucket, key, _ = self.parts()
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        condition = self.headers.get("x-goog-if-generation-match")
        with lock:
            now = objects.get((bucket, key), (b"", 0, ""))[1]
            if condition is not None and int(condition) != now:
                return self.send(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            generation = next(generations)
            tag = f'"{hashlib.md5(body).hexdigest()}"'
            objects[bucket, key] = (body, generation, tag)
        self.send(200, ETag=tag, x_goog_generation=generation)

    def do_DELETE(self):
        bucket, key, _ = self.parts()
        with lock:
            found = objects.pop((bucket, key), None)
        self.send(204 if found else 404)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
