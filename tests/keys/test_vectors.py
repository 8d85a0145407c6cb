"""The vectors that the specifications publish, verified and decrypted by the one entrance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flask_oauth2.keys import jose
from flask_oauth2.keys.algorithms import CONTENT_ENCRYPTION, KEY_MANAGEMENT
from flask_oauth2.keys.encoding import decode_base64url
from flask_oauth2.keys.jwk import KeySet, has_private_members, read_key, read_secret, read_set

VECTORS: dict[str, list[dict[str, Any]]] = json.loads((Path(__file__).parent / "vectors.json").read_text())

RSA_7638 = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3o"
    "knjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6q"
    "MQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJz"
    "KnqDKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}
EC_7517 = {
    "kty": "EC",
    "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    "use": "enc",
    "kid": "1",
}
ED25519 = {
    "kty": "OKP",
    "crv": "Ed25519",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}
DPOP_HEADER = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJo"
    "RjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19"
)
DPOP_TOKEN_REQUEST = (
    f"{DPOP_HEADER}.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3"
    "Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xR"
    "ZT3Lg"
)
DPOP_RESOURCE_REQUEST = (
    f"{DPOP_HEADER}.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy"
    "9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFF"
    "byJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)
CLIENT_SECRET_JWT = (
    "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJhcHAtMSIsInN1YiI6ImFwcC0xIiwiYXVkIjoiaHR0cHM6Ly9hcy5leGFtcGxlIiwianRpIjoiYTEiLCJp"
    "YXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDAwMDA2MH0.6ncKi3tPlyNamLQ5yWej-oIRtJiBS3dwo7z4kB0wJBE"
)


def names(vectors: list[dict[str, Any]]) -> list[str]:
    return [vector["name"] for vector in vectors]


def policy_for(vector: dict[str, Any]) -> jose.Policy:
    key = read_key(vector["key"], may_be_private=True)
    return jose.Policy(
        algorithms=(vector["alg"],),
        types=("", "JWT"),
        issuers=None,
        audience=None,
        keys=KeySet([key]).find,
        required=(),
    )


@pytest.mark.spec("rfc7515", "5.2")
@pytest.mark.spec("rfc7518", "3.2")
@pytest.mark.spec("rfc7518", "3.4")
@pytest.mark.spec("rfc7519", "7.2")
@pytest.mark.parametrize("vector", VECTORS["signatures"], ids=names(VECTORS["signatures"]))
def test_published_signatures_are_verified(vector: dict[str, Any]) -> None:
    """The payload of some is text, which is rejected only after the signature was verified."""
    payload = decode_base64url(vector["token"].split(".")[1].encode())
    if payload.startswith(b"{"):
        found = jose.verify(vector["token"], policy_for(vector), 1300819000)
        assert found.claims == json.loads(payload)
    else:
        with pytest.raises(jose.JOSEError, match="the payload is not a JSON object"):
            jose.verify(vector["token"], policy_for(vector), 1300819000)


@pytest.mark.spec("rfc7515", "5.2")
@pytest.mark.parametrize("vector", VECTORS["signatures"], ids=names(VECTORS["signatures"]))
def test_a_published_signature_of_another_payload_is_wrong(vector: dict[str, Any]) -> None:
    header, payload, signature = vector["token"].split(".")
    changed = ("A" if payload[0] != "A" else "B") + payload[1:]
    with pytest.raises(jose.JOSEError, match="the signature is wrong"):
        jose.verify(f"{header}.{changed}.{signature}", policy_for(vector), 1300819000)


@pytest.mark.spec("rfc7519", "4.1.4")
def test_the_published_token_expires_on_time() -> None:
    vector = VECTORS["signatures"][0]
    assert jose.verify(vector["token"], policy_for(vector), 1300819379)
    with pytest.raises(jose.JOSEError, match="expired"):
        jose.verify(vector["token"], policy_for(vector), 1300819380)


@pytest.mark.spec("rfc7518", "3.6")
@pytest.mark.parametrize("vector", VECTORS["signatures"][:4], ids=names(VECTORS["signatures"][:4]))
def test_the_published_unsecured_token_is_rejected(vector: dict[str, Any]) -> None:
    payload = VECTORS["signatures"][0]["token"].split(".")[1]
    with pytest.raises(jose.JOSEError, match="the alg"):
        jose.verify(f"eyJhbGciOiJub25lIn0.{payload}.", policy_for(vector), 1300819000)


@pytest.mark.spec("rfc7516", "5.2")
@pytest.mark.spec("rfc7518", "5.1")
@pytest.mark.parametrize("vector", VECTORS["encryptions"], ids=names(VECTORS["encryptions"]))
def test_published_encryptions_are_decrypted(vector: dict[str, Any]) -> None:
    keys = KeySet([read_key(vector["key"], may_be_private=True)])
    policy = jose.EncryptionPolicy(algorithms=(vector["alg"],), encodings=(vector["enc"],), keys=keys.find)
    found = jose.decrypt(vector["token"], policy)
    assert found.content.decode() == vector["plaintext"]
    assert found.header["enc"] == vector["enc"]


@pytest.mark.spec("rfc7519", "5.2")
def test_the_published_nested_token_is_decrypted_and_verified() -> None:
    vector = next(vector for vector in VECTORS["encryptions"] if vector["name"] == "rfc7520 6")
    keys = KeySet([read_key(vector["key"], may_be_private=True)])
    policy = jose.EncryptionPolicy(algorithms=("RSA-OAEP",), encodings=("A128GCM",), keys=keys.find)
    outer = jose.decrypt(vector["token"], policy)
    assert outer.header["cty"] == "JWT"
    inner = next(vector for vector in VECTORS["signatures"] if vector["name"] == "rfc7520 6")
    assert jose.verify(outer.content.decode(), policy_for(inner), 1300819000).claims["iss"] == "hobbiton.example"


@pytest.mark.spec("rfc8725", "3.2")
@pytest.mark.spec("rfc8725", "3.6")
@pytest.mark.parametrize("vector", VECTORS["refused"], ids=names(VECTORS["refused"]))
def test_published_encryptions_with_rsa1_5_passwords_and_compression_are_rejected(vector: dict[str, Any]) -> None:
    def find(kid: str | None, algorithm: str) -> Any:
        raise AssertionError("no key is looked up")

    policy = jose.EncryptionPolicy(algorithms=tuple(KEY_MANAGEMENT), encodings=CONTENT_ENCRYPTION, keys=find)
    with pytest.raises(jose.JOSEError):
        jose.decrypt(vector["token"], policy)


@pytest.mark.spec("rfc7638", "3")
@pytest.mark.spec("rfc7638", "3.2.1")
def test_published_thumbprints() -> None:
    assert read_key(RSA_7638).thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    private = read_key(ED25519, may_be_private=True)
    assert private.thumbprint == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert read_key(private.public_jwk).thumbprint == private.thumbprint


@pytest.mark.spec("rfc7517", "4")
@pytest.mark.spec("rfc7517", "5")
def test_the_published_key_set() -> None:
    keys = read_set({"keys": [EC_7517, RSA_7638]})
    assert [key.kid for key in keys.keys] == ["1", "2011-04-29"]
    assert [key.public_jwk for key in keys.keys] == [EC_7517, RSA_7638]
    assert keys.find("2011-04-29", "RS256") == [keys.keys[1]]
    assert keys.find("1", "ES256") == []  # its use is encryption
    assert keys.find("1", "ECDH-ES") == [keys.keys[0]]


@pytest.mark.spec("rfc7517", "9.2")
def test_published_private_keys_are_noticed() -> None:
    private = [vector["key"] for vector in VECTORS["encryptions"]]
    assert all(map(has_private_members, private))
    for key in private:
        with pytest.raises(jose.JOSEError, match="private or symmetric"):
            read_set({"keys": [EC_7517, key]})


@pytest.mark.parametrize(
    ("token", "method"), [(DPOP_TOKEN_REQUEST, "POST"), (DPOP_RESOURCE_REQUEST, "GET")], ids=["token", "resource"]
)
def test_published_proofs_are_verified_with_the_key_of_their_header(token: str, method: str) -> None:
    """The two DPoP proofs of RFC 9449, sections 5 and 7.1."""
    policy = jose.Policy(
        algorithms=("ES256",),
        types=("dpop+jwt",),
        issuers=None,
        audience=None,
        keys=None,
        accepts_header_key=True,
        required=("jti", "htm", "htu", "iat"),
        max_age=60,
    )
    found = jose.verify(token, policy, 1562262620)
    assert found.claims["htm"] == method
    assert found.key.thumbprint == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
    with pytest.raises(jose.JOSEError, match="not issued within"):
        jose.verify(token, policy, 1562263000)


def test_a_client_assertion_with_a_secret() -> None:
    """Made with another library. It has no typ."""
    policy = jose.Policy(
        algorithms=("HS256",),
        types=("client-authentication+jwt", ""),
        issuers=("app-1",),
        audience="https://as.example",
        is_only_audience=True,
        keys=KeySet([read_secret(b"correct-horse-battery-staple-0123456789")]).find,
        required=("exp", "jti", "sub"),
        max_lifetime=120,
    )
    assert jose.verify(CLIENT_SECRET_JWT, policy, 1700000000).claims["sub"] == "app-1"
