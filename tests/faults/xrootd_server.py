"""As much of an XRootD server as a client needs to be told what is wrong.

Written from the protocol's description (xrootd.org, "XRootD Protocol Version 5"): handshake,
protocol, login; then the path that is asked for says what happens: ``//error/3024`` answers with
that error, ``//wait``, ``//loop``, ``//nowhere``, ``//hangup``, ``//silent``, ``//garbage``.
"""

from __future__ import annotations

import contextlib
import socketserver
import struct
import threading
from typing import Self

PATIENCE_S = 120
OK, ERROR, REDIRECT, WAIT = 0, 4003, 4004, 4005
PROTOCOL, LOGIN, END_SESSION = 3006, 3007, 3023


class XRootDServer(socketserver.ThreadingTCPServer):
    """Listens on the loopback; `url` is its address."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *, greets: bool = True, asks: bytes = b"") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port = self.server_address[1]
        self.url = f"root://127.0.0.1:{self.port}"
        self.greets = greets
        self.asks = asks
        self.is_over = threading.Event()
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


class _Handler(socketserver.StreamRequestHandler):
    server: XRootDServer

    def handle(self) -> None:
        if not self.server.greets:
            self.server.is_over.wait(PATIENCE_S)
            return
        with contextlib.suppress(ConnectionError, struct.error):
            self.rfile.read(20)  # the handshake
            self._answer(b"\0\0", OK, struct.pack(">ii", 0x520, 1))
            while self._take_request():
                pass

    def _take_request(self) -> bool:
        stream, request, length = struct.unpack(">2sH16xi", self.rfile.read(24))
        body = self.rfile.read(length)
        if request == PROTOCOL:
            return self._answer(stream, OK, struct.pack(">ii", 0x520, 1))
        if request == LOGIN:
            return self._answer(stream, OK, bytes(range(16)) + self.server.asks)
        if request == END_SESSION:
            return self._answer(stream, OK, b"")
        what, number, *_ = (body.decode("latin-1").strip("/") + "//").split("/")
        if what == "silent":
            self.server.is_over.wait(PATIENCE_S)
        answer = self._answers(what, number)
        return answer is not None and self._answer(stream, *answer)  # else the connection ends

    def _answers(self, what: str, number: str) -> tuple[int, bytes] | None:
        here = struct.pack(">i", self.server.port) + b"127.0.0.1"
        fixed = {
            "wait": (WAIT, struct.pack(">i", 1000) + b"staging\0"),
            "loop": (REDIRECT, here),
            "nowhere": (REDIRECT, struct.pack(">i", 9) + b"127.0.0.1"),
            "garbage": (REDIRECT, b"?"),
        }
        if what == "error":
            return ERROR, struct.pack(">i", int(number)) + b"the server's own words\0"
        return fixed.get(what)

    def _answer(self, stream: bytes, status: int, body: bytes) -> bool:
        self.wfile.write(struct.pack(">2sHi", stream, status, len(body)) + body)
        return True
