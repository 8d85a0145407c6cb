"""DPoP proofs and clients that send them."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from functools import cache
from hashlib import sha256
from itertools import count
from typing import Any
from urllib.parse import quote

from flask_oauth2.keys import library
from flask_oauth2.keys.jwk import Key, generate_key
from oauth_site import NOW, Site

_numbers = count()


def key_of(number: int = 1, algorithm: str = "ES256") -> Key:
    """Return a private key, always the same one for a number and an algorithm."""
    return _generate_key(number, algorithm)


@cache
def _generate_key(number: int, algorithm: str) -> Key:
    return generate_key(algorithm)


def encode(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def make_proof(
    url: str,
    method: str = "POST",
    *,
    token: str | None = None,
    key: Key | None = None,
    header: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    """Return a proof. None removes a claim or a member of the header."""
    key = key or key_of()
    public = {name: value for name, value in key.public_jwk.items() if name in ("kty", "crv", "x", "y", "n", "e")}
    own = {"typ": "dpop+jwt", "alg": key.alg, "jwk": public, **(header or {})}
    content = {"jti": f"proof-{next(_numbers)}", "htm": method, "htu": url, "iat": int(NOW)}
    if token is not None:
        content["ath"] = encode(sha256(token.encode()).digest())
    parts = [{name: one for name, one in part.items() if one is not None} for part in (own, {**content, **claims})]
    signed = ".".join(encode(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{encode(library.sign(key.alg or '', key.native, signed.encode()))}"


class Prover:
    """A client that proves possession of a key with each request, and remembers the nonce of the server."""

    def __init__(self, site: Site, key: Key | None = None, origin: str = "https://login.example") -> None:
        assert site.server.clock is site.clock  # reading the server sets its clock
        self.site = site
        self.key = key or key_of()
        self.origin = origin
        self.nonce: str | None = None
        self.requests = 0

    def proof(self, path: str, method: str, **changes: Any) -> str:
        options = {"key": self.key, "nonce": self.nonce, "iat": int(self.site.clock.now), **changes}
        return make_proof(self.origin + quote(path, safe="/?=&"), method, **options)

    def send(self, path: str, method: str = "POST", *, retries: bool = True, **options: Any) -> Any:
        """Send a request with a proof. Repeat it with the nonce of the response if the server needs one."""
        changes = options.pop("changes", {})
        headers = options.pop("headers", {})
        proof = self.proof(path, method, **changes)
        self.requests += 1
        answer = self.site.http.open(path, method=method, headers={"DPoP": proof, **headers}, **options)
        self.nonce = answer.headers.get("DPoP-Nonce", self.nonce)
        if retries and (answer.get_json(silent=True) or {}).get("error") == "use_dpop_nonce":
            return self.send(path, method, retries=False, changes=changes, headers=headers, **options)
        return answer

    def token(self, grant_type: str = "client_credentials", auth: Any = None, **form: Any) -> Any:
        options = {"changes": form.pop("changes", {}), "retries": form.pop("retries", True)}
        data = {"grant_type": grant_type, **{name: value for name, value in form.items() if value is not None}}
        return self.send("/oauth/token", data=data, auth=auth, **options)

    def call(self, token: str, path: str = "/api/me", scheme: str = "DPoP", **options: Any) -> Any:
        """Call a guarded view with a token and a proof."""
        changes = {"token": token, **options.pop("changes", {})}
        headers = {"Authorization": f"{scheme} {token}"}
        return self.send(path, "GET", changes=changes, headers=headers, **options)
