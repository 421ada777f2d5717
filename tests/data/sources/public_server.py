"""A server on 127.0.0.1 that behaves as the public ones do, on their good days and their bad ones."""

import dataclasses
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclasses.dataclass
class Served:
    """A file on the server, and how the server treats it.

    Attributes:
        content: Its bytes.
        ranges: Whether parts of it can be asked for.
        content_type: Its Content-Type.
        headers: Further headers.
        secret: The Authorization header without which it is refused.
        redirect: Where the request is sent instead.
        faults: What goes wrong with the next requests, one after another: `("status", 503, {headers})`,
            `("cut", bytes)`, `("fine",)`; `("silent",)`, no answer at all, and `("stall", bytes)`, nothing
            more after so many bytes, until the server is closed.
        always: What goes wrong with every request once `faults` is empty.
    """

    content: bytes = b""
    ranges: bool = True
    content_type: str = "application/zip"
    headers: dict = dataclasses.field(default_factory=dict)
    secret: str | None = None
    redirect: str | None = None
    faults: list = dataclasses.field(default_factory=list)
    always: tuple = ("fine",)


class PublicServer:
    """The server; `files` maps paths (with their query) to what is served, `requests` is what was asked.

    What a POST asks for stands in its body: `ownerSlug` and `datasetSlug` are taken for the path's end.
    """

    def __init__(self):
        self.files = {}
        self.requests = []
        self.closing = threading.Event()
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                served.answer(self, self.path)

            def do_HEAD(self):
                served.answer(self, self.path)

            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                served.answer(self, f"{self.path}/{asked['ownerSlug']}/{asked['datasetSlug']}")

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self):
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def of(self, path):
        """The headers of each request for a path."""
        return [headers for asked, headers in self.requests if asked == path]

    def answer(self, request, path):
        self.requests.append((path, dict(request.headers)))
        file = self.files.get(path)
        if file is None:
            return self.refuse(request, 404, {})
        if file.secret and request.headers.get("Authorization") != file.secret:
            return self.refuse(request, 403, {})
        if file.redirect:
            return self.refuse(request, 302, {"Location": file.redirect, **file.headers})
        kind, *details = file.faults.pop(0) if file.faults else file.always
        if kind == "status":
            return self.refuse(request, *details)
        if kind == "silent":
            self.closing.wait()
            request.close_connection = True
            return None
        self.send(request, file, details[0] if kind in ("cut", "stall") else None)
        if kind == "stall":
            self.closing.wait()
        return None

    def refuse(self, request, status, headers):
        request.send_response(status)
        for key, value in {"Content-Length": "0", **headers}.items():
            request.send_header(key, value)
        request.end_headers()

    def send(self, request, file, cut):
        begin, total = 0, len(file.content)
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        if asked and file.ranges:
            begin = int(asked[1])
            if begin >= total:
                return self.refuse(request, 416, {"Content-Range": f"bytes */{total}"})
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {begin}-{total - 1}/{total}")
        else:
            request.send_response(200)
        if file.ranges:
            request.send_header("Accept-Ranges", "bytes")
        headers = {"ETag": f'"{hashlib.md5(file.content).hexdigest()}"', "Content-Type": file.content_type}
        for key, value in {**headers, "Content-Length": str(total - begin), **file.headers}.items():
            request.send_header(key, value)
        request.end_headers()
        if request.command == "HEAD":
            return None
        part = file.content[begin:]
        request.wfile.write(part if cut is None else part[:cut])
        if cut is not None:
            request.close_connection = True
        return None
