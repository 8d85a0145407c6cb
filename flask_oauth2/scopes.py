"""Scope: a set of case-sensitive words, :rfc:`6749#section-3.3`. Kept as a tuple, written with spaces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from .errors import InvalidScope

Scope = tuple[str, ...]

_GRAMMAR = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*\Z")


def parse(text: str | None) -> Scope:
    """The words of a scope parameter, each once and in order. Raises :exc:`InvalidScope` for other characters."""
    if not text:
        return ()
    if not _GRAMMAR.match(text):
        raise InvalidScope("scope holds a character that its grammar does not allow", came=text)
    return tuple(dict.fromkeys(text.split(" ")))


def narrow(requested: str, allowed: Scope, explain: Callable[[list[str]], str] | None = None) -> Scope:
    """What a request asks for, if all of it is ``allowed``. Raises :exc:`InvalidScope` for words beyond.

    ``explain`` says what can be done about them.
    """
    words = parse(requested)
    beyond = sorted(set(words).difference(allowed))
    if beyond:
        raise InvalidScope(
            f"scope {' '.join(beyond)} may not be granted here",
            expected=f"of: {' '.join(allowed)}",
            came=requested,
            cure=explain(beyond) if explain else None,
        )
    return words


def parse_option(value: str | Iterable[str]) -> Scope:
    """A scope written by a programmer: text with spaces, or an iterable of words. Raises :exc:`ValueError`."""
    words = tuple(value.split()) if isinstance(value, str) else tuple(value)
    for word in words:
        if not _GRAMMAR.match(word) or " " in word:
            raise ValueError(f'{word!r} is no scope word: RFC 6749 section 3.3 allows printable ASCII but " and \\')
    return tuple(dict.fromkeys(words))
