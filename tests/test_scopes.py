"""Scope values."""

from __future__ import annotations

import pytest

from flask_oauth2 import InvalidScope, scopes


@pytest.mark.spec("rfc6749", "3.3")
def test_values_are_case_sensitive_and_unique_and_in_order() -> None:
    assert scopes.parse("b a b A") == ("b", "a", "A")
    assert scopes.parse("!#[]~") == ("!#[]~",)
    assert scopes.parse(None) == ()


@pytest.mark.spec("rfc6749", "3.3")
@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\tb", "é", "a\n", "\x7f"])
def test_other_characters_are_refused(text: str) -> None:
    with pytest.raises(InvalidScope):
        scopes.parse(text)


@pytest.mark.spec("rfc6749", "3.3")
@pytest.mark.parametrize("text", [" a b", "a b ", "a  b", "   a   b   "])
def test_superfluous_spaces_are_ignored(text: str) -> None:
    assert scopes.parse(text) == ("a", "b")
    assert scopes.parse_option(text) == ("a", "b")
    assert scopes.parse("  ") == ()


def test_narrow() -> None:
    assert scopes.narrow("b", ("a", "b")) == ("b",)
    with pytest.raises(InvalidScope, match="scope c d may not"):
        scopes.narrow("a d c", ("a", "b"))


@pytest.mark.spec("rfc6749", "3.3")
def test_other_values_are_dropped_while_one_remains() -> None:
    assert scopes.narrow("c a d", ("a", "b"), drops_others=True) == ("a",)
    assert scopes.narrow("a b", ("a", "b"), drops_others=True) == ("a", "b")
    with pytest.raises(InvalidScope, match="scope c d may not"):
        scopes.narrow("c d", ("a", "b"), drops_others=True)


def test_what_programmers_write() -> None:
    assert scopes.parse_option("a b") == scopes.parse_option(["a", "b"]) == ("a", "b")
    for wrong in (["a b"], ['"'], [""]):
        with pytest.raises(ValueError, match="is not a scope value"):
            scopes.parse_option(wrong)
