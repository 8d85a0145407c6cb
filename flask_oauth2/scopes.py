"""Scopes: sets of case-sensitive values, :rfc:`6749#section-3.3`, as tuples in Python and with spaces in requests."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from .errors import InvalidScope

Scope = tuple[str, ...]

_GRAMMAR = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+\Z")
"""Scope values and spaces. Many clients send superfluous spaces, which mean nothing."""


def parse(text: str | None) -> Scope:
    """Return the values of a scope parameter, each once and in order, ignoring superfluous spaces.

    Raise :exc:`InvalidScope` for other characters.
    """
    if not text:
        return ()
    if not _GRAMMAR.match(text):
        raise InvalidScope("scope has a character that its grammar does not allow", received=text)
    return tuple(dict.fromkeys(filter(None, text.split(" "))))


def narrow(
    requested: str,
    allowed: Scope,
    explain: Callable[[list[str]], str] | None = None,
    *,
    drops_others: bool = False,
) -> Scope:
    """Return the requested values if all are ``allowed``. Raise :exc:`InvalidScope` for values beyond.

    :param explain: return how to allow the values beyond.
    :param drops_others: whether values beyond are dropped, as long as one remains, :rfc:`6749#section-3.3`: "the
        authorization server MAY fully or partially ignore the scope requested by the client".
    """
    scope = parse(requested)
    beyond = sorted(set(scope).difference(allowed))
    if beyond and drops_others and len(beyond) < len(scope):
        return tuple(value for value in scope if value in allowed)
    if beyond:
        raise InvalidScope(
            f"scope {' '.join(beyond)} may not be granted here",
            expected=f"of: {' '.join(allowed)}",
            received=requested,
            hint=explain(beyond) if explain else None,
            shown="the application asked for a scope that may not be granted here",
        )
    return scope


def parse_option(value: str | Iterable[str]) -> Scope:
    """Return a scope that a programmer wrote, as text with spaces or as an iterable. Raise :exc:`ValueError`."""
    scope = tuple(value.split()) if isinstance(value, str) else tuple(value)
    for found in scope:
        if not _GRAMMAR.match(found) or " " in found:
            raise ValueError(
                f'{found!r} is not a scope value: RFC 6749 section 3.3 allows printable ASCII except " and \\'
            )
    return tuple(dict.fromkeys(scope))
