"""Applications that were moved from flask-oauthlib and Authlib: how little changed, and that nobody noticed."""

from __future__ import annotations

import ast
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from example_site import serve
from interop.browser import Browser
from servers import PATIENCE

EXAMPLES = Path(__file__).parent.parent / "examples"
CALLBACK = "http://127.0.0.1:8000/callback"

MOST_PLACES = 5


def changed_places(folder: Path) -> list[list[str]]:
    """The lines of ``before.py`` and ``app.py`` that differ, place by place, their docstrings aside."""
    before, after = (
        (folder / name).read_text().removeprefix(f'"""{ast.get_docstring(ast.parse((folder / name).read_text()))}"""')
        for name in ("before.py", "app.py")
    )
    lines, others = before.splitlines(), after.splitlines()
    matcher = SequenceMatcher(None, lines, others, autojunk=False)
    return [others[c:d] for tag, _, _, c, d in matcher.get_opcodes() if tag != "equal"]


@pytest.mark.parametrize("name", ["from_flask_oauthlib", "from_authlib"])
def test_few_places_change(name: str) -> None:
    places = changed_places(EXAMPLES / name)
    assert 0 < len(places) <= MOST_PLACES, places
    assert sum(map(len, places)) <= 10, "lines that were written anew"


class Moved:
    """A copy of an example, a person's browser, and the client ``photos``."""

    def __init__(self, folder: Path, browser: Browser) -> None:
        self.folder = folder
        self.browser = browser
        self.url = ""

    def flask(self, *arguments: str) -> str:
        """Run ``flask --app app.py`` with arguments."""
        command = [sys.executable, "-m", "flask", "--app", "app.py", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run_import(self, *arguments: str) -> Any:
        return json.loads(self.flask("oauth2", "import", *arguments, "--json"))

    def execute(self, statement: str, *parameters: object) -> list[Any]:
        """Run a statement on the database, as the old application might have."""
        with closing(sqlite3.connect(self.folder / "instance/provider.sqlite")) as connection, connection:
            return connection.execute(statement, parameters).fetchall()

    def secret(self, table: str) -> str:
        return str(self.execute(f"SELECT client_secret FROM {table} WHERE client_id = 'photos'")[0][0])

    def ask(self, scope: str, username: str, decision: str = "Allow") -> dict[str, str]:
        """A person is sent to the provider, without PKCE: the answer that the client gets."""
        parameters = {"response_type": "code", "client_id": "photos", "redirect_uri": CALLBACK, "state": "st-1"}
        url = (
            requests.Request("GET", f"{self.url}/oauth/authorize", params={**parameters, "scope": scope}).prepare().url
        )
        back = self.browser.authorize(str(url), decision, username=username)
        assert back.startswith(CALLBACK), back
        answer = {name: value for name, [value] in parse_qs(urlsplit(back).query).items()}
        assert answer["state"] == "st-1"
        return answer

    def post(self, path: str, secret: str, **form: str) -> requests.Response:
        return requests.post(f"{self.url}{path}", data=form, auth=("photos", secret), timeout=PATIENCE)

    def token(self, secret: str, **form: str) -> dict[str, Any]:
        response = self.post("/oauth/token", secret, **form)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def redeem(self, secret: str, code: str) -> dict[str, Any]:
        return self.token(secret, grant_type="authorization_code", code=code, redirect_uri=CALLBACK)

    def call(self, token: str) -> requests.Response:
        return requests.get(f"{self.url}/api/me", headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE)


@pytest.fixture
def moved(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Moved]:
    """The example that a test names."""
    ignored = shutil.ignore_patterns("instance", "__pycache__")
    shutil.copytree(EXAMPLES / request.param, tmp_path / request.param, ignore=ignored)
    with Browser() as browser:
        yield Moved(tmp_path / request.param, browser)


def walk(moved: Moved, scope: str, secret: str) -> None:
    """All that a client does: code, token, call, refresh, revocation, and what it is refused."""
    assert moved.ask(scope, "bob", "Deny")["error"] == "access_denied"
    with Browser() as moved.browser:
        code = moved.ask(scope, "cyd")["code"]
    assert moved.post("/oauth/token", "wrong", grant_type="authorization_code", code=code).status_code == 401
    token = moved.redeem(secret, code)
    assert moved.call(token["access_token"]).json()["username"] == "cyd"
    fresh = moved.token(secret, grant_type="refresh_token", refresh_token=token["refresh_token"])
    assert moved.call(fresh["access_token"]).json()["username"] == "cyd"
    assert moved.call("made-up").status_code == 401
    assert moved.post("/oauth/revoke", secret, token=fresh["refresh_token"]).status_code == 200
    assert moved.call(fresh["access_token"]).status_code == 401
    refused = moved.post("/oauth/token", secret, grant_type="refresh_token", refresh_token=fresh["refresh_token"])
    assert refused.json()["error"] == "invalid_grant"
    again = moved.post("/oauth/token", secret, grant_type="authorization_code", code=code, redirect_uri=CALLBACK)
    assert again.json()["error"] == "invalid_grant"


@pytest.mark.parametrize("moved", ["from_flask_oauthlib"], indirect=True)
def test_from_flask_oauthlib(moved: Moved) -> None:
    moved.flask("oauth2", "routes")  # makes the tables, as before.py did
    moved.execute("INSERT INTO user (id, username) VALUES (1, 'ada')")
    moved.execute(
        "INSERT INTO token (client_id, user_id, token_type, access_token, refresh_token, expires, _scopes) "
        "VALUES ('photos', 1, 'Bearer', 'old-access', 'old-refresh', '2100-01-01 00:00:00.000000', 'email')"
    )
    secret = moved.secret("client")
    report = moved.run_import("flask-oauthlib", "--in-place")
    assert (report["clients"]["already_there"], report["tokens"]["taken"]) == (1, 1)
    with serve(moved.folder, "app.py") as moved.url:
        assert moved.call("old-access").json() == {"username": "ada"}
        fresh = moved.token(secret, grant_type="refresh_token", refresh_token="old-refresh")
        assert moved.call(fresh["access_token"]).json() == {"username": "ada"}
        kept = moved.execute("SELECT access_token, user_id FROM token")
        assert len(kept) == 1, "the application's setter keeps one token of each user"
        assert kept[0][0] not in (fresh["access_token"], "old-access")
        assert moved.call(kept[0][0]).status_code == 401, "what it keeps opens nothing"
        assert moved.call("old-access").status_code == 401, "it took the other one away"
        walk(moved, "email", secret)
        assert moved.call(fresh["access_token"]).status_code == 200
        moved.execute("DELETE FROM token")
        assert moved.call(fresh["access_token"]).status_code == 401, "so it revokes"


@pytest.mark.parametrize("moved", ["from_authlib"], indirect=True)
def test_from_authlib(moved: Moved) -> None:
    with serve(moved.folder, "before.py") as moved.url:
        secret = moved.secret("oauth2_client")
        old = moved.redeem(secret, moved.ask("profile", "ada")["code"])
        ended = moved.redeem(secret, moved.ask("profile", "ada")["code"])
        assert moved.post("/oauth/revoke", secret, token=ended["refresh_token"]).status_code == 200
        assert moved.call(old["access_token"]).json()["username"] == "ada"
        assert moved.call(ended["access_token"]).status_code == 401
    report = moved.run_import("authlib", "--no-pkce")
    assert (report["clients"]["taken"], report["tokens"]["taken"], report["tokens"]["ended"]) == (1, 1, 1)
    assert secret not in str(moved.execute("SELECT * FROM provider_client"))
    with Browser() as moved.browser, serve(moved.folder, "app.py") as moved.url:
        assert moved.call(old["access_token"]).json()["username"] == "ada"
        assert moved.call(ended["access_token"]).status_code == 401
        fresh = moved.token(secret, grant_type="refresh_token", refresh_token=old["refresh_token"])
        assert moved.call(fresh["access_token"]).json()["username"] == "ada"
        walk(moved, "profile", secret)
