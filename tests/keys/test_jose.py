"""The policy: each token that breaks it is rejected, in bounded time and memory."""

from __future__ import annotations

import hmac
import json
import time
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwe
from keys.tokens import AUDIENCE, ISSUER, NOW, Local, claims, encode, key_of, policy, token_of

from flask_oauth2.keys import jose
from flask_oauth2.keys.jose import JOSEError, Policy, sign, verify
from flask_oauth2.keys.jwk import Key, KeySet, read_key, read_secret

EVERY = ("ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA", "Ed25519")


def rejected(token: str, policy_: Policy | None = None, now: float = NOW) -> str:
    """Return why a token is rejected. It never takes long."""
    begin = time.process_time()
    with pytest.raises(JOSEError) as caught:
        verify(token, policy_ or policy(), now)
    assert time.process_time() - begin < 1
    return caught.value.reason


@pytest.mark.spec("rfc8725", "3.1")
@pytest.mark.spec("rfc7515", "4.1.1")
@pytest.mark.parametrize("algorithm", EVERY)
def test_what_is_signed_is_verified(algorithm: str) -> None:
    token = sign(claims(sub="ünï"), Local(key_of(algorithm)), "at+jwt", NOW)
    found = verify(token, policy(algorithm), NOW)
    assert found.claims == claims(sub="ünï")
    assert found.header == {"typ": "at+jwt", "alg": algorithm, "kid": key_of(algorithm).kid}
    assert found.key.thumbprint == key_of(algorithm).thumbprint
    others = [name for name in EVERY if name != algorithm]
    assert rejected(token, policy(*others)) == "the alg of the header is not accepted for this kind of token"


def test_signing_adds_the_time_of_issue_and_no_type_if_there_is_none() -> None:
    token = sign({"exp": NOW + 1}, Local(key_of("ES256")), None, NOW + 0.9)
    found = verify(token, policy(types=("",), issuers=None, audience=None), NOW)
    assert found.claims == {"iat": NOW, "exp": NOW + 1}
    assert "typ" not in found.header
    with pytest.raises(ValueError, match="not JSON compliant"):
        sign({"exp": float("nan")}, Local(key_of("ES256")), None, NOW)


@pytest.mark.spec("rfc7518", "3.6")
@pytest.mark.spec("rfc8725", "3.2")
@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", "hs256", "es256", None, 7, ["ES256"], "ES256K"])
def test_none_and_other_spellings_are_no_algorithm(alg: Any) -> None:
    token = token_of(claims(), {"alg": alg})
    for candidate in (token, token.rpartition(".")[0] + "."):
        assert "alg" in rejected(candidate) or "not text" in rejected(candidate)
    with pytest.raises(ValueError, match="a policy needs algorithms of"):
        policy(keys=KeySet([]).find, algorithms=("none",))


@pytest.mark.spec("rfc8725", "3.1")
def test_a_public_key_is_no_secret() -> None:
    """The header says HS256, and the HMAC is keyed with the public key."""
    key = key_of("RS256")
    header = encode(json.dumps({"typ": "at+jwt", "alg": "HS256", "kid": key.kid}).encode())
    data = f"{header}.{encode(json.dumps(claims()).encode())}"
    for secret in (key.native.as_pem(), key.native.as_der(), json.dumps(key.public_jwk).encode()):
        token = f"{data}.{encode(hmac.digest(secret, data.encode(), 'sha256'))}"
        assert "alg" in rejected(token, policy("RS256"))
    # a policy for secrets does not take the public key for one
    assert "no key" in rejected(token, policy("HS256", keys=lambda kid, alg: [read_key(key.public_jwk)]))
    with pytest.raises(ValueError, match="must not mix symmetric and asymmetric"):
        policy("RS256", "HS256")


@pytest.mark.spec("rfc8725", "3.1")
def test_a_key_is_used_with_one_algorithm() -> None:
    token = token_of(claims(), algorithm="PS256", key=key_of("RS256"))
    keys = KeySet([key_of("RS256")])
    assert "no key of the party fits" in rejected(token, policy("PS256", keys=keys.find))
    wrong_curve = token_of(claims(), {"alg": "ES384"})
    assert "no key of the party fits" in rejected(wrong_curve, policy("ES384", keys=KeySet([key_of("ES256")]).find))


@pytest.mark.spec("rfc7518", "3.2")
@pytest.mark.spec("rfc8725", "3.5")
@pytest.mark.parametrize(("algorithm", "octets"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_secret_is_as_long_as_the_hash(algorithm: str, octets: int) -> None:
    long, short = read_secret(b"x" * octets), read_secret(b"x" * (octets - 1))
    assert verify(token_of(claims(), key=long, algorithm=algorithm), policy(algorithm, keys=KeySet([long]).find), NOW)
    token = token_of(claims(), key=short, algorithm=algorithm)
    assert "no key of the party fits" in rejected(token, policy(algorithm, keys=KeySet([short]).find))


@pytest.mark.spec("rfc7515", "4.1.11")
@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"]},
        {"crit": []},
        {"crit": ["b64"], "b64": False},
        {"crit": ["alg"]},
        {"crit": "exp"},
        {"b64": False},
        {"b64": True},
        {"zip": "DEF"},
    ],
)
def test_extensions_are_rejected(header: dict[str, Any]) -> None:
    assert "which is not supported" in rejected(token_of(claims(), header))


@pytest.mark.spec("rfc7515", "4.1.2")
@pytest.mark.spec("rfc7515", "6")
@pytest.mark.spec("rfc8725", "3.10")
@pytest.mark.parametrize("name", ["jku", "x5u", "x5c", "jwk"])
def test_a_token_does_not_choose_its_key(name: str) -> None:
    value = {"jwk": key_of("ES256").public_jwk, "x5c": ["MIIB"]}.get(name, "https://login.example/keys")
    assert f"the header contains {name}" in rejected(token_of(claims(), {name: value}))


def proof_policy(**more: Any) -> Policy:
    fields = {"issuers": None, "audience": None, "keys": None, "accepts_header_key": True, "required": ("jti",)}
    return policy("ES256", **{**fields, **more})


def test_a_key_in_the_header_must_be_asked_for() -> None:
    key = key_of("ES256", 2)
    token = token_of({"jti": "1"}, {"jwk": key.public_jwk}, key)
    assert verify(token, proof_policy(), NOW).key.thumbprint == key.thumbprint
    other = token_of({"jti": "1"}, {"jwk": key_of("ES256").public_jwk}, key)
    assert rejected(other, proof_policy()) == "the signature is wrong"
    for jwk in (None, "key", []):
        assert "the header has no jwk" in rejected(token_of({"jti": "1"}, {"jwk": jwk}, key), proof_policy())
    assert "unknown kty" in rejected(token_of({"jti": "1"}, {"jwk": {}}, key), proof_policy())
    private = token_of({"jti": "1"}, {"jwk": key.jwk}, key)
    assert "private" in rejected(private, proof_policy())
    assert "x5c" in rejected(token_of({"jti": "1"}, {"jwk": key.public_jwk, "x5c": ["MIIB"]}, key), proof_policy())


@pytest.mark.parametrize(
    "fields", [{"keys": None}, {"accepts_header_key": True}, {"algorithms": ()}, {"leeway": 301}, {"leeway": -1}]
)
def test_a_policy_that_contradicts_itself_is_an_error(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"policy|leeway"):
        policy(**fields)
    with pytest.raises(ValueError, match="must be asymmetric"):
        policy("HS256", keys=None, accepts_header_key=True)


@pytest.mark.spec("rfc7515", "4.1.9")
@pytest.mark.spec("rfc8725", "3.11")
@pytest.mark.spec("rfc8725", "3.12")
@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+JWT"])
def test_a_type_has_several_spellings(typ: str) -> None:
    assert verify(token_of(claims(), {"typ": typ}), policy(), NOW)


@pytest.mark.spec("rfc8725", "3.11")
@pytest.mark.spec("rfc8725", "3.12")
@pytest.mark.parametrize("typ", [None, "", "JWT", "dpop+jwt", "text/at+jwt", "at+jwt ", "application/at+jwt;v=1"])
def test_another_type_is_rejected(typ: str | None) -> None:
    assert "typ" in rejected(token_of(claims(), {"typ": typ}))


def test_a_type_that_nothing_else_has_may_be_accepted() -> None:
    lenient = policy(types=("client-authentication+jwt", ""), accepts_other_types=True)
    for typ in ("client-authentication+jwt", None, "JWT", "own+jwt"):
        assert verify(token_of(claims(), {"typ": typ}), lenient, NOW)
    for known in ("at+jwt", "logout+jwt", "oauth-id-jag+jwt", "application/DPoP+jwt"):
        assert "typ" in rejected(token_of(claims(), {"typ": known}), lenient)


@pytest.mark.parametrize("header", [{"typ": 7}, {"kid": 7}, {"kid": ["x"]}, {"cty": {}}, {"typ": True}])
def test_members_of_the_header_are_text(header: dict[str, Any]) -> None:
    assert rejected(token_of(claims(), header)) == "a member of the header is not text"


def test_an_encrypted_token_is_not_taken_for_a_signed_one() -> None:
    assert "encrypted" in rejected(token_of(claims(), {"enc": "A128GCM"}))


@pytest.mark.spec("rfc7515", "4.1.4")
@pytest.mark.spec("rfc7517", "4.5")
def test_the_kid_is_a_hint() -> None:
    first, second = key_of("ES256"), key_of("ES256", 2)
    keys = KeySet([first, second])
    for kid in (second.kid, None):
        assert verify(token_of(claims(), {"kid": kid}, second), policy(keys=keys.find), NOW).key is second
    assert rejected(token_of(claims(), {"kid": first.kid}, second), policy(keys=keys.find)) == "the signature is wrong"
    unknown = token_of(claims(), {"kid": "../../etc/passwd"}, second)
    assert "no key of the party fits" in rejected(unknown, policy(keys=keys.find))
    unnamed = Key(second.kty, second.members, second.native)
    assert verify(unknown, policy(keys=KeySet([first, unnamed]).find), NOW).key is unnamed


def test_few_keys_are_tried() -> None:
    tried = []

    def find(kid: str | None, alg: str) -> Iterator[Key]:
        for _ in range(10_000):
            tried.append(1)
            yield key_of("ES256", 2)

    assert rejected(token_of(claims()), policy(keys=find)) == "the signature is wrong"
    assert len(tried) == jose.MAX_CANDIDATES


@pytest.mark.spec("rfc7518", "3.4")
def test_an_ecdsa_signature_has_one_form() -> None:
    data, _, signature = token_of(claims()).rpartition(".")
    octets = jose.decode_base64url(signature.encode())
    der = key_of("ES256").native.private_key.sign(data.encode(), ECDSA(SHA256()))
    for wrong in (b"", octets[:-1], octets + b"\0", bytes(64), der):
        assert rejected(f"{data}.{encode(wrong)}") == "the signature is wrong"


@pytest.mark.spec("rfc7515", "5.2")
@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "=",
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: text[:4] + "!" + text[4:],
        lambda text: text[:4] + "%41" + text[5:],
        lambda text: text.replace("-", "+").replace("_", "/") + "+",
        lambda text: text + "A",
        lambda text: text[:-1] + chr(ord(text[-1]) + 1),
    ],
)
def test_one_token_has_one_spelling(part: int, change: Any) -> None:
    parts = token_of(claims()).split(".")
    parts[part] = change(parts[part])
    with pytest.raises(JOSEError):
        verify(".".join(parts), policy(), NOW)


@pytest.mark.spec("rfc7515", "5.2")
def test_trailing_bits_are_zero() -> None:
    """A lenient decoder would read the same signature, so that one token had sixteen spellings."""
    token = token_of(claims())
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    place = alphabet.index(token[-1])
    for other in range(place + 1, place + 16):
        assert "base64url" in rejected(token[:-1] + alphabet[other])


@pytest.mark.parametrize("token", ["", ".", "..", "a.b", "a.b.c.d", "a.b.c.d.e", "é.b.c", "....", "a..c"])
def test_other_text_is_no_token(token: str) -> None:
    assert rejected(token)


@pytest.mark.spec("rfc7515", "4")
@pytest.mark.spec("rfc7519", "4")
@pytest.mark.parametrize(
    "text",
    [
        '{"alg":"ES256","alg":"ES256","typ":"at+jwt"}',
        '{"typ":"dpop+jwt","alg":"ES256","typ":"at+jwt"}',
        '{"alg":"ES256","typ":"at+jwt","x":{"a":1,"a":2}}',
        '["alg"]',
        '"ES256"',
        "null",
        "",
        '{"alg":"ES256","typ":"at+jwt"',
        '{"alg":"ES256","typ":"at+jwt"} {}',
        "{'alg':'ES256'}",
        '{"alg":"ES256","typ":"at+jwt","x":NaN}',
    ],
)
def test_a_header_is_one_object_without_duplicates(text: str) -> None:
    assert "the header is not a JSON object" in rejected(token_of(claims(), text))


@pytest.mark.spec("rfc7519", "4")
@pytest.mark.spec("rfc8725", "3.7")
@pytest.mark.parametrize(
    "payload",
    [
        b'{"exp":1,"exp":9999999999}',
        b'{"exp":9999999999,"x":{"a":1,"a":2}}',
        b'{"exp":9999999999,"x":[{"a":1,"a":2}]}',
        b'["exp"]',
        b"text",
        b"",
        b'{"exp":NaN}',
        b'{"exp":Infinity}',
        b'{"exp":-Infinity}',
        b'{"iss":"\xff"}',
        b"\xef\xbb\xbf{}",
        '{"iss":"x"}'.encode("utf-16"),
        b'{"exp":' + b"9" * 5000 + b"}",
        b"[" * 8000,
        b'{"a":' * 1500,
    ],
    ids=lambda payload: payload[:30].decode("latin-1"),
)
def test_claims_are_one_object_without_duplicates(payload: bytes) -> None:
    assert "the payload is not a JSON object" in rejected(token_of(payload))


@pytest.mark.parametrize("text", ["1e400", "-1e400", "1e999999"])
def test_a_number_is_finite(text: str) -> None:
    assert "not finite" in rejected(token_of(f'{{"exp":{text}}}'))
    assert "not finite" in rejected(token_of(f'{{"exp":{NOW + 1},"x":[{{"y":{text}}}]}}'))


@pytest.mark.spec("rfc8725", "3.7")
def test_text_is_unicode() -> None:
    assert "not Unicode" in rejected(token_of(json.dumps(claims(sub="\ud800"))))
    assert verify(token_of(json.dumps(claims(sub="\U0001f511"))), policy(), NOW).claims["sub"] == "\U0001f511"


def nested(depth: int) -> Any:
    value: Any = 1
    for number in range(depth):
        value = [value] if number % 2 else {"a": value}
    return value


def test_claims_are_not_nested_deeply() -> None:
    assert verify(token_of(claims(x=nested(15))), policy(), NOW)
    assert "levels" in rejected(token_of(claims(x=nested(16))))
    assert "levels" in rejected(token_of(claims(x=nested(900))))


def test_there_are_not_too_many_claims() -> None:
    many = claims(**{f"c{number}": 1 for number in range(10_000)})
    assert "more than 16384 characters" in rejected(token_of(many))
    roomy = policy(max_size=10**6)
    assert "500 values" in rejected(token_of(many), roomy)
    assert "500 values" in rejected(token_of(claims(x=[0] * 600)), roomy)
    assert "500 values" in rejected(token_of(claims(x={"y": [[0] * 20] * 25})), roomy)
    assert verify(token_of(claims(x=[0] * 490)), roomy, NOW)


def test_a_token_and_its_header_have_a_size() -> None:
    assert "16384 characters" in rejected(token_of(claims(x="y" * 13_000)))
    assert "4096 characters" in rejected(token_of(claims(), {"x": "y" * 4000}))
    assert "50 values" in rejected(token_of(claims(), {"x": list(range(60))}))
    assert "characters" in rejected("a" * 10**8)


@pytest.mark.spec("rfc7519", "4.1.3")
@pytest.mark.spec("rfc8725", "3.9")
@pytest.mark.parametrize("aud", [AUDIENCE, [AUDIENCE], [AUDIENCE, "https://other.example"]])
def test_an_audience_contains_this_server(aud: Any) -> None:
    assert verify(token_of(claims(aud=aud)), policy(), NOW)


@pytest.mark.spec("rfc7519", "4.1.3")
@pytest.mark.spec("rfc7519", "7.3")
@pytest.mark.spec("rfc8725", "3.9")
@pytest.mark.parametrize(
    "aud",
    [
        *(None, "", [], "https://api.example/", "https://API.example", AUDIENCE + "x", AUDIENCE[:-1], ["x"]),
        *([[AUDIENCE]], {AUDIENCE: 1}, 7, True, [AUDIENCE, 7], [AUDIENCE, ""], [None]),
    ],
)
def test_another_audience_is_rejected(aud: Any) -> None:
    token = token_of(claims(aud=aud))
    assert "aud" in rejected(token)


def test_an_audience_of_the_wrong_kind_is_rejected_even_if_none_is_checked() -> None:
    assert "aud" in rejected(token_of(claims(aud=7)), policy(audience=None))
    assert verify(token_of(claims(aud=None)), policy(audience=None), NOW)


def test_this_server_may_have_to_be_the_only_audience() -> None:
    alone = policy(is_only_audience=True)
    for aud in (AUDIENCE, [AUDIENCE]):
        assert verify(token_of(claims(aud=aud)), alone, NOW)
    for aud in ([AUDIENCE, "https://other.example"], [AUDIENCE, AUDIENCE]):
        assert "also names other parties" in rejected(token_of(claims(aud=aud)), alone)


def test_a_server_may_have_several_names() -> None:
    older = policy(audience=(ISSUER, f"{ISSUER}/token"))
    assert verify(token_of(claims(aud=ISSUER)), older, NOW)
    assert verify(token_of(claims(aud=f"{ISSUER}/token")), older, NOW)
    assert "aud" in rejected(token_of(claims()), older)


@pytest.mark.spec("rfc8725", "3.8")
@pytest.mark.spec("rfc7519", "7.3")
@pytest.mark.parametrize(
    "iss", [None, "", "https://login.example/", "https://LOGIN.example", ["https://login.example"], 7]
)
def test_another_issuer_is_rejected(iss: Any) -> None:
    assert "iss" in rejected(token_of(claims(iss=iss)))


@pytest.mark.parametrize("name", ["jti", "sub", "client_id"])
@pytest.mark.parametrize("value", ["", 7, True, ["x"], {}])
def test_names_are_text_and_not_empty(name: str, value: Any) -> None:
    assert rejected(token_of(claims(**{name: value}))) == f"the claim {name} is empty or not text"


def test_null_is_no_value() -> None:
    assert "jti" in rejected(token_of({**claims(), "jti": None}))
    assert "exp" in rejected(token_of({**claims(), "exp": None}))


@pytest.mark.parametrize("name", ["exp", "jti", "sub", "client_id"])
def test_required_claims(name: str) -> None:
    demanding = policy(required=("exp", "jti", "sub", "client_id"))
    whole = claims(sub="ada", client_id="web")
    assert verify(token_of(whole), demanding, NOW)
    del whole[name]
    assert rejected(token_of(whole), demanding) == f"the claim {name} is missing"


@pytest.mark.spec("rfc7519", "4.1.4")
def test_a_token_expires_at_its_last_second() -> None:
    assert verify(token_of(claims(exp=NOW + 0.5)), policy(), NOW)
    assert verify(token_of(claims()), policy(), NOW + 299.9)
    assert rejected(token_of(claims()), now=NOW + 300) == "the token has expired"
    assert verify(token_of(claims()), policy(leeway=60), NOW + 359)
    assert rejected(token_of(claims()), policy(leeway=60), NOW + 360) == "the token has expired"


@pytest.mark.spec("rfc7519", "4.1.5")
@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_a_token_from_the_future_is_rejected(name: str) -> None:
    assert verify(token_of(claims(**{name: NOW})), policy(), NOW)
    assert "not valid yet" in rejected(token_of(claims(**{name: NOW + 1})))
    assert verify(token_of(claims(**{name: NOW + 60})), policy(leeway=60), NOW)
    assert "not valid yet" in rejected(token_of(claims(**{name: NOW + 61})), policy(leeway=60))


@pytest.mark.spec("rfc7519", "4.1.4")
@pytest.mark.parametrize("name", ["exp", "nbf", "iat", "auth_time"])
@pytest.mark.parametrize("value", [True, False, "1800000300", [], {}, -1, 10**15, 1e300, 253_402_300_800])
def test_a_time_is_a_number(name: str, value: Any) -> None:
    assert rejected(token_of(claims(**{name: value}))) == f"the claim {name} is not a time"


def test_a_lifetime_of_years_is_rejected() -> None:
    short = policy(max_lifetime=300)
    assert verify(token_of(claims()), short, NOW)
    assert "does not expire within 300 seconds" in rejected(token_of(claims(exp=NOW + 301)), short)
    assert "does not expire within" in rejected(token_of(claims(exp=NOW + 10 * 365 * 86400)), short)
    without = policy(max_lifetime=300, required=())
    assert "does not expire within" in rejected(token_of(claims(exp=None)), without)
    assert verify(token_of(claims(exp=None)), policy(required=()), NOW)


def test_an_old_token_is_rejected() -> None:
    fresh = policy(max_age=60)
    assert verify(token_of(claims()), fresh, NOW + 60)
    assert "not issued within 60 seconds" in rejected(token_of(claims()), fresh, NOW + 61)
    assert "not issued within" in rejected(token_of(claims(iat=None)), fresh)


@pytest.mark.spec("rfc7519", "4")
def test_unknown_claims_and_header_members_are_ignored() -> None:
    token = token_of(claims(own={"a": [1, None, True]}), {"own": "x"})
    found = verify(token, policy(), NOW)
    assert found.claims["own"] == {"a": [1, None, True]}
    assert found.header["own"] == "x"


@pytest.mark.spec("rfc7519", "7.2")
def test_claims_are_not_looked_at_before_the_signature() -> None:
    forged = token_of({"exp": "text"}, key=key_of("ES256", 2), header={"kid": None})
    assert rejected(forged) == "the signature is wrong"


def test_reasons_contain_no_value_of_the_token() -> None:
    secret = "s3cret-value"
    for token in (
        token_of(claims(iss=secret)),
        token_of(claims(aud=secret)),
        token_of(claims(exp=secret)),
        token_of(claims(), {"kid": secret}),
        token_of(claims(), {"typ": secret}),
        token_of(claims(), {"alg": secret}),
        token_of(f'{{"{secret}":1,"{secret}":2}}'),
    ):
        assert secret not in rejected(token)


def test_the_issuer_can_be_read_to_find_its_keys() -> None:
    assert jose.read_issuer(token_of(claims())) == ISSUER
    for payload in (claims(iss=None), claims(iss=""), claims(iss=7), "[]"):
        with pytest.raises(JOSEError):
            jose.read_issuer(token_of(payload))


@pytest.mark.parametrize("alg", ["RSA-OAEP", "RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A256KW", "A128KW", "A256KW", "dir"])
@pytest.mark.parametrize("enc", ["A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM"])
@pytest.mark.spec("rfc7518", "5.1")
@pytest.mark.spec("rfc7518", "4.2")
@pytest.mark.spec("rfc7518", "4.6")
def test_what_is_encrypted_is_decrypted(alg: str, enc: str) -> None:
    key = encryption_key(alg, enc)
    inner = sign(claims(), Local(key_of("ES256")), "at+jwt", NOW)
    token = jose.encrypt(inner.encode(), key, alg, enc, typ="at+jwt", cty="JWT")
    assert jose.is_encrypted(token)
    assert not jose.is_encrypted(inner)
    found = jose.decrypt(token, encryption_policy(key, alg, enc))
    assert found.content.decode() == inner
    assert (found.header["cty"], found.header["alg"], found.header["enc"]) == ("JWT", alg, enc)
    again = jose.encrypt(inner.encode(), key, alg, enc)
    assert again.split(".")[2:] != token.split(".")[2:]


def encryption_key(alg: str, enc: str = "A128GCM") -> Key:
    if alg == "dir":
        sizes = {"A128GCM": 16, "A256GCM": 32, "A128CBC-HS256": 32, "A256CBC-HS512": 64}
        return read_secret(b"k" * sizes[enc])
    if alg.endswith("KW") and alg.startswith("A"):
        return read_secret(b"k" * (int(alg[1:4]) // 8))
    key = key_of("RS256" if alg.startswith("RSA") else "ES256")
    return Key(key.kty, key.members, key.native, "enc-1", use="enc")


def encryption_policy(key: Key, alg: str, enc: str, **more: Any) -> jose.EncryptionPolicy:
    return jose.EncryptionPolicy(algorithms=(alg,), encodings=(enc,), keys=KeySet([key]).find, **more)


@pytest.mark.spec("rfc7516", "11.5")
@pytest.mark.spec("rfc7516", "5.2")
@pytest.mark.spec("rfc7518", "4.7")
@pytest.mark.parametrize("alg", ["RSA-OAEP", "ECDH-ES", "ECDH-ES+A128KW", "A128KW", "dir"])
def test_every_failure_of_decryption_looks_the_same(alg: str) -> None:
    key = encryption_key(alg)
    token = jose.encrypt(b"{}", key, alg, "A128GCM")
    parts = token.split(".")
    for place in range(1, 5):
        octets = jose.decode_base64url(parts[place].encode())
        for change in (b"", b"\0" * 3, b"\0" * 16, octets[:-1], octets + b"\0", b"\1" * 300):
            changed = ".".join([*parts[:place], encode(change), *parts[place + 1 :]])
            if changed == token:
                continue
            with pytest.raises(JOSEError, match=r"\Ano key decrypts the token\Z"):
                jose.decrypt(changed, encryption_policy(key, alg, "A128GCM"))


def test_only_private_keys_for_encryption_decrypt() -> None:
    key = encryption_key("ECDH-ES")
    token = jose.encrypt(b"{}", key, "ECDH-ES", "A128GCM")
    for other in (read_key(key.public_jwk), key_of("ES256"), key_of("RS256")):
        with pytest.raises(JOSEError, match="no key decrypts"):
            jose.decrypt(token, encryption_policy(other, "ECDH-ES", "A128GCM"))
    with pytest.raises(ValueError, match="does not fit"):
        jose.encrypt(b"{}", key_of("ES256"), "ECDH-ES", "A128GCM")
    for alg, enc in (("RSA1_5", "A128GCM"), ("ECDH-ES", "A128"), ("RSA-OAEP", "A128GCM")):
        with pytest.raises(ValueError, match="does not fit"):
            jose.encrypt(b"{}", key, alg, enc)


def with_header(token: str, **more: Any) -> str:
    first, _, rest = token.partition(".")
    header = json.loads(jose.decode_base64url(first.encode())) | more
    present = {name: value for name, value in header.items() if value is not None}
    return f"{encode(json.dumps(present).encode())}.{rest}"


@pytest.mark.spec("rfc7516", "4.1")
@pytest.mark.spec("rfc7518", "4.6")
@pytest.mark.spec("rfc8725", "3.2")
@pytest.mark.spec("rfc8725", "3.4")
@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"alg": "RSA1_5"}, "not accepted"),
        ({"alg": "PBES2-HS256+A128KW", "p2c": 10**9, "p2s": "AAAA"}, "not accepted"),
        ({"alg": None}, "not accepted"),
        ({"enc": "none"}, "not accepted"),
        ({"enc": None}, "not accepted"),
        ({"zip": "DEF"}, "zip"),
        ({"crit": ["exp"]}, "crit"),
        ({"jku": "https://x.example"}, "jku"),
        ({"jwk": {}}, "jwk"),
        ({"epk": None}, "no epk"),
        ({"epk": "x"}, "no epk"),
        ({"epk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}, "octets"),
        ({"apu": 7}, "apu"),
        ({"apv": "A=="}, "base64url"),
    ],
)
def test_headers_of_encrypted_tokens_are_checked(header: dict[str, Any], reason: str) -> None:
    key = encryption_key("ECDH-ES")
    token = with_header(jose.encrypt(b"{}", key, "ECDH-ES", "A128GCM"), **header)
    with pytest.raises(JOSEError, match=reason):
        jose.decrypt(token, encryption_policy(key, "ECDH-ES", "A128GCM"))


@pytest.mark.spec("rfc8725", "3.4")
def test_an_ephemeral_key_is_public_and_on_its_curve() -> None:
    key = encryption_key("ECDH-ES")
    token = jose.encrypt(b"{}", key, "ECDH-ES", "A128GCM")
    epk = key_of("ES256", 3)
    off_curve = {**epk.public_jwk, "y": encode(bytes(31) + b"\1"), "alg": None, "use": None, "kid": None}
    for wrong in (off_curve, epk.jwk):
        with pytest.raises(JOSEError, match=r"no key of its type|private"):
            jose.decrypt(with_header(token, epk=wrong), encryption_policy(key, "ECDH-ES", "A128GCM"))


@pytest.mark.spec("rfc8725", "3.6")
def test_a_compressed_bomb_is_not_unpacked() -> None:
    bomb = zlib.compress(b"a" * 50_000_000)[2:-4]
    key = read_secret(b"k" * 16)
    token = jwe.encrypt_compact(
        {"alg": "dir", "enc": "A128GCM", "zip": "DEF"}, bomb, key.native, ["dir", "A128GCM", "DEF"]
    )
    begin = time.process_time()
    with pytest.raises(JOSEError, match="zip"):
        jose.decrypt(token, encryption_policy(key, "dir", "A128GCM", max_size=10**6))
    assert time.process_time() - begin < 1


def test_an_encryption_policy_names_known_algorithms() -> None:
    for algorithms, encodings in ((("RSA1_5",), ("A128GCM",)), (("dir",), ("none",)), (("PBES2-HS256+A128KW",), ())):
        with pytest.raises(ValueError, match="a policy names algorithms of"):
            jose.EncryptionPolicy(algorithms=algorithms, encodings=encodings, keys=KeySet([]).find)


def test_an_encrypted_token_has_a_size() -> None:
    key = read_secret(b"k" * 16)
    token = jose.encrypt(b"x" * 40_000, key, "dir", "A128GCM")
    with pytest.raises(JOSEError, match="32768 characters"):
        jose.decrypt(token, encryption_policy(key, "dir", "A128GCM"))
    found = jose.decrypt(token, encryption_policy(key, "dir", "A128GCM", max_size=60_000))
    assert len(found.content) == 40_000
