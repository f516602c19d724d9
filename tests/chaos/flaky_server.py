"""A web server that serves files by ranges, and fails at a set rate."""

import http.server
import random
import socket
import socketserver
import struct
import threading
import urllib.parse
from pathlib import Path

FAULTS = ("500", "503", "reset", "cut")


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves what is below the folder; the file ``rate`` beside it says how often it fails."""

    protocol_version = "HTTP/1.1"
    folder = Path()
    rng = random.Random(0)  # noqa: S311 (chance, no secret)
    lock = threading.Lock()

    def do_HEAD(self):
        self.serve(is_head=True)

    def do_GET(self):
        self.serve(is_head=False)

    def serve(self, *, is_head):
        path = self.folder / urllib.parse.unquote(self.path.lstrip("/"))
        fault = self.choose_fault()
        if fault in ("500", "503"):
            self.answer(int(fault), b"" if is_head else b"try again")
        elif fault == "reset":
            self.reset()
        elif not path.is_file():
            self.answer(404, b"")
        else:
            self.send_file(path, is_head=is_head, is_cut=fault == "cut")

    def choose_fault(self):
        rate_file = self.folder.with_name("rate")
        rate = float(rate_file.read_text() or 0) if rate_file.exists() else 0.0
        with self.lock:
            if self.rng.random() >= rate:
                return None
            fault = self.rng.choice(FAULTS)
            with self.folder.with_name("faults.txt").open("a") as log:
                log.write(f"{fault} {self.path}\n")
            return fault

    def answer(self, code, body):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def reset(self):
        """Close the connection as one does that never was."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True

    def send_file(self, path, *, is_head, is_cut):
        data = path.read_bytes()
        start, stop, code = 0, len(data), 200
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes=") and "," not in wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            if first:
                start, stop, code = int(first), min(int(last or stop) + 1, len(data)), 206
            else:
                start, code = len(data) - int(last), 206
        self.send_response(code)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(stop - start))
        if code == 206:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        self.end_headers()
        if is_head:
            return
        if is_cut:
            self.wfile.write(data[start : (start + stop) // 2])
            self.wfile.flush()
            self.reset()
        else:
            self.wfile.write(data[start:stop])

    def log_message(self, *_):
        """Say nothing."""


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Clients go away."""


def main(arguments):
    """Serve a folder until killed; the port is written beside it."""
    folder, seed = Path(arguments[0]), arguments[1]
    Handler.folder, Handler.rng = folder, random.Random(seed)  # noqa: S311
    server = Server(("127.0.0.1", 0), Handler)
    temporary = folder.with_name("port.tmp")
    temporary.write_text(str(server.server_port))
    temporary.replace(folder.with_name("port"))
    server.serve_forever()
