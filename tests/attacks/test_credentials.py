"""Credentials have the grammar of RFC 6749 appendix A, wherever they come from."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from flask_oauth2.clients.secrets import hash_secret, import_hash, is_secret
from oauth_site import Site

NewSite = Callable[..., Site]

SECRET = "a chosen secret"

EQUAL_AFTER_ALL = [
    f"{SECRET}\0",
    f"{SECRET}\0\0\0",
    f"{SECRET}\x7f",
    f"{SECRET}\n",
    f"\t{SECRET}",
    f"{SECRET}\u200b",
    f"\ufeff{SECRET}",
    SECRET.replace("e", "\u0435"),
    SECRET.replace("s", "\uff53"),
]
"""A password hash pads with NULs; people, databases and normalisation take others for the same."""


def basic(client_id: str, secret: str) -> dict[str, str]:
    inner = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return {"Authorization": f"Basic {base64.b64encode(inner.encode()).decode()}"}


@pytest.mark.parametrize("secret", EQUAL_AFTER_ALL)
@pytest.mark.spec("rfc6749", "2.3.1")
def test_a_secret_with_other_characters_is_no_secret(site: Site, secret: str) -> None:
    site.add_client("web", SECRET)
    form = {"grant_type": "client_credentials"}
    answers = [
        site.http.post("/oauth/token", data=form, headers=basic("web", secret)),
        site.http.post("/oauth/token", data={**form, "client_id": "web", "client_secret": secret}),
    ]
    assert {answer.status_code for answer in answers} <= {400, 401}
    assert {answer.get_json()["error"] for answer in answers} <= {"invalid_client", "invalid_request"}
    assert not is_secret(secret, hash_secret(SECRET))
    assert site.http.post("/oauth/token", data=form, headers=basic("web", SECRET)).status_code == 200
    assert site.http.post("/oauth/token", data={**form, "client_id": "web", "client_secret": SECRET}).status_code == 200


@pytest.mark.parametrize(
    "raw", [b"web:a chosen secret\0", b"web:a chosen secret%00", b"web\0:a chosen secret", b"\xe9:x"]
)
@pytest.mark.spec("rfc6749", "2.3.1")
def test_nor_are_they_taken_as_octets(site: Site, raw: bytes) -> None:
    site.add_client("web", SECRET)
    header = {"Authorization": b"Basic " + base64.b64encode(raw)}
    answer = site.http.post("/oauth/token", data={"grant_type": "client_credentials"}, headers=header)  # type: ignore[arg-type]
    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("origin", [None, "https://spa.example"])
@pytest.mark.parametrize(
    "header", ["Basic \xe9", "Basic w6k=", "Basic \xff\xfe", "Basic =", "Basic", "basic  ", "Basic Og=="]
)
@pytest.mark.spec("rfc6749", "2.3.1")
def test_a_malformed_header_is_an_invalid_client(
    site: Site, header: str, origin: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "flask_oauth2.audit")
    environ = {"HTTP_AUTHORIZATION": header, **({"HTTP_ORIGIN": origin} if origin else {})}
    answer = site.http.post("/oauth/token", data={"grant_type": "client_credentials"}, environ_base=environ)
    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client")
    assert "request_refused" in caplog.text


@pytest.mark.parametrize("secret", [SECRET, "it's 100% a+b & c=d: ~", "~" * 80, "x" * 65, " "])
@pytest.mark.spec("rfc6749", "2.3.1")
def test_every_printable_character_may_be_in_one(site: Site, secret: str) -> None:
    site.add_client("web", secret)
    form = {"grant_type": "client_credentials"}
    assert site.http.post("/oauth/token", data=form, headers=basic("web", secret)).status_code == 200
    assert site.http.post("/oauth/token", data={**form, "client_id": "web", "client_secret": secret}).status_code == 200


@pytest.mark.parametrize("secret", EQUAL_AFTER_ALL)
def test_none_is_made_of_other_characters(secret: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        hash_secret(secret)
    with pytest.raises(ValueError, match="printable ASCII"):
        import_hash(secret)


@pytest.mark.parametrize("client_id", ["web\0", "web\n", "wéb", "\uff57eb", "web\u200b"])
@pytest.mark.spec("rfc6749", "2.2")
def test_a_client_id_with_other_characters_names_no_client(new_site: NewSite, client_id: str) -> None:
    """The application's own database may take it for another: it is not asked."""
    site, asked = new_site(), []
    site.provider.clientgetter(asked.append)
    form = {"grant_type": "client_credentials"}
    headers = {**basic(client_id, "x"), "Origin": "https://spa.example"}
    assert site.http.post("/oauth/token", data=form, headers=headers).status_code in (400, 401)
    assert site.token("client_credentials", client_id=client_id).status_code in (400, 401)
    site.sign_in()
    assert site.ask(client_id=client_id).status_code == 400
    assert asked == []


@pytest.mark.parametrize("sent", [f"{SECRET}\0", "\ud800", f"{SECRET}\n", "", 7, None])
@pytest.mark.spec("rfc7592", "2.2")
def test_a_secret_in_json_has_the_same_grammar(new_site: NewSite, sent: Any) -> None:
    site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_DEFAULT_SCOPE="profile")
    made = site.http.post("/oauth/register", json={"redirect_uris": ["https://a.example/cb"]}).get_json()
    site.change_client(made["client_id"], secret=hash_secret(SECRET))

    def change(secret: Any) -> Any:
        members = {"client_id": made["client_id"], "redirect_uris": ["https://a.example/cb"], "client_secret": secret}
        return site.http.put(
            f"/oauth/register/{made['client_id']}",
            data=json.dumps(members),
            content_type="application/json",
            headers={"Authorization": f"Bearer {made['registration_access_token']}"},
        )

    is_left_out = sent is None
    assert change(sent).status_code == (200 if is_left_out else 400)
    assert change(SECRET).status_code == 200


@pytest.mark.parametrize("username", ["ada\0", "ada\r\n", "ada\x7f"])
@pytest.mark.parametrize("field", ["username", "password"])
@pytest.mark.spec("rfc6749", "4.3.2")
def test_names_and_passwords_hold_no_control_characters(new_site: NewSite, field: str, username: str) -> None:
    site, asked = new_site(OAUTH2_GRANT_TYPES=["password"]), []

    @site.provider.usergetter
    def check(username: str, password: str, *_: Any) -> str:
        asked.append(username)
        return "ada"

    secret = site.add_client()
    good = {"username": "ädä\tλ 😀", "password": "geheim ☕"}
    answer = site.token("password", ("web", secret), **{**good, field: username})
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_request")
    assert asked == []
    assert site.token("password", ("web", secret), **good).status_code == 200
    assert asked == ["ädä\tλ 😀"]
