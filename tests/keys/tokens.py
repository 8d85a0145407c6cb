"""Keys and tokens for the tests of this folder. Tokens are also built by hand, as an attacker builds them."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from functools import cache
from typing import Any

from flask_oauth2.keys import jose, library
from flask_oauth2.keys.jwk import Key, KeySet, generate_key

NOW = 1_800_000_000
ISSUER = "https://login.example"
AUDIENCE = "https://api.example"


@cache
def key_of(algorithm: str, number: int = 1) -> Key:
    """Return a private key, always the same one for an algorithm and a number."""
    return generate_key(algorithm)


class Local:
    """A signer that holds its key."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.kid, self.alg = key.kid or "", key.alg or ""

    def public_jwk(self) -> dict[str, Any]:
        return self.key.public_jwk

    def sign(self, data: bytes) -> bytes:
        return library.sign(self.alg, self.key.native, data)


def policy(*algorithms: str, **fields: Any) -> jose.Policy:
    """Return a policy for access tokens that accepts the keys of these algorithms."""
    names = algorithms or ("ES256",)
    keys = [] if names[0].startswith("HS") else [key_of(name) for name in names]
    standard: dict[str, Any] = {
        "algorithms": names,
        "types": ("at+jwt",),
        "issuers": (ISSUER,),
        "audience": AUDIENCE,
        "keys": KeySet(keys).find,
    }
    return jose.Policy(**standard | fields)


def claims(**more: Any) -> dict[str, Any]:
    """Return claims that the policy accepts. None leaves a claim out."""
    standard = {"iss": ISSUER, "aud": AUDIENCE, "iat": NOW, "exp": NOW + 300, "jti": "1"}
    return {name: value for name, value in {**standard, **more}.items() if value is not None}


def encode(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def token_of(payload: Any, header: Any = None, key: Key | None = None, algorithm: str = "ES256") -> str:
    """Return a token with a good signature over any header and payload; bytes and text are taken as they are."""
    key = key or key_of(algorithm)
    standard = {"typ": "at+jwt", "alg": algorithm, "kid": key.kid}
    if header is None or isinstance(header, dict):
        header = {name: value for name, value in {**standard, **(header or {})}.items() if value is not None}
    parts = [
        part if isinstance(part, bytes) else part.encode() if isinstance(part, str) else json.dumps(part).encode()
        for part in (header, payload)
    ]
    data = ".".join(map(encode, parts))
    return f"{data}.{encode(library.sign(algorithm, key.native, data.encode()))}"
