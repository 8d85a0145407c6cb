"""The command ``flask oauth2 simulate``: its output and exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from oauth_site import Site

NewSite = Callable[..., Site]


def run(site: Site, *arguments: str) -> Result:
    result = site.app.test_cli_runner().invoke(args=["oauth2", "simulate", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_a_client_that_gets_through(mcp_site: NewSite) -> None:
    result = run(mcp_site(), "mcp")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == "Simulating an MCP client with https://login.example/mcp."
    assert "store in memory that is discarded" in lines[1]
    assert "It calls no grantsetter or tokensetter" in lines[1]
    assert lines[3].startswith(" 1. Call without a token: POST /mcp → 401; a token with the scope profile is required")
    assert lines[13].startswith("11. Revoke the token: POST /oauth/revoke → 200, POST /mcp → 401; the token is revoked")
    assert lines[15] == "The client completed all 11 steps."


def test_a_client_that_stops(new_app: NewSite) -> None:
    result = run(new_app(OAUTH2_LOGIN_VIEW=None), "cli")
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[-3:] == [
        "    a real client fails here: the provider cannot redirect signed-out users to a login page, because it knows "
        "none",
        "    rule: rfc6749 3.1",
        "    hint: set OAUTH2_LOGIN_VIEW, or Flask-Login's login_view, to the endpoint of the login page",
    ]


def test_notes_are_printed(new_app: NewSite) -> None:
    result = run(new_app(), "spa")
    assert result.exit_code == 0
    assert "\n    note: pages of another site cannot read the response of /api/me" in result.output


def test_json(new_app: NewSite) -> None:
    passed = json.loads(run(new_app(), "server", "--json").stdout)
    assert passed["passed"] is True
    assert passed["profile"] == "server"
    assert passed["subject"] == "https://login.example"
    assert passed["steps"][1] == {
        "number": 2,
        "title": "Request a token with a wrong secret",
        "requests": [{"method": "POST", "path": "/oauth/token", "status": 401}],
        "learnt": "401 and a challenge",
        "notes": [],
        "stop": None,
    }
    result = run(new_app(), "server", "--scope", "mail", "--json")
    assert result.exit_code == 1
    stopped = json.loads(result.stdout)
    assert stopped["passed"] is False
    assert stopped["steps"][-1]["stop"]["rule"] == "rfc6750 3.1"


def test_who_is_signed_in(new_app: NewSite) -> None:
    site, seen = new_app(), list[Any]()
    site.provider.authorize_handler(lambda **asked: bool(seen.append(site.provider.get_current_user())) or True)
    assert run(site, "cli").exit_code == 0
    assert run(site, "cli", "--user", "7").exit_code == 0
    assert [user.id for user in seen] == ["simulated", "7"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["mcp", "--path", "mcp"], "must start with a slash"),
        (["cli", "--path", "/nothing"], "no view accepts GET at /nothing"),
        (["cli", "--scope", 'a "b"'], "--scope"),
        (["robot"], "is not one of 'mcp', 'spa', 'cli', 'server'"),
    ],
)
def test_invalid_arguments(new_app: NewSite, arguments: list[str], sentence: str) -> None:
    result = run(new_app(), *arguments)
    assert result.exit_code in (1, 2)
    assert sentence in result.stderr


def test_a_resource_needs_a_scope_that_oauth2_scopes_lacks(new_app: NewSite) -> None:
    site = new_app()
    site.provider.protect_mcp("/mcp", ["shout"])
    result = run(site, "mcp")
    assert result.exit_code == 1
    assert "the resource /mcp needs the scope shout, which OAUTH2_SCOPES does not describe" in result.stderr


def test_a_stop_ends_with_the_reason_the_rule_and_the_fix(new_app: NewSite) -> None:
    site = new_app()
    for path in ("/a", "/b"):
        site.provider.protect_resource(path, ["mail"])
    result = run(site, "cli", "--scope", "mail")
    assert result.exit_code == 1
    assert result.output.splitlines()[-3:] == [
        "    a real client fails here: the client receives the error invalid_target: "
        "several resources use this scope: name "
        "one with the resource parameter",
        "    rule: rfc8707 2",
        "    hint: let the client send the resource parameter",
    ]
