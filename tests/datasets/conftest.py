"""A server of files on the loopback, as a storage element is one on the network."""

from __future__ import annotations

import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest


class RangeHandler(SimpleHTTPRequestHandler):
    """Serves byte ranges, which the standard library's handler does not; keeps a few secrets."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(with_body=True)

    def do_HEAD(self):
        self.answer(with_body=False)

    def answer(self, *, with_body):
        self.server.requests.append((self.command, self.path, self.headers.get("Range")))
        path = Path(self.directory) / unquote(self.path.partition("?")[0]).lstrip("/")
        if "secret" in path.name:
            self.send_error(403)
            return
        if not path.is_file():
            self.send_error(404)
            return
        data, wanted = path.read_bytes(), self.headers.get("Range")
        size, status = len(data), 200
        if wanted:
            start, stop = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted).groups()
            data, status = data[int(start) : int(stop) + 1 if stop else None], 206
        self.send_response(status)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{path.stat().st_mtime_ns}"')
        if wanted:
            end = int(start) + len(data) - 1
            self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def web(tmp_path):
    """A server: `.url` is its address, `.folder` what it serves, `.requests` what was asked."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(RangeHandler, directory=str(folder)))
    server.daemon_threads = True
    server.requests = []
    server.folder, server.url = folder, f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
