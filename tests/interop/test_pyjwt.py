"""PyJWT verifies our tokens with our JWK set, and we verify its tokens."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from keys.tokens import AUDIENCE, ISSUER, NOW, Local, claims, key_of, policy

from flask_oauth2.keys.jose import JOSEError, sign, verify
from flask_oauth2.keys.jwk import KeySet, read_secret
from flask_oauth2.keys.signing import publish

ALGORITHMS = ("ES256", "ES384", "ES512", "RS256", "PS256", "PS512", "EdDSA")

UNTIMED = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
"""The clock of these tests stands elsewhere."""


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pyjwt_verifies_our_tokens(algorithm: str) -> None:
    published = publish([key_of(name) for name in ALGORITHMS])
    token = sign(claims(sub="ünï"), Local(key_of(algorithm)), "at+jwt", NOW)
    keys = jwt.PyJWKSet.from_json(published.body.decode())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    found = jwt.decode(token, key, algorithms=[algorithm], audience=AUDIENCE, issuer=ISSUER, options=UNTIMED)
    assert found == claims(sub="ünï")
    other = keys[key_of("ES256" if algorithm != "ES256" else "ES384").kid or ""]
    with pytest.raises(jwt.InvalidTokenError):
        jwt.decode(token, other, algorithms=[algorithm], audience=AUDIENCE, options=UNTIMED)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_we_verify_tokens_of_pyjwt(algorithm: str) -> None:
    key = key_of(algorithm)
    private: Any = jwt.PyJWK.from_dict({**key.jwk}).key
    token = jwt.encode(claims(), private, algorithm, headers={"typ": "at+jwt", "kid": key.kid})
    assert verify(token, policy(algorithm), NOW).claims == claims()


def test_we_verify_hmacs_of_pyjwt() -> None:
    secret = "correct-horse-battery-staple-0123456789"
    token = jwt.encode(claims(), secret, "HS256", headers={"typ": None})
    keys = KeySet([read_secret(secret.encode())])
    found = verify(token, policy("HS256", types=("", "JWT"), keys=keys.find), NOW)
    assert json.loads(json.dumps(dict(found.claims))) == claims()
    unsigned = jwt.encode(claims(), None, "none")
    with pytest.raises(JOSEError, match="the alg"):
        verify(unsigned, policy("HS256", types=("", "JWT"), keys=keys.find), NOW)


@pytest.mark.spec("rfc9068", "2.1")
@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "PS256", "EdDSA"])
def test_pyjwt_verifies_access_tokens(new_site: Any, algorithm: str) -> None:
    site = new_site(OAUTH2_ACCESS_TOKEN_FORMAT="jwt", OAUTH2_SIGNING_ALGORITHMS=[algorithm])
    auth = ("web", site.add_client())
    token = site.token("client_credentials", auth, scope="profile").get_json()["access_token"]
    keys = jwt.PyJWKSet.from_dict(site.http.get("/oauth/jwks").get_json())
    key, audience = keys[jwt.get_unverified_header(token)["kid"]], f"{ISSUER}/resources"
    found = jwt.decode(token, key, algorithms=[algorithm], audience=audience, issuer=ISSUER, options=UNTIMED)
    assert (found["client_id"], found["scope"]) == ("web", "profile")
    for wrong in ({"audience": ISSUER}, {"issuer": f"{ISSUER}/"}):
        with pytest.raises(jwt.InvalidTokenError):
            jwt.decode(
                token, key, algorithms=[algorithm], options=UNTIMED, **{"audience": audience, "issuer": ISSUER, **wrong}
            )
