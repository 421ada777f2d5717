"""A server on 127.0.0.1 that behaves as the public ones do, on their good days and their bad ones."""

import dataclasses
import hashlib
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclasses.dataclass
class Served:
    """A file on the server, and how the server treats it.

    Attributes:
        content: Its bytes.
        ranges: Whether parts of it can be asked for.
        if_range: Whether If-Range is heeded; without it a part is served of whatever version there is.
        etag: Whether it has an ETag, `"weak"` for one that is of no use to If-Range.
        modified: Its Last-Modified, if any.
        length: Whether its length is told; `int` for a wrong one, `"chunked"` to tell that of each chunk.
        content_type: Its Content-Type.
        secret: The Authorization header without which it is refused.
        redirect: Where the request is sent instead.
        faults: What goes wrong with the next requests, one after another: `("status", 503, {headers})`,
            `("cut", bytes)`, `("silence", seconds)`, `("change", new content, bytes)`, `("fine",)`.
        always: What goes wrong with every request once `faults` is empty.
    """

    content: bytes = b""
    ranges: bool = True
    if_range: bool = True
    etag: bool | str = True
    modified: str | None = None
    length: bool | int | str = True
    content_type: str = "application/zip"
    secret: str | None = None
    redirect: str | None = None
    faults: list = dataclasses.field(default_factory=list)
    always: tuple = ("fine",)

    def tag(self):
        return f'"{hashlib.md5(self.content).hexdigest()}"'


class PublicServer:
    """The server; `files` maps paths (with their query) to what is served, `requests` is what was asked."""

    def __init__(self):
        self.files = {}
        self.requests = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                served.answer(self)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def of(self, path):
        """The requests for a path."""
        return [headers for asked, headers in self.requests if asked == path]

    def answer(self, request):
        self.requests.append((request.path, dict(request.headers)))
        file = self.files.get(request.path)
        if file is None:
            return self.refuse(request, 404, {})
        if file.secret and request.headers.get("Authorization") != file.secret:
            return self.refuse(request, 403, {})
        if file.redirect:
            return self.refuse(request, 302, {"Location": file.redirect})
        kind, *details = file.faults.pop(0) if file.faults else file.always
        if kind == "status":
            return self.refuse(request, *details)
        if kind == "silence":
            time.sleep(details[0])
            request.close_connection = True
            return None
        if kind == "change":
            file.content, *details = details
            kind = "cut" if details else "fine"
        self.send(request, file, details[0] if kind == "cut" else None)
        return None

    def refuse(self, request, status, headers):
        request.send_response(status)
        for key, value in {"Content-Length": "0", **headers}.items():
            request.send_header(key, value)
        request.end_headers()

    def send(self, request, file, cut):
        begin, total = 0, len(file.content)
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        same = request.headers.get("If-Range") in (None, file.tag(), file.modified) or not file.if_range
        if asked and file.ranges and same:
            begin = int(asked[1])
            if begin >= total:
                return self.refuse(request, 416, {"Content-Range": f"bytes */{total}"})
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {begin}-{total - 1}/{total}")
        else:
            request.send_response(200)
        request.send_header("Content-Type", file.content_type)
        if file.etag:
            request.send_header("ETag", f"W/{file.tag()}" if file.etag == "weak" else file.tag())
        if file.modified:
            request.send_header("Last-Modified", file.modified)
        if file.length == "chunked":
            request.send_header("Transfer-Encoding", "chunked")
        elif file.length is False:
            request.send_header("Connection", "close")
        else:
            length = total - begin if file.length is True else file.length
            request.send_header("Content-Length", str(length))
        request.end_headers()
        part = file.content[begin:]
        if file.length == "chunked":
            part = b"".join(
                b"%x\r\n%b\r\n" % (len(chunk), chunk)
                for chunk in (part[place : place + 50_000] for place in range(0, len(part) + 50_000, 50_000))
            )
        request.wfile.write(part if cut is None else part[:cut])
        if cut is not None or file.length is not True:
            request.close_connection = True
        return None
