"""Errors name the hint: in the log always, on the page in debug mode, to strangers never."""

from __future__ import annotations

import re
import subprocess
from html import unescape
from typing import Any

import pytest

from flask_oauth2 import hash_secret, values
from oauth_site import CHALLENGE, VERIFIER, Site, answer_of


def hint(caplog: pytest.LogCaptureFixture) -> str:
    """What the last line of the log says that can be done."""
    found = re.findall(r"; hint: (.*)", caplog.text.rstrip().rpartition("WARNING")[2])
    assert found, caplog.text
    return str(found[0])


@pytest.fixture
def quiet(new_site: Any) -> Site:
    """A site that is reached by its issuer's name, so that nothing else is wrong."""
    site: Site = new_site(OAUTH2_ISSUER="http://localhost")
    return site


@pytest.mark.parametrize("kind", ["generated", "chosen", "elsewhere"])
def test_a_secret_that_looks_like_a_stored_hash(quiet: Site, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    secret = quiet.add_client()
    kept = {"generated": hash_secret(secret), "chosen": hash_secret("a secret of a person"), "elsewhere": "$2b$12$abc"}
    quiet.token("client_credentials", ("web", kept[kind]))
    assert "not the stored hash of it; flask oauth2 client rotate-secret web generates a new one" in hint(caplog)
    assert kept[kind] not in caplog.text
    caplog.clear()
    quiet.token("client_credentials", ("web", "x" * 30))
    assert "correct the secret in the configuration of the client" in hint(caplog)
    assert "received 'a wrong secret'" in caplog.text
    assert "client 'web'" in caplog.text


def test_an_unknown_client_is_no_wrong_secret(quiet: Site, caplog: pytest.LogCaptureFixture) -> None:
    quiet.token("client_credentials", ("nobody", "x" * 30))
    assert "received 'unknown client_id nobody'" in caplog.text
    assert "a wrong secret" not in caplog.text
    assert "register the client with flask oauth2 client create" in hint(caplog)


REFRESH = {
    "another kind": ("access_token", "a value of the kind access token", "not the access token"),
    "of another server": ("ey.of.another", "is not a refresh token of this server", "that this server has issued"),
    "cut": ("cut", "truncated or altered", "store values of any length"),
    "revoked": ("revoked", "is revoked or too old", "let the user authorize the client again"),
    "unknown": ("unknown", "not in the database", "OAUTH2_DATABASE_URI"),
}


@pytest.mark.parametrize(("kind", "received", "fix"), REFRESH.values(), ids=REFRESH)
@pytest.mark.parametrize("has_table", [False, True], ids=["memory", "sql"])
def test_each_bad_refresh_token_has_its_own_line(
    site: Site, sql_site: Site, kind: str, received: str, fix: str, has_table: bool, caplog: pytest.LogCaptureFixture
) -> None:
    site = sql_site if has_table else site
    secret = site.add_client()
    tokens = site.tokens(secret)
    bad = {
        "access_token": tokens["access_token"],
        "cut": tokens["refresh_token"][:-1],
        "revoked": tokens["refresh_token"],
        "unknown": values.new("ort", values.timestamp(site.clock())),
    }.get(kind, kind)
    if kind == "revoked":
        site.post("/revoke", ("web", secret), token=bad)
    caplog.clear()
    answer = site.refresh(bad, secret).get_json()
    assert answer["error_description"] == "the refresh token is unknown, revoked or too old"
    line = caplog.messages[-1]
    assert "client 'web'" in line
    assert received in line
    assert fix in line
    assert bad not in line


def test_each_line_of_invalid_grant_names_the_client_and_the_fix(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    secret, other = site.add_client(), site.add_client("other")
    code = site.authorize()["code"]
    caplog.clear()
    site.redeem(code, ("other", other))
    site.redeem("oac_nonsense", ("web", secret))
    site.redeem(code, ("web", secret), redirect_uri="https://client.example/other")
    site.redeem(code, ("web", secret), code_verifier="x" * 43)
    site.clock.forward(600)
    site.redeem(code, ("web", secret))
    lines = [message for message in caplog.messages if message.startswith("invalid_grant")]
    assert len(lines) == 5
    assert [("client 'other'" in line, "client 'web'" in line) for line in lines] == [(True, False)] + [
        (False, True)
    ] * 4
    assert all("hint: " in line for line in lines)
    assert "received 'a code of client web'" in lines[0]


@pytest.mark.parametrize(
    ("uri", "difference"),
    [
        ("https://client.example/back/", "a slash at the end"),
        ("https://client.example:8443/back", "its port; only loopback URIs"),
        ("http://client.example/back", "its scheme"),
        ("https://client.example/BACK", "upper and lower case"),
        ("https://client.example/back?x=1", "its query"),
        ("https://www.client.example/back", "its host"),
    ],
)
def test_a_redirect_uri_that_differs_a_little(
    quiet: Site, uri: str, difference: str, caplog: pytest.LogCaptureFixture
) -> None:
    quiet.add_client(redirect_uris=("https://client.example/back",))
    assert quiet.ask(redirect_uri=uri).status_code == 400
    assert f"differs from https://client.example/back by {difference}" in hint(caplog)


@pytest.mark.parametrize(
    "uri", ["https://evil.example/other", "https://client.example/other", "nonsense", "https://[::1"]
)
def test_a_redirect_uri_that_is_another(quiet: Site, uri: str, caplog: pytest.LogCaptureFixture) -> None:
    quiet.add_client(redirect_uris=("https://client.example/back",))
    quiet.ask(redirect_uri=uri)
    assert hint(caplog).startswith("register it: flask oauth2 client update web --redirect-uri")


def test_pkce_that_is_missing(quiet: Site, caplog: pytest.LogCaptureFixture) -> None:
    quiet.add_client()
    quiet.sign_in()
    quiet.ask(code_challenge=None, code_challenge_method=None)
    assert "--no-pkce" in hint(caplog)
    quiet.add_client("public", None)
    quiet.ask(client_id="public", code_challenge=None, code_challenge_method=None)
    assert "--no-pkce" not in hint(caplog)
    quiet.ask(code_challenge_method=None)
    assert "code_challenge_method=S256" in hint(caplog)


@pytest.mark.parametrize(
    ("challenge", "verifier", "said"),
    [
        (VERIFIER, VERIFIER, "code_verifier itself as code_challenge (plain)"),
        (VERIFIER, CHALLENGE, "swapped the two"),
        (CHALLENGE, "x" * 43, "generate a verifier for each authorization request"),
        (CHALLENGE, None, "store the verifier"),
    ],
)
def test_pkce_that_does_not_match(
    quiet: Site, challenge: str, verifier: str | None, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = quiet.add_client()
    code = quiet.authorize(code_challenge=challenge)["code"]
    assert quiet.redeem(code, ("web", secret), code_verifier=verifier).get_json()["error"] == "invalid_grant"
    assert said in hint(caplog)
    assert VERIFIER not in caplog.text


def test_a_client_that_may_not_use_the_grant(quiet: Site, caplog: pytest.LogCaptureFixture) -> None:
    secret = quiet.add_client(grant_types=("authorization_code",), response_types=("code",))
    quiet.token("client_credentials", ("web", secret))
    assert "client update web --grant-type authorization_code --grant-type client_credentials" in hint(caplog)
    quiet.token("password", ("web", secret))
    assert "add it to OAUTH2_GRANT_TYPES" in hint(caplog)


def test_a_client_that_authenticates_in_another_way(quiet: Site, caplog: pytest.LogCaptureFixture) -> None:
    quiet.add_client()
    quiet.token("client_credentials", client_id="web")
    assert "let the client authenticate with client_secret_basic" in hint(caplog)


def test_a_secret_of_a_client_that_is_said_to_be_public(quiet: Site, caplog: pytest.LogCaptureFixture) -> None:
    quiet.add_client(auth_method="none", secret=None)
    assert quiet.token("password", ("web", "x" * 40)).status_code == 401
    assert "the secret of a public client, which has none" in caplog.text
    assert "if it stores a secret, register it as confidential (is_confidential or client_type" in hint(caplog)


def test_a_scope_that_is_not_registered(quiet: Site, caplog: pytest.LogCaptureFixture) -> None:
    secret = quiet.add_client(scope=("profile",))
    quiet.token("client_credentials", ("web", secret), scope="profile write")
    assert "client update web --scope 'profile write'" in hint(caplog)
    quiet.token("client_credentials", ("web", secret), scope="profil")
    assert "add profil to OAUTH2_SCOPES, or correct" in hint(caplog)


@pytest.mark.parametrize("word", ["$(echo${IFS}pwned)", "`echo`", "a;b", "'$(echo)'"])
def test_what_a_stranger_has_sent_is_pasted_into_a_shell_as_text(
    new_site: Any, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The grammar of scopes allows it all, where the application does not say which there are."""
    site = new_site(OAUTH2_ISSUER="http://localhost", OAUTH2_SCOPES={})
    site.add_client("spa", None, scope=("profile",))
    site.sign_in()
    site.ask(client_id="spa", scope=word)
    command = hint(caplog).removeprefix("register the client for this scope: flask oauth2 client update spa --scope ")
    printed = subprocess.run(["sh", "-c", f"printf %s {command}"], capture_output=True, text=True, check=True)
    assert printed.stdout == f"profile {word}"


def test_a_cure_is_short_however_long_what_came_was(quiet: Site, caplog: pytest.LogCaptureFixture) -> None:
    quiet.add_client("spa", None)
    quiet.sign_in()
    form = {"client_id": "spa", "response_type": "code", "scope": "a" * 40_000}
    form |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    assert answer_of(quiet.browser.post("/oauth/authorize", data=form))["error"] == "invalid_scope"
    assert len(hint(caplog)) <= 1000
    assert max(map(len, caplog.messages)) < 3000


def test_a_response_type_that_is_not_registered(new_site: Any, caplog: pytest.LogCaptureFixture) -> None:
    site = new_site(OAUTH2_ISSUER="http://localhost", OAUTH2_GRANT_TYPES=["authorization_code", "implicit"])
    site.add_client(response_types=("code",))
    site.sign_in()
    site.ask(response_type="token")
    assert "client update web --response-type" in hint(caplog)


def test_https_that_a_proxy_has_ended(quiet: Site, caplog: pytest.LogCaptureFixture) -> None:
    page = quiet.browser.get("/oauth/authorize", headers={"X-Forwarded-Proto": "https"})
    assert page.status_code == 400
    assert "ProxyFix" in hint(caplog)
    caplog.clear()
    quiet.browser.get("/oauth/authorize")
    assert "ProxyFix" not in caplog.text


def test_an_issuer_that_is_not_where_requests_come(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.http.get("/oauth/authorize")
    assert "sent the request to the host 'localhost', but OAUTH2_ISSUER is https://login.example" in hint(caplog)
    caplog.clear()
    site.http.get("/oauth/authorize", headers={"Host": "LOGIN.example"})
    assert "hint" not in caplog.text
    site.http.get("/oauth/authorize", headers={"X-Forwarded-Host": "h" * 5000})
    assert len(hint(caplog)) < 400


def test_the_page_tells_developers_in_debug_mode_only(quiet: Site) -> None:
    quiet.add_client(redirect_uris=("https://client.example/back",))
    ask = {"redirect_uri": "https://client.example/back/"}
    assert "a slash at the end" not in quiet.ask(**ask).text
    quiet.app.debug = True
    page = unescape(quiet.ask(**ask).text)
    for said in ("a slash at the end", "rfc9700 2.1", "https://client.example/back/"):
        assert said in page


@pytest.mark.spec("rfc6749", "10.3")
def test_the_page_shows_developers_no_secret_either(quiet: Site) -> None:
    secret = quiet.add_client()
    quiet.app.debug = True
    page = quiet.ask(client_id=secret)
    assert page.status_code == 400
    assert secret not in page.text
    assert "ocs_" in page.text


def test_clients_are_told_no_cure(quiet: Site) -> None:
    secret = quiet.add_client(grant_types=("authorization_code",), response_types=("code",))
    quiet.app.debug = True
    answer = quiet.token("client_credentials", ("web", secret)).get_json()
    assert set(answer) == {"error", "error_description"}
    assert "flask oauth2" not in answer["error_description"]
    quiet.sign_in()
    assert set(answer_of(quiet.ask(scope="nonsense"))) == {"error", "error_description", "state", "iss", "shop"}
