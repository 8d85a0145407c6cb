"""Scope: a set of case-sensitive words, :rfc:`6749#section-3.3`. Kept as a tuple, written with spaces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from .errors import InvalidScope

Scope = tuple[str, ...]

_GRAMMAR = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+\Z")
"""Scope values and spaces. Superfluous spaces are ignored: they are in requests of many clients and mean nothing."""


def parse(text: str | None) -> Scope:
    """Return the values of a scope parameter, each once and in order.

    Superfluous spaces are ignored. Raises :exc:`InvalidScope` for other characters.
    """
    if not text:
        return ()
    if not _GRAMMAR.match(text):
        raise InvalidScope("scope holds a character that its grammar does not allow", came=text)
    return tuple(dict.fromkeys(filter(None, text.split(" "))))


def narrow(
    requested: str,
    allowed: Scope,
    explain: Callable[[list[str]], str] | None = None,
    *,
    drops_others: bool = False,
) -> Scope:
    """Return what a request asks for, if all of it is ``allowed``. Raises :exc:`InvalidScope` for values beyond.

    :param explain: returns what can be done about the values beyond.
    :param drops_others: whether values beyond are dropped, as long as one remains, :rfc:`6749#section-3.3`: "the
        authorization server MAY fully or partially ignore the scope requested by the client".
    """
    words = parse(requested)
    beyond = sorted(set(words).difference(allowed))
    if beyond and drops_others and len(beyond) < len(words):
        return tuple(word for word in words if word in allowed)
    if beyond:
        raise InvalidScope(
            f"scope {' '.join(beyond)} may not be granted here",
            expected=f"of: {' '.join(allowed)}",
            came=requested,
            cure=explain(beyond) if explain else None,
            shown="the application asked for a scope that may not be granted here",
        )
    return words


def parse_option(value: str | Iterable[str]) -> Scope:
    """A scope written by a programmer: text with spaces, or an iterable of words. Raises :exc:`ValueError`."""
    words = tuple(value.split()) if isinstance(value, str) else tuple(value)
    for word in words:
        if not _GRAMMAR.match(word) or " " in word:
            raise ValueError(f'{word!r} is no scope word: RFC 6749 section 3.3 allows printable ASCII but " and \\')
    return tuple(dict.fromkeys(words))
