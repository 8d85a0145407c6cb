"""What people type, and what is kept of it."""

from __future__ import annotations

import re

import pytest

from flask_oauth2.grants import user_codes


@pytest.mark.spec("rfc8628", "5.1")
@pytest.mark.spec("rfc8628", "6.1")
def test_a_new_one_has_eight_letters_that_make_no_word() -> None:
    codes = {user_codes.new() for _ in range(200)}
    assert len(codes) == 200
    assert all(re.fullmatch("[BCDFGHJKLMNPQRSTVWXZ]{8}", code) for code in codes)
    assert set("".join(codes)) == set(user_codes.ALPHABET)
    assert len(user_codes.ALPHABET) ** 8 > 2**34


@pytest.mark.spec("rfc8628", "6.1")
@pytest.mark.parametrize(
    "text",
    [
        "WDJB-MJHL",
        "wdjb-mjhl",
        "WDJBMJHL",
        " wdjb mjhl ",
        "W.D.J.B/M.J.H.L",
        "WDJB\u2014MJHL",
        "\uff37\uff24\uff2a\uff22 \uff2d\uff2a\uff28\uff2c",
        "WDJ8-MJH1",
        "wdjb-mjhi",
        "WDJB-MJHL-AEO",
    ],
)
def test_it_is_read_however_it_is_typed(text: str) -> None:
    assert user_codes.read(text) == "WDJBMJHL"


@pytest.mark.parametrize(
    "text", ["", "WDJB", "WDJB-MJH", "WDJB-MJHLT", "----", "AEIOU", "\0", "\ud800", "BCDF" * 10_000]
)
def test_what_is_no_code_is_none(text: str) -> None:
    assert user_codes.read(text) is None


def test_what_is_shown_is_read() -> None:
    code = user_codes.new()
    assert re.fullmatch("[A-Z]{4}-[A-Z]{4}", user_codes.show(code))
    assert user_codes.read(user_codes.show(code)) == code


def test_its_key_needs_the_secret() -> None:
    key = user_codes.key("WDJBMJHL", b"secret")
    assert len(key) == 32
    assert key == user_codes.key("WDJBMJHL", b"secret")
    assert key != user_codes.key("WDJBMJHL", b"other")
    assert key != user_codes.key("WDJBMJHT", b"secret")
