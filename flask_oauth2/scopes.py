"""Scopes: sets of case-sensitive scope values, :rfc:`6749#section-3.3`.

A scope is a tuple in Python and a text with spaces in requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from .errors import InvalidScope

Scope = tuple[str, ...]

_GRAMMAR = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+\Z")
"""Scope values and spaces. Many clients send superfluous spaces, which mean nothing."""


def parse(text: str | None) -> Scope:
    """Return the values of a scope parameter in order, without duplicates and superfluous spaces.

    Raise :exc:`InvalidScope` for other characters.
    """
    if not text:
        return ()
    if not _GRAMMAR.match(text):
        raise InvalidScope("scope contains a character that its grammar does not allow", received=text)
    return tuple(dict.fromkeys(filter(None, text.split(" "))))


def narrow(
    requested: str,
    allowed: Scope,
    explain: Callable[[list[str]], str] | None = None,
    *,
    drops_others: bool = False,
) -> Scope:
    """Return the requested values if all are ``allowed``. Raise :exc:`InvalidScope` for other values.

    :param explain: returns how to allow the other values.
    :param drops_others: whether other values are dropped, as long as one allowed value remains,
        :rfc:`6749#section-3.3`: "the authorization server MAY fully or partially ignore the scope requested by the
        client".
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
            page_description="the application requested a scope that it may not have",
        )
    return scope


def parse_option(value: str | Iterable[str]) -> Scope:
    """Return a scope from configuration or code: a text with spaces, or an iterable. Raise :exc:`ValueError`."""
    scope = tuple(value.split()) if isinstance(value, str) else tuple(value)
    for found in scope:
        if not _GRAMMAR.match(found) or " " in found:
            raise ValueError(
                f'{found!r} is not a scope value: RFC 6749 section 3.3 allows printable ASCII except " and \\'
            )
    return tuple(dict.fromkeys(scope))
