"""Challenges are written in one place, with every value as a quoted string."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from werkzeug.datastructures import WWWAuthenticate

import flask_oauth2
from flask_oauth2.http.challenges import write_challenge

VALUES = {
    "realm": "oauth2",
    "error": "invalid_token",
    "error_description": 'the token "x" has \\ expired',
    "scope": "profile mail",
    "resource_metadata": "https://api.example/.well-known/oauth-protected-resource",
    "empty": "",
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.spec("rfc6750", "3")
def test_every_value_is_a_quoted_string(name: str) -> None:
    challenge = write_challenge("Bearer", {name: VALUES[name]})
    assert challenge.startswith(f'Bearer {name}="')
    assert challenge.endswith('"')


def test_a_parser_reads_the_same_values() -> None:
    parsed = WWWAuthenticate.from_header(write_challenge("Bearer", VALUES))
    assert parsed is not None
    assert (parsed.type, dict(parsed.parameters)) == ("bearer", VALUES)


def test_werkzeug_still_leaves_out_the_quotes() -> None:
    """If this fails, its class can replace :func:`write_challenge`."""
    assert WWWAuthenticate("bearer", {"realm": "oauth2"}).to_header() == "Bearer realm=oauth2"


def test_no_other_module_writes_a_challenge() -> None:
    root = Path(flask_oauth2.__file__).parent
    written = re.compile(r'realm="|\{name\}="\{value|Bearer [a-z_]+="')
    found = [module.relative_to(root).as_posix() for module in root.rglob("*.py") if written.search(module.read_text())]
    assert found == []
