"""Challenges: the values of the header ``WWW-Authenticate``, :rfc:`9110#section-11.6.1`."""

from __future__ import annotations

from collections.abc import Mapping


def write_challenge(scheme: str, parameters: Mapping[str, str]) -> str:
    """Return a challenge of an authentication scheme. All values are quoted strings.

    Werkzeug's ``WWWAuthenticate`` writes ``realm=oauth2`` without quotes: it quotes only if a value needs it.
    """
    # "a sender MUST only generate the quoted-string syntax" for realm, RFC 9110 section 11.5; scope has it in RFC 6750
    return f"{scheme} " + ", ".join(f'{name}="{_escape(value)}"' for name, value in parameters.items())


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
