"""Values and their keys."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from math import inf, nextafter

import pytest

from flask_oauth2 import values
from flask_oauth2.settings import Settings

TIMESTAMP = values.timestamp(1_800_000_000.25)


def test_a_value_has_prefix_body_and_checksum() -> None:
    value = values.new("oat", TIMESTAMP)
    assert re.fullmatch(r"oat_[A-Za-z0-9_-]{50}", value)
    assert not values.key(value).startswith(values.NO_TIMESTAMP)


@pytest.mark.spec("rfc6749", "10.10")
@pytest.mark.spec("rfc7592", "5")
def test_a_value_holds_more_than_160_random_bits() -> None:
    bodies = {values.new("oat", TIMESTAMP)[12:48] for _ in range(1000)}
    assert len(bodies) == 1000
    assert len(next(iter(bodies))) * 6 >= 208
    assert all(len(set(column)) > 48 for column in zip(*bodies, strict=True)), "each position is random"


@pytest.mark.spec("rfc6750", "2.1")
def test_a_value_is_a_b64token() -> None:
    assert re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", values.new("oat", TIMESTAMP))


def test_the_key_begins_with_the_time_of_the_value() -> None:
    key = values.key(values.new("oat", TIMESTAMP))
    assert key[:6] == TIMESTAMP
    assert int.from_bytes(key[:6], "big") == 1_800_000_000_250
    assert len(key) == 38


def test_keys_of_one_millisecond_differ_and_later_keys_are_greater() -> None:
    first, second = values.key(values.new("oat", TIMESTAMP)), values.key(values.new("oat", TIMESTAMP))
    assert first != second
    assert max(first, second) < values.key(values.new("oat", values.timestamp(1_800_000_000.251)))


@pytest.mark.parametrize("value", ["", "x", "oat_", "é", "\ud800", "oat_" + "A" * 50, "a.b.c", "oat_" + "!" * 50])
def test_a_value_from_elsewhere_has_a_key_without_time(value: str) -> None:
    assert values.key(value)[:6] == bytes(6)
    assert len(values.key(value)) == 38


def test_a_damaged_value_has_no_key_to_look_up() -> None:
    value = values.new("oat", TIMESTAMP)
    assert values.find_key(value, "oat") == values.key(value)
    for damaged in (value[:-1], value + "A", value[:10] + ("A" if value[10] != "A" else "B") + value[11:]):
        assert values.find_key(damaged, "oat") is None
    assert values.find_key("from-elsewhere", "oat") == values.key("from-elsewhere")


def test_a_forged_checksum_causes_no_error() -> None:
    from base64 import urlsafe_b64encode
    from zlib import crc32

    body = b"oat_" + b"-" * 44
    forged = (body + urlsafe_b64encode(crc32(body).to_bytes(4, "big"))[:6]).decode()
    assert len(values.key(forged)) == 38


@pytest.mark.spec("rfc7592", "5")
def test_derived_octets_depend_on_key_purpose_and_text() -> None:
    drawn = values.derive_key(b"key", "purpose", "text")
    assert len(drawn) == 27
    assert drawn == values.derive_key(b"key", "purpose", "text")
    others = [(b"other", "purpose", "text"), (b"key", "other", "text"), (b"key", "purpose", "other")]
    assert drawn not in [values.derive_key(*other) for other in others]
    value, key = values.generate("ora", TIMESTAMP, drawn)
    assert (value, key) == values.generate("ora", TIMESTAMP, drawn)
    assert key == values.key(value)


def test_a_value_is_masked_for_the_log() -> None:
    value = values.new("oat", TIMESTAMP)
    assert values.mask(f"received {value!r}, client_id web") == "received 'oat_…', client_id web"
    for name in ("OAUTH2_CLIENT_ID_METADATA_DOCUMENT_ALLOWED_HOSTS", "OAUTH2_REFRESH_TOKEN_GRACE_PERIOD_PUBLIC"):
        assert values.mask(f"set {name} = {value}") == f"set {name} = oat_…"


@pytest.mark.parametrize(
    "text",
    [
        "token_endpoint_auth_methods_supported",
        "my_application_of_the_whole_company_2026",
        "urn:ietf:params:oauth:grant-type:device_code",
        "flask oauth2 client update my_very_long_client_id_of_a_robot --scope notes:read",
        "OAUTH2_CLIENT_ID_METADATA_DOCUMENTS_AllowedHosts",
        "client_TheNewApplication",
    ],
)
def test_words_stay_readable_in_the_log(text: str) -> None:
    assert values.mask(text) == text


@pytest.mark.parametrize("before", ["", "'", "=", "%3D", "%3d", "X", "my_", "token_endpoint_auth_methods_supported_"])
@pytest.mark.parametrize("prefix", ["oat", "ocs", "acme"])
def test_a_value_is_masked_at_any_position(before: str, prefix: str) -> None:
    value = values.new(prefix, TIMESTAMP)
    for text in (value, value[:-7], f"{value}x", f"{value}.{value}"):
        masked = values.mask(f"{before}{text}")
        assert masked.endswith("_…")
        assert value[10:30] not in masked


@pytest.mark.parametrize("rest", ["eyJzdWIiOiJhIn0.c2lnbmF0dXJl", "eyJzdWIi", "a.b.c.d"])
def test_json_web_tokens_are_masked(rest: str) -> None:
    assert values.mask(f"?token=eyJhbGciOiJFUzI1NiJ9.{rest} eyJ") == "?token=eyJ… eyJ"
    assert values.mask("eyJhbGciOiJFUzI1NiJ9 eyJ.a") == "eyJhbGciOiJFUzI1NiJ9 eyJ.a"


@pytest.mark.parametrize("text", ["oat_meal_for_breakfast_and_lunch", "ost_.eyJhIjoxfQeyJhIjoxfQ.sig"])
def test_text_with_a_default_prefix_is_masked(text: str) -> None:
    assert values.mask(text) == f"{text[:4]}…"


@pytest.mark.parametrize(("kind", "prefix"), Settings().token_prefixes.items())
def test_every_default_prefix_is_masked_though_the_rest_looks_like_a_word(kind: str, prefix: str) -> None:
    assert values.mask(f"came {prefix}_{'a' * 20}") == f"came {prefix}_…", kind
    assert values.mask(f"came {prefix}x_{'a' * 20}") == f"came {prefix}x_{'a' * 20}"


def test_a_long_word_is_masked_as_fast_as_a_short_one() -> None:
    """Clients choose the text that is masked. In quadratic time this test would take an hour."""
    word = "a" * 1_000_000
    assert values.mask(word) == word


def test_text_and_back() -> None:
    key = values.new_id(1_800_000_000.0)
    assert values.from_text(values.text(key)) == key
    assert len(values.text(key)) == 22


@pytest.mark.parametrize("year", range(1971, 2100, 3))
def test_a_timestamp_has_the_second_in_which_a_token_is_issued(year: int) -> None:
    """The boundaries of partitions by key are those of whole seconds."""
    whole = datetime(year, 1, 1, tzinfo=UTC).timestamp()
    for second in (whole + offset for offset in range(0, 86400 * 365, 99_991)):
        for now in (second, nextafter(second, 0), nextafter(second, inf)):
            assert int.from_bytes(values.timestamp(now), "big") // 1000 == int(now)
            assert values.new_id(now)[:6] == values.timestamp(now)
