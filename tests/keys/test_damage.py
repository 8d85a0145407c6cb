"""Damaged tokens and keys, thousands of them: each is rejected with one kind of error, and quickly."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from keys.tokens import NOW, claims, encode, key_of, policy, token_of

from flask_oauth2.keys import jose
from flask_oauth2.keys.encoding import JOSEError, decode_base64url
from flask_oauth2.keys.jwk import Key, KeySet, read_key, read_secret

VALUES: list[Any] = [
    *(None, True, 0, -1, 1.5, 10**400, "", "x", "é", "\ud800", [], {}, [1], ["a"], {"a": 1}, "A" * 43, "AQAB"),
    *("P-256", "RSA", "ES256", "sig", {"kty": "EC"}, key_of("ES256").public_jwk),
]


def count_rejected(actions: list[Callable[[], object]]) -> int:
    """Run what may raise :exc:`JOSEError` and nothing else, within a quarter of a second each."""
    rejected = 0
    for action in actions:
        begin = time.process_time()
        try:
            action()
        except JOSEError:
            rejected += 1
        assert time.process_time() - begin < 0.25
    return rejected


def damage(text: str, random: Random) -> str:
    place = random.randrange(len(text) + 1)
    return text[:place] + random.choice("AB.-_=é\0 ") + text[place + random.randint(0, 3) :]


@pytest.mark.spec("rfc7519", "7.2")
@pytest.mark.parametrize("seed", range(4))
def test_damaged_tokens(seed: int) -> None:
    random, actions = Random(seed), []
    header_key = policy(keys=None, accepts_header_key=True, issuers=None, audience=None, required=())
    for _ in range(300):
        header = {random.choice(["alg", "typ", "kid", "crit", "jwk", "jku", "b64", "enc", "x"]): random.choice(VALUES)}
        content = claims(**{random.choice(["iss", "aud", "exp", "nbf", "jti", "sub", "x"]): random.choice(VALUES)})
        token = token_of(content, header if random.random() < 0.5 else None)
        for sent in (token, damage(token, random)):
            for accepted in (policy(), header_key):
                actions.append(lambda sent=sent, accepted=accepted: jose.verify(sent, accepted, NOW))
    assert 900 < count_rejected(actions) < len(actions)


@pytest.mark.spec("rfc7517", "4")
@pytest.mark.parametrize("seed", range(4))
def test_damaged_keys(seed: int) -> None:
    random, actions = Random(seed), []
    good = [key_of(name).jwk for name in ("ES256", "ES512", "RS256", "EdDSA")] + [read_secret(b"x" * 32).jwk]
    for _ in range(300):
        jwk = dict(random.choice(good))
        for name in random.sample([*jwk, "oth", "key_ops", "use", "kid", "d"], random.randint(1, 3)):
            is_text = isinstance(jwk.get(name), str) and random.random() < 0.5
            jwk[name] = damage(jwk[name], random) if is_text else random.choice(VALUES)
        actions.append(lambda jwk=jwk: read_key(jwk, may_be_private=True))
    assert 200 < count_rejected(actions) < len(actions)


@pytest.mark.spec("rfc7516", "5.2")
@pytest.mark.parametrize("alg", ["ECDH-ES", "RSA-OAEP", "A128KW", "dir"])
def test_damaged_encryptions(alg: str) -> None:
    random, actions = Random(alg), []
    named = {"ECDH-ES": "ES256", "RSA-OAEP": "RS256"}
    found = key_of(named[alg]) if alg in named else read_secret(b"k" * 16)
    key = Key(found.kty, found.members, found.native, "1")
    accepted = jose.EncryptionPolicy(
        algorithms=(alg,), encodings=("A128GCM", "A256GCM", "A128CBC-HS256"), keys=KeySet([key]).find
    )
    for _ in range(200):
        parts = jose.encrypt(b"{}", key, alg, "A128GCM").split(".")
        if random.random() < 0.5:
            name = random.choice(["alg", "enc", "epk", "apu", "apv", "kid", "iv", "tag", "p2c", "x5t", "cty"])
            header = json.loads(decode_base64url(parts[0].encode())) | {name: random.choice(VALUES)}
            parts[0] = encode(json.dumps(header).encode())
        else:
            place = random.randrange(1, 5)
            octets = bytearray(decode_base64url(parts[place].encode()) or b"\0")
            octets[random.randrange(len(octets))] ^= random.randrange(1, 256)
            parts[place] = encode(bytes(octets))
        damaged = ".".join(parts)
        actions.append(lambda damaged=damaged: jose.decrypt(damaged, accepted))
    assert count_rejected(actions) == len(actions)
