"""An HTTP server on the loopback that fails as storage does: statuses, cuts, stalls, resets."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import unquote

PATIENCE_S = 120


class FaultyServer(ThreadingHTTPServer):
    """Serves the files of a folder, and byte ranges of them.

    `fault` is asked before each answer, with the command, the path and how often that path was
    asked for by GET; it gives None, an HTTP status, or one of "cut" (half of the body, then the
    end), "chunked" (the same, of a body without a length), "stall" (headers, then silence),
    "reset", "short" (half of the bytes, and says so), "hangup" (no answer).
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.fault: Callable[[str, str, int], int | str | None] = lambda *_: None
        self.requests: list[tuple[str, str]] = []
        self.is_over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """Clients go away in the middle here; that is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyServer

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(self.path.partition("?")[0])
        self.server.requests.append((self.command, path))
        n_asked = self.server.requests.count(("GET", path))
        fault = self.server.fault(self.command, path, n_asked)
        file = self.server.folder / path.lstrip("/")
        if isinstance(fault, int):
            self.send_error(fault)
        elif fault == "hangup":
            self.close_connection = True
        elif fault == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            self.close_connection = True
        elif file.is_file():
            self._send(file.read_bytes(), fault)
        else:
            self.send_error(404)

    def _send(self, data: bytes, fault: str | None) -> None:
        size, wanted = len(data), re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted:
            start, stop = int(wanted[1]), int(wanted[2]) + 1 if wanted[2] else size
            data = data[start:stop]
        if fault == "short":
            data = data[: len(data) // 2]
        self.send_response(206 if wanted else 200)
        self.send_header("Accept-Ranges", "bytes")
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{start + len(data) - 1}/{size}")
        if fault == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            data = f"{len(data):x}\r\n".encode() + data  # and never the end of it
        else:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault == "stall":
            self.server.is_over.wait(PATIENCE_S)
            self.close_connection = True
            return
        if fault in {"cut", "chunked"}:
            data = data[: len(data) // 2]
            self.close_connection = True
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Keep still."""
