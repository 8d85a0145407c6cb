"""The device authorization endpoint."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from devices import Device, Person, add_device_client

from flask_oauth2 import ConfigurationError, MemoryStore, TokenGrant, signals, values
from flask_oauth2.grants import user_codes
from flask_oauth2.settings import DEVICE_CODE
from oauth_site import NOW, Site

GRANTS = ["authorization_code", "device_code", "refresh_token"]


@pytest.fixture
def site(new_site: Any) -> Site:
    site: Site = new_site(OAUTH2_GRANT_TYPES=GRANTS)
    add_device_client(site)
    return site


def ask(site: Site, auth: Any = None, **form: str) -> tuple[int, str]:
    answer = site.post("/device_authorization", auth, **form)
    return answer.status_code, answer.get_json().get("error", "")


@pytest.mark.spec("rfc8628", "3.1")
@pytest.mark.spec("rfc8628", "3.2")
def test_a_device_receives_its_codes_and_the_verification_uri(site: Site) -> None:
    answer = site.post("/device_authorization", client_id="tv", scope="profile")
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    members = answer.get_json()
    assert list(members) == [
        "device_code",
        "user_code",
        "verification_uri",
        "verification_uri_complete",
        "expires_in",
        "interval",
    ]
    assert re.fullmatch("odc_[A-Za-z0-9_-]{50}", members["device_code"])
    assert re.fullmatch("[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", members["user_code"])
    assert members["verification_uri"] == "https://login.example/oauth/device"
    assert (
        members["verification_uri_complete"] == f"https://login.example/oauth/device?user_code={members['user_code']}"
    )
    assert (members["expires_in"], members["interval"]) == (600, 5)


@pytest.mark.spec("rfc8628", "3.2")
@pytest.mark.parametrize("host", ["evil.example", "login.example"])
def test_the_verification_uri_ignores_the_host_header(site: Site, host: str) -> None:
    answer = site.http.post("/oauth/device_authorization", data={"client_id": "tv"}, headers={"Host": host})
    assert answer.get_json()["verification_uri"] == "https://login.example/oauth/device"


@pytest.mark.spec("rfc8628", "3.2")
def test_the_lifetime_and_the_interval_are_configurable(new_site: Any) -> None:
    site = new_site(OAUTH2_GRANT_TYPES=GRANTS, OAUTH2_DEVICE_CODE_LIFETIME=900, OAUTH2_DEVICE_INTERVAL=9)
    add_device_client(site)
    device = Device(site)
    assert (device.answer["expires_in"], device.answer["interval"]) == (900, 9)
    assert device.error() == "authorization_pending"
    site.clock.forward(8)
    assert device.error() == "slow_down"


@pytest.mark.spec("rfc8628", "3.1")
def test_a_request_without_a_known_client_is_rejected(site: Site) -> None:
    assert ask(site) == (401, "invalid_client")
    assert ask(site, client_id="nobody") == (401, "invalid_client")
    assert ask(site, client_id="tv") == (200, "")


@pytest.mark.spec("rfc8628", "3.1")
def test_a_client_with_a_secret_authenticates(site: Site) -> None:
    secret = add_device_client(site, "box", "generated")
    assert ask(site, client_id="box") == (401, "invalid_client")
    assert ask(site, ("box", "wrong")) == (401, "invalid_client")
    assert ask(site, ("box", secret)) == (200, "")
    assert ask(site, client_id="box", client_secret=secret) == (200, "")


@pytest.mark.spec("rfc8628", "3.1")
def test_parameters_follow_the_rules_of_the_token_endpoint(site: Site) -> None:
    assert ask(site, client_id="tv", scope="", unknown="x") == (200, "")
    body = "client_id=tv&scope=profile&scope=mail"
    twice = site.http.post("/oauth/device_authorization", data=body, content_type="application/x-www-form-urlencoded")
    assert (twice.status_code, twice.get_json()["error"]) == (400, "invalid_request")
    assert site.http.get("/oauth/device_authorization").status_code == 405
    as_json = site.http.post("/oauth/device_authorization", json={"client_id": "tv"})
    assert (as_json.status_code, as_json.get_json()["error"]) == (400, "invalid_request")


@pytest.mark.spec("rfc8628", "3.1")
def test_an_authenticated_client_may_send_no_body(site: Site) -> None:
    secret = add_device_client(site, "box", "generated")
    path = "/oauth/device_authorization"
    assert site.http.post(path, auth=("box", secret)).status_code == 200
    assert site.http.post(path, auth=("box", secret), content_type="text/plain").status_code == 400
    chunked = {"Transfer-Encoding": "chunked"}
    assert site.http.post(path, auth=("box", secret), headers=chunked).status_code == 400


@pytest.mark.spec("rfc8628", "3.1")
def test_the_scope_is_verified_before_user_interaction(site: Site) -> None:
    assert ask(site, client_id="tv", scope="profile mail") == (200, "")
    assert ask(site, client_id="tv", scope="everything") == (400, "invalid_scope")


@pytest.mark.spec("rfc8628", "3.2")
def test_a_client_without_the_grant_is_rejected(site: Site) -> None:
    site.add_client("app", None)
    assert ask(site, client_id="app") == (400, "unauthorized_client")
    assert ask(site, client_id="tv") == (200, "")


@pytest.mark.spec("rfc8707", "2")
def test_a_device_may_request_a_resource(new_site: Any) -> None:
    site = new_site(OAUTH2_GRANT_TYPES=GRANTS)
    site.provider.protect_resource("/api", ["profile"], name="The films")
    site.provider.protect_resource("/files", ["profile"])
    add_device_client(site)
    api = "https://login.example/api"
    assert ask(site, client_id="tv", resource="https://login.example/unknown") == (400, "invalid_target")
    assert ask(site, client_id="tv", scope="profile") == (400, "invalid_target"), "several know the scope"
    device = Device(site, scope="profile", resource=api)
    asked = Person(site).type(device.user_code)
    assert re.search(f"<dd>The films . {api}</dd>", asked.text)
    person = Person(site)
    person.decide(device.user_code)
    assert device.poll(resource="https://login.example/files").get_json()["error"] == "invalid_target"
    token = device.poll().get_json()["access_token"]
    assert site.call(token).status_code == 200
    assert site.call(token, "/files").status_code == 401
    (consent,) = site.store.list_consents("ada")
    assert consent.by_resource == {api: ("profile",)}
    again = Device(site, scope="profile", resource="https://login.example/files")
    assert "You allowed Television before" not in Person(site).type(again.user_code).text
    once_more = Device(site, scope="profile", resource=api)
    assert "You allowed Television before" in Person(site).type(once_more.user_code).text


@pytest.mark.parametrize("origin", ["https://tv.example", "https://evil.example"])
def test_configured_cors_origins_may_request_device_codes(new_site: Any, origin: str) -> None:
    site = new_site(OAUTH2_GRANT_TYPES=GRANTS, OAUTH2_CORS_ORIGINS=["https://tv.example"])
    add_device_client(site)
    path, allowed = "/oauth/device_authorization", origin if "tv" in origin else None
    assert site.http.options(path, headers={"Origin": origin}).headers.get("Access-Control-Allow-Origin") == allowed
    answer = site.http.post(path, data={"client_id": "tv"}, headers={"Origin": origin})
    assert answer.headers.get("Access-Control-Allow-Origin") == allowed


def test_a_disabled_device_grant_is_unsupported(new_site: Any) -> None:
    site = new_site()
    add_device_client(site)
    assert ask(site, client_id="tv") == (400, "unsupported_grant_type")
    assert site.token(DEVICE_CODE, client_id="tv", device_code="x").get_json()["error"] == "unsupported_grant_type"
    page = site.browser.get("/oauth/device")
    assert page.status_code == 404
    assert "this site does not support devices" in page.text


def test_a_custom_device_grant_replaces_the_built_in_one(new_site: Any) -> None:
    """Ours is offered by the option alone, and not beside it."""
    site = new_site()
    site.provider.grant_type(DEVICE_CODE)(lambda request: TokenGrant(request.authorization("ada")))
    add_device_client(site)
    assert site.token(DEVICE_CODE, client_id="tv").status_code == 200
    assert ask(site, client_id="tv") == (400, "unsupported_grant_type")
    assert "device_authorization_endpoint" not in site.http.get("/.well-known/oauth-authorization-server").get_json()
    both = new_site(OAUTH2_GRANT_TYPES=GRANTS)
    both.provider.grant_type(DEVICE_CODE)(lambda request: TokenGrant(request.authorization("ada")))
    with pytest.raises(ConfigurationError, match="leave it to one of them"):
        both.http.get("/oauth/device")


@pytest.mark.spec("rfc8628", "4")
def test_the_metadata_names_the_endpoint_if_it_is_enabled(site: Site, new_site: Any) -> None:
    path = "/.well-known/oauth-authorization-server"
    members = site.http.get(path).get_json()
    assert members["device_authorization_endpoint"] == "https://login.example/oauth/device_authorization"
    assert "urn:ietf:params:oauth:grant-type:device_code" in members["grant_types_supported"]
    without = new_site().http.get(path).get_json()
    assert "device_authorization_endpoint" not in without
    assert DEVICE_CODE not in without["grant_types_supported"]


@pytest.mark.spec("rfc8628", "5.2")
def test_device_codes_and_user_codes_are_not_stored_or_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with signals.device_code_issued.connected_to(lambda sender, **what: found.append(what)):
        found: list[Any] = []
        device = Device(site, scope="profile")
    device.poll()
    Person(site).decide(device.user_code)
    device.poll()
    device.poll()
    assert found == [{"client_id": "tv", "scope": ("profile",), "issuer": "https://login.example"}]
    store = site.store
    kept = repr((store._grants, store._user_codes, store._counters)) + caplog.text
    letters = device.user_code.replace("-", "")
    for value in (device.answer["device_code"], device.user_code, letters):
        assert value not in kept
    assert values.key(letters) not in store._user_codes, "a digest of so few letters would be guessed"


@pytest.mark.spec("rfc8628", "6.1")
def test_a_user_code_in_use_is_generated_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(["BBBBBBBB", "BBBBBBBB", "CCCCCCCC"])
    monkeypatch.setattr(user_codes, "new", lambda: next(drawn))
    assert Device(site).user_code == "BBBB-BBBB"
    assert Device(site).user_code == "CCCC-CCCC"
    assert list(drawn) == []


@pytest.mark.spec("rfc8628", "6.1")
def test_repeated_user_code_conflicts_are_temporarily_unavailable(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_codes, "new", lambda: "BBBBBBBB")
    Device(site)
    answer = site.post("/device_authorization", client_id="tv")
    assert (answer.status_code, answer.get_json()["error"]) == (503, "temporarily_unavailable")
    assert answer.headers["Retry-After"] == "5"


def test_other_store_errors_are_raised(site: Site) -> None:
    class Broken(MemoryStore):
        def issue(self, *_: Any, **__: Any) -> bool:
            raise RuntimeError("no space")

    broken = Broken()
    broken.set_client(site.store.get_client("tv"))
    site.server.__dict__.update(store=broken)
    with pytest.raises(RuntimeError, match="no space"):
        site.post("/device_authorization", client_id="tv")


def test_a_store_without_device_codes_is_a_configuration_error(tmp_path: Any, new_site: Any) -> None:
    class Plain:
        def __init__(self) -> None:
            self._store = MemoryStore()

        def __getattr__(self, name: str) -> Any:
            if name in ("find_device", "decide", "poll"):
                raise AttributeError(name)
            return getattr(self._store, name)

    site = new_site(store=Plain(), OAUTH2_GRANT_TYPES=GRANTS)
    add_device_client(site)
    device = Device(site)
    with pytest.raises(ConfigurationError, match="DeviceStore"):
        device.poll()


def test_the_device_grant_requires_a_secret_key() -> None:
    from flask_oauth2.assembly import build
    from flask_oauth2.settings import Settings

    settings = Settings.load({"OAUTH2_GRANT_TYPES": ["device_code"]})
    with pytest.raises(ConfigurationError, match="SECRET_KEY"):
        build(settings, MemoryStore)
    keyed = Settings.load({"OAUTH2_GRANT_TYPES": ["device_code"], "SECRET_KEY": "x"})
    assert list(build(keyed, MemoryStore, clock=lambda: NOW).capabilities.grants) == [DEVICE_CODE]
