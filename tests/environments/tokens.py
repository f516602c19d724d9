"""Bearer tokens that nobody signed."""

from __future__ import annotations

import base64
import json
import time

SIGNATURE = "c2VjcmV0LXNpZ25hdHVyZQ"


def encode(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def make_token(*, left_s: float | None = 3600.0, **claims) -> str:
    said = {"iss": "https://issuer.test/", "sub": "zoë", "scope": "storage.read:/", **claims}
    if left_s is not None:
        said["exp"] = time.time() + left_s
    return f"{encode({'alg': 'RS256'})}.{encode(said)}.{SIGNATURE}"
