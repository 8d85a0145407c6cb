"""JSON Web Keys and sets, of this server and of strangers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest
from keys.tokens import encode, key_of

from flask_oauth2.keys import library
from flask_oauth2.keys.encoding import JOSEError, decode_base64url
from flask_oauth2.keys.jwk import (
    MAX_KEYS,
    KeySet,
    generate_key,
    read_key,
    read_pem,
    read_secret,
    read_set,
)


def number(value: int) -> str:
    return encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def rsa(bits: int = 2048, exponent: int = 65537) -> dict[str, Any]:
    """Return a public key with any odd modulus, which is enough to verify with."""
    return {"kty": "RSA", "n": number((1 << (bits - 1)) | 1), "e": number(exponent)}


def ec(**changed: Any) -> dict[str, Any]:
    jwk = key_of("ES256").public_jwk
    return {name: value for name, value in {**jwk, **changed}.items() if value is not None}


def rejected(jwk: dict[str, Any], **options: bool) -> str:
    begin = time.process_time()
    with pytest.raises(JOSEError) as caught:
        read_key(jwk, **options)
    assert time.process_time() - begin < 1
    return caught.value.reason


@pytest.mark.spec("rfc7518", "3.3")
@pytest.mark.spec("rfc7518", "3.5")
@pytest.mark.spec("rfc7518", "4.2")
@pytest.mark.parametrize("bits", [512, 1024, 2047])
def test_rsa_keys_have_at_least_2048_bits(bits: int) -> None:
    assert read_key(rsa(2048))
    assert f"{bits} bits" in rejected(rsa(bits))


def test_rsa_keys_are_not_so_large_that_they_take_long() -> None:
    assert read_key(rsa(8192))
    for bits in (8193, 16384, 1_000_000):
        assert f"{bits} bits" in rejected(rsa(bits))
    assert read_key(rsa(exponent=3))
    assert read_key(rsa(exponent=2**32 - 1))
    for exponent in (1, 2, 65536, 2**32 + 1, 2**2040 + 1):
        assert "public exponent" in rejected(rsa(exponent=exponent))


@pytest.mark.spec("rfc7518", "6.3")
@pytest.mark.spec("rfc7638", "7")
def test_a_number_has_one_representation() -> None:
    assert rsa()["e"] == "AQAB"
    for name, text in (("e", "AAEAAQ"), ("n", encode(b"\0" + (1 << 2047 | 1).to_bytes(256, "big"))), ("n", "")):
        assert name in rejected({**rsa(), name: text})
    for text in ("AQAB=", "AQ AB", "AQAB\n", "AQA+", "AQAé"):
        assert "base64url" in rejected({**rsa(), "e": text})


@pytest.mark.spec("rfc7518", "6.2")
def test_coordinates_have_the_length_of_the_curve() -> None:
    p521 = {**key_of("ES512").public_jwk}
    assert read_key(p521)
    for jwk in (ec(), p521):
        octets = decode_base64url(jwk["x"].encode())
        for wrong in (b"\0", b"\0" + octets, octets[1:], octets + b"\0"):
            assert "octets" in rejected({**jwk, "x": encode(wrong)})
    assert "octets" in rejected({"kty": "OKP", "crv": "Ed25519", "x": encode(bytes(31))})


@pytest.mark.spec("rfc8725", "3.4")
def test_a_point_is_on_its_curve() -> None:
    assert "no key of its type" in rejected(ec(y=encode(bytes(31) + b"\1")))
    assert "no key of its type" in rejected(ec(x=encode(bytes(32)), y=encode(bytes(32))))


@pytest.mark.spec("rfc7517", "4")
@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": None},
        {"kty": "ec"},
        {"kty": ["EC"]},
        {"kty": "EC"},
        {"kty": "RSA", "n": "AQAB"},
        {"kty": "EC", "crv": "P-192", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "secp256k1", "x": encode(bytes(32)), "y": encode(bytes(32))},
        {"kty": "OKP", "crv": "Ed448", "x": encode(bytes(57))},
        {"kty": "EC", "crv": ["P-256"], "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": 7, "y": "AA"},
    ],
)
def test_unknown_and_incomplete_keys_are_rejected(jwk: dict[str, Any]) -> None:
    assert rejected(jwk, may_be_private=True)


@pytest.mark.spec("rfc7517", "4.2")
def test_use_and_operations_agree_and_are_respected() -> None:
    both = {"use": "sig", "key_ops": ["verify"]}
    for members, fits in (
        ({}, True),
        ({"use": None, "alg": None}, True),
        (both, True),
        ({"use": None, "key_ops": ["verify", "sign"]}, True),
        ({"use": None, "key_ops": ["deriveKey"]}, False),
        ({"use": None, "key_ops": []}, False),
        ({"use": "enc"}, False),
        ({"use": "other"}, False),
        ({"alg": "ES384"}, False),
    ):
        key = read_key(ec(**members))
        assert bool(KeySet([key]).find(None, "ES256")) is fits, members
    assert "contradict" in rejected(ec(use="enc", key_ops=["verify"]))
    assert "contradict" in rejected(ec(use="other", key_ops=["verify"]))
    for wrong in ("verify", [7], {}):
        assert "key_ops" in rejected(ec(key_ops=wrong))
    for name in ("kid", "alg", "use"):
        assert name in rejected(ec(**{name: 7}))


@pytest.mark.spec("rfc7517", "9.2")
def test_a_private_key_is_never_accepted_as_a_public_one_nor_shown() -> None:
    for algorithm in ("ES256", "RS256", "EdDSA"):
        key = key_of(algorithm)
        assert key.is_private
        assert "private" in rejected(key.jwk)
        assert not read_key(key.public_jwk).is_private
        assert key.members["d"] not in repr(key) + str(key.public_jwk)
    secret = read_secret(b"x" * 32)
    assert encode(b"x" * 32) not in repr(secret)
    assert "private" in rejected(secret.jwk)
    with pytest.raises(ValueError, match="no public key"):
        _ = secret.public_jwk


@pytest.mark.spec("rfc7518", "6.3")
def test_a_key_with_more_primes_is_rejected() -> None:
    assert "more than two primes" in rejected({**key_of("RS256").jwk, "oth": []}, may_be_private=True)
    incomplete = {name: value for name, value in key_of("RS256").jwk.items() if name != "qi"}
    assert "no key of its type" in rejected(incomplete, may_be_private=True)
    minimal = {name: key_of("RS256").jwk[name] for name in ("kty", "n", "e", "d")}
    assert read_key(minimal, may_be_private=True).thumbprint == key_of("RS256").thumbprint


def test_secrets_have_a_size() -> None:
    assert read_secret(b"x" * 16)
    for octets in (b"", b"x" * 15, b"x" * 1025):
        with pytest.raises(JOSEError, match=r"symmetric key|not text"):
            read_secret(octets)


def test_a_public_key_is_no_secret() -> None:
    with pytest.raises(JOSEError):
        read_secret(key_of("ES256").native.as_pem())


@pytest.mark.spec("rfc7517", "5")
def test_a_set_ignores_keys_that_it_does_not_know() -> None:
    good = ec()
    others = [{"kty": "PQC", "x": 7}, rsa(1024), {"kty": "EC"}, {}, 7, None, [], {"kty": "EC", "crv": "P-256"}]
    keys = read_set(json.dumps({"keys": [*others, good], "more": True}).encode())
    assert [key.public_jwk for key in keys.keys] == [good]
    assert keys.has(good["kid"])
    assert not keys.has("other")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[],"keys":[]}', b"\xff", b'{"keys":7}']
)
def test_other_content_is_no_set(content: bytes) -> None:
    with pytest.raises(JOSEError):
        read_set(content)


def test_a_set_has_a_size() -> None:
    begin = time.process_time()
    for keys in (
        [rsa()] * 10_000,
        [ec()] * (MAX_KEYS + 1),
        [ec(x5c=["x" * 10_000])] * 50,
        [{"a": list(range(50))}] * 99,
    ):
        with pytest.raises(JOSEError, match=r"octets|at most|values"):
            read_set(json.dumps({"keys": keys}).encode())
        with pytest.raises(JOSEError, match="at most"):
            read_set({"keys": [*keys, *[7] * MAX_KEYS]})
    assert len(read_set({"keys": [ec()] * MAX_KEYS}).keys) == MAX_KEYS
    assert time.process_time() - begin < 3


def test_a_set_with_a_private_key_is_rejected() -> None:
    for key in (key_of("ES256").jwk, key_of("RS256").jwk, {"kty": "oct", "k": "AAAA"}, {"kty": "PQC", "d": "x"}):
        with pytest.raises(JOSEError, match="private or symmetric"):
            read_set({"keys": [ec(), key]})


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_pem_files(algorithm: str) -> None:
    key = key_of(algorithm)
    private = read_pem(key.native.as_pem(private=True), alg=algorithm)
    assert private.is_private
    assert (private.thumbprint, private.alg) == (key.thumbprint, algorithm)
    public = read_pem(key.native.as_pem())
    assert not public.is_private
    assert public.thumbprint == key.thumbprint


def test_other_files_are_no_pem() -> None:
    for content in (b"", b"text", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"):
        with pytest.raises(JOSEError, match="not a PEM file"):
            read_pem(content)
    encrypted = key_of("ES256").native.as_pem(private=True, password="secret")
    with pytest.raises(JOSEError, match="or it is encrypted"):
        read_pem(encrypted)


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA"])
def test_generated_keys(algorithm: str) -> None:
    one, other = generate_key(algorithm), generate_key(algorithm)
    assert one.thumbprint != other.thumbprint
    assert (one.kid, one.alg, one.use) == (one.thumbprint, algorithm, "sig")
    assert one.is_private
    assert read_key(one.jwk, may_be_private=True).jwk == one.jwk


def test_encryption_at_rest_follows_the_secret_keys() -> None:
    old, new = library.Cipher([b"old"], "keys"), library.Cipher([b"old", b"new"], "keys")
    encrypted = old.encrypt(b"content")
    assert b"content" not in encrypted
    assert new.decrypt(encrypted) == b"content"
    assert not new.is_newest(encrypted)
    again = new.encrypt(b"content")
    assert new.is_newest(again)
    assert old.decrypt(again) is None
    assert library.Cipher([b"old"], "secrets").decrypt(encrypted) is None
    assert old.decrypt(b"text") is None


def test_a_missing_library_is_named_with_its_extra() -> None:
    script = (
        "import sys\n"
        "sys.modules['joserfc'] = None\n"
        "from flask_oauth2 import ConfigurationError\n"
        "from flask_oauth2.keys import jose, jwk\n"
        "try:\n"
        "    jwk.generate_key('ES256')\n"
        "except ConfigurationError as error:\n"
        "    assert 'install flask_oauth2[jose]' in str(error), error\n"
        "else:\n"
        "    sys.exit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_library_is_not_imported_with_the_package() -> None:
    script = (
        "import sys\n"
        "import flask_oauth2, flask_oauth2.keys.jose\n"
        "assert not {'joserfc', 'cryptography'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
