"""Import of tokens: users see and remove them among their connected applications."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from importing.tables import (
    SECRET,
    Mixed,
    Old,
    fill,
    in_seconds,
    mixed_client,
    mixed_token,
    old_client,
    old_token,
    read,
)

from flask_oauth2 import MemoryStore, values
from flask_oauth2.records import Consent, Grant, Token
from oauth_site import NOW, Site

Import = Callable[..., Any]
LIBRARY = "flask-oauthlib"
PAGE = "/oauth/applications"


@pytest.fixture(params=["memory", "sqlite"])
def any_site(request: pytest.FixtureRequest) -> Site:
    """An application with each store of the extension."""
    site: Site = request.getfixturevalue({"memory": "site", "sqlite": "sql_site"}[request.param])
    return site


def tickets(site: Site) -> list[str]:
    """Return the connected applications of the signed-in user."""
    page = site.browser.get(PAGE)
    assert page.status_code == 200, page.text
    return [unescape(ticket) for ticket in re.findall(r'name="ticket" value="([^"]+)"', page.text)]


def end(site: Site) -> None:
    """Submit the only form of the page."""
    (ticket,) = tickets(site)
    assert site.browser.post(PAGE, data={"ticket": ticket}).status_code == 303


@pytest.mark.spec("rfc6819", "5.1.3")
def test_users_see_and_remove_imported_clients(any_site: Site, old: str, run_import: Import) -> None:
    fill(
        old,
        Old,
        old_client(),
        old_client("other", name="Printer"),
        old_token(),
        old_token("mail-access", _scopes="mail profile"),
        old_token("graces-access", user_id=2),
        old_token("nobodys-access", user_id=None),
    )
    run_import(any_site, LIBRARY)
    any_site.sign_in("1")
    page = any_site.browser.get(PAGE)
    for shown in ("Photos", "See your name", "Read your mail"):
        assert shown in page.text
    assert "Printer" not in page.text, "it has no tokens"
    consent = any_site.store.get_consent("1", "web")
    assert (consent.scope, consent.granted_at, consent.used_at) == (("profile", "mail"), int(NOW), int(NOW))
    end(any_site)
    for ended in ("live", "mail"):
        assert not any_site.is_alive(f"{ended}-access")
        assert any_site.refresh(f"{ended}-refresh", SECRET).get_json()["error"] == "invalid_grant"
    for untouched in ("graces", "nobodys"):
        assert any_site.is_alive(f"{untouched}-access")
        assert any_site.refresh(f"{untouched}-refresh", SECRET).status_code == 200
    assert run_import(any_site, LIBRARY)["tokens"]["already_there"] == 4
    assert tickets(any_site) == []
    assert not any_site.is_alive("live-access")


def test_a_revocation_covers_tokens_issued_for_an_imported_token(any_site: Site, old: str, run_import: Import) -> None:
    fill(old, Mixed, mixed_client(), mixed_token())
    run_import(any_site, "authlib")
    fresh = any_site.refresh("live-refresh", SECRET).get_json()
    assert any_site.is_alive(fresh["access_token"])
    any_site.sign_in("1")
    end(any_site)
    assert not any_site.is_alive(fresh["access_token"])
    assert any_site.refresh(fresh["refresh_token"], SECRET).get_json()["error"] == "invalid_grant"


def test_an_existing_consent_is_extended(any_site: Site, old: str, run_import: Import) -> None:
    fill(old, Old, old_client())
    run_import(any_site, LIBRARY, "--no-pkce")
    any_site.sign_in("1")
    any_site.allow(any_site.ask(scope="profile"))
    first = any_site.store.get_consent("1", "web")
    any_site.clock.forward(60)
    fill(old, Old, old_token(_scopes="mail"))
    run_import(any_site, LIBRARY)
    wider = any_site.store.get_consent("1", "web")
    assert (wider.id, wider.granted_at, wider.scope) == (first.id, first.granted_at, ("profile", "mail"))
    assert wider.used_at == int(NOW) + 60
    end(any_site)
    assert not any_site.is_alive("live-access")


def test_a_dry_run_files_no_consent(any_site: Site, old: str, run_import: Import) -> None:
    fill(old, Old, old_client(), old_token())
    run_import(any_site, LIBRARY, "--dry-run")
    assert any_site.store.get_consent("1", "web") is None


def test_a_skipped_or_expired_token_adds_no_consent(any_site: Site, old: str, run_import: Import) -> None:
    fill(
        old,
        Old,
        old_client(),
        old_token("mac-access", token_type="mac"),
        old_token("dead-access", user_id=2, expires=in_seconds(-1), refresh_token=None),
    )
    run_import(any_site, LIBRARY, ends=1)
    assert [list(any_site.store.list_consents(user)) for user in ("1", "2")] == [[], []]


def test_a_store_that_remembers_no_consent(new_site: Callable[..., Site], old: str, run_import: Import) -> None:
    class Forgetful(MemoryStore):
        get_consent = None  # type: ignore[assignment]

    fill(old, Old, old_client(), old_token())
    site = new_site(store=Forgetful())
    assert run_import(site, LIBRARY)["tokens"]["taken"] == 1
    assert site.is_alive("live-access")


def test_a_concurrent_consent_is_not_overwritten(new_site: Callable[..., Site], old: str, run_import: Import) -> None:
    given = Consent(id="first", user_id="1", client_id="web", scope=("mail",), granted_at=1, used_at=1)

    class Busy(MemoryStore):
        """A store in which a user grants consent after each of the first reads."""

        meanwhile = [given, replace(given, scope=("files",))]

        def get_consent(self, user_id: str, client_id: str) -> Consent | None:
            found = super().get_consent(user_id, client_id)
            if self.meanwhile:
                assert self.set_consent(self.meanwhile.pop(0), found)
            return found

    fill(old, Old, old_client(), old_token())
    site = new_site(store=Busy())
    run_import(site, LIBRARY)
    consent = site.store.get_consent("1", "web")
    assert (consent.id, consent.scope, consent.granted_at) == ("first", ("files", "profile"), 1)
    site.store.delete_consent("1", "web", int(NOW) + 100)
    assert not site.is_alive("live-access")


def test_a_concurrent_withdrawal_revokes_imported_tokens(
    new_site: Callable[..., Site], old: str, run_import: Import
) -> None:
    class Busy(MemoryStore):
        """A store in which a user withdraws consent before the tokens are saved."""

        def issue(
            self, spend: Grant | Token | None, records: Iterable[Grant | Token], now: int, grace_period: int = 0
        ) -> bool:
            assert self.delete_consent("1", "web", now + 100)
            return super().issue(spend, records, now, grace_period)

    fill(old, Old, old_client(), old_token(), old_token("graces-access", user_id=2))
    site = new_site(store=Busy())
    run_import(site, LIBRARY)
    assert not site.is_alive("live-access")
    assert site.is_alive("graces-access")


def test_a_token_that_is_access_and_refresh_token_is_skipped(any_site: Site, old: str, run_import: Import) -> None:
    fill(old, Old, old_client(), old_token("both", refresh_token="both"), old_token())
    report = run_import(any_site, LIBRARY, ends=1)
    assert [(finding["id"], finding["reason"]) for finding in report["left"]] == [
        ("1", "its access_token and its refresh_token are the same")
    ]
    assert report["tokens"]["taken"] == 1
    assert any_site.is_alive("live-access")
    assert not any_site.is_alive("both")


def test_a_key_whose_token_was_forgotten_is_no_token(any_site: Site, old: str, run_import: Import) -> None:
    fill(old, Old, old_client(), old_token())
    run_import(any_site, LIBRARY, "--in-place")
    fresh = any_site.refresh("live-refresh", SECRET).get_json()
    keys = [values.text(values.key(value)) for value in (fresh["access_token"], fresh["refresh_token"])]
    fill(old, Old, old_token(keys[0], refresh_token=keys[1], expires=None))  # as a tokensetter files it
    assert run_import(any_site, LIBRARY)["tokens"]["already_there"] == 2
    any_site.clock.forward(61 * 86400)
    assert any_site.app.test_cli_runner().invoke(args=["oauth2", "purge"]).exit_code == 0
    fill(old, Old, old_token("z" * 50 + "w", refresh_token=None, expires=None))
    tokens = run_import(any_site, LIBRARY)["tokens"]
    assert (tokens["taken"], tokens["ended"]) == (1, 2)
    assert any_site.is_alive("z" * 50 + "w"), "which looks like the key of a day in a far future"
    assert not any_site.is_alive(keys[0])
    for key in (values.text(values.key("live-refresh")), keys[1]):
        assert any_site.refresh(key, SECRET).get_json()["error"] == "invalid_grant"


def test_a_refresh_token_of_spaces_is_absent(sql_site: Site, old: str, run_import: Import) -> None:
    fill(old, Old, old_client(), old_token(refresh_token="   "))
    assert run_import(sql_site, LIBRARY, "--in-place")["tokens"]["taken"] == 1
    assert read(old, "SELECT refresh_token FROM token") == [("   ",)]


def test_ids_with_spaces_around_them_are_the_same_without(any_site: Site, old: str, run_import: Import) -> None:
    fill(old, Old, old_client())
    fill(old, Old, old_token("live-access  ", client_id="web  ", user_id=" ada ", refresh_token="live-refresh  "))
    for taken in (1, 0):
        assert run_import(any_site, LIBRARY, "--in-place")["tokens"]["taken"] == taken
    assert any_site.call("live-access").get_json()["user"] == "ada"
    assert any_site.refresh("live-refresh", SECRET).status_code == 200
    assert any_site.store.get_consent("ada", "web") is not None
