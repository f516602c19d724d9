"""An issuer of bearer tokens on the loopback, whose keys are had by HTTPS as the WLCG has it."""

from __future__ import annotations

import base64
import http.server
import json
import ssl
import threading
import time
import uuid
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from tests.environments.tokens import encode

KEY_ID = "the only one"
ANYBODY = "https://wlcg.cern.ch/jwt/v1/any"


class TokenIssuer:
    """Serves its public key, and makes tokens; as a context.

    Parameters
    ----------
    folder : Path
        With the host's certificate and key, as `write_host` writes them.
    """

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "hostcert.pem", folder / "hostkey.pem")
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def make(
        self, scope: str = "storage.read:/", *, left_s: float = 3600.0, **claims: object
    ) -> str:
        """Make a token."""
        now = int(time.time())
        said = {
            "iss": self.url, "sub": "zoë", "aud": ANYBODY, "scope": scope, "wlcg.ver": "1.0",
            "jti": str(uuid.uuid4()), "iat": now - 60, "nbf": now - 60, "exp": now + int(left_s),
        } | claims  # fmt: skip
        text = f"{encode({'alg': 'ES256', 'typ': 'JWT', 'kid': KEY_ID})}.{encode(said)}"
        r, s = utils.decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_to_text(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = issuer.answers().get(self.path)
                self.send_response(200 if answer else 404)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *_: object) -> None:
                """Keep still."""

        return Handler

    def answers(self) -> dict[str, Any]:
        """What it says at which path."""
        point = self._key.public_key().public_numbers()
        key = {
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KEY_ID,
            "x": _to_text(point.x.to_bytes(32, "big")), "y": _to_text(point.y.to_bytes(32, "big")),
        }  # fmt: skip
        about = {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}
        return {"/.well-known/openid-configuration": about, "/jwks": {"keys": [key]}}


def _to_text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
