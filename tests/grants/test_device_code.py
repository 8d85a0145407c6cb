"""The device authorization grant, from the codes to the tokens."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from devices import Device, Person, add_device_client

from flask_oauth2 import values
from flask_oauth2.settings import DEVICE_CODE
from flask_oauth2.stores.base import GRANT_MEMORY
from oauth_site import NOW, Site, StoreWithoutConsents, make_site

GRANTS = ["authorization_code", "device_code", "refresh_token"]


@pytest.fixture
def site(new_site: Any) -> Site:
    site: Site = new_site(OAUTH2_GRANT_TYPES=GRANTS)
    add_device_client(site)
    return site


@pytest.mark.spec("rfc8628", "3.4")
@pytest.mark.spec("rfc8628", "3.5")
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_device_code_is_exchanged_for_tokens_that_access_the_resource(
    tmp_path: Any, new_site: Any, kind: str
) -> None:
    site = new_site(OAUTH2_GRANT_TYPES=GRANTS) if kind == "memory" else make_site(tmp_path, OAUTH2_GRANT_TYPES=GRANTS)
    add_device_client(site)
    device = Device(site, scope="profile mail")
    assert device.error() == "authorization_pending"
    assert "Television" in Person(site).decide(device.user_code).text
    answer = device.poll()
    assert answer.headers["Cache-Control"] == "no-store"
    tokens = answer.get_json()
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 3600, "profile mail")
    me = site.call(tokens["access_token"]).get_json()
    assert me == {"user": "ada", "client": "tv", "scope": ["profile", "mail"]}
    assert site.is_alive(site.refresh(tokens["refresh_token"], client_id="tv").get_json()["access_token"])
    if kind == "sqlite":
        site.store.engine.dispose()


@pytest.mark.spec("rfc8628", "3.5")
def test_a_client_without_the_refresh_grant_receives_no_refresh_token(site: Site) -> None:
    site.change_client("tv", grant_types=(DEVICE_CODE,))
    device = Device(site)
    Person(site).decide(device.user_code)
    assert "refresh_token" not in device.poll().get_json()


@pytest.mark.spec("rfc8628", "3.5")
def test_a_denied_device_code_is_access_denied_at_every_poll(site: Site) -> None:
    device = Device(site)
    assert "You denied Television" in Person(site).decide(device.user_code, "deny").text
    assert [device.error() for _ in range(3)] == ["access_denied"] * 3


@pytest.mark.spec("rfc8628", "3.5")
def test_an_expired_code_is_expired_token_until_it_is_purged(site: Site) -> None:
    device = Device(site)
    site.clock.forward(599)
    assert device.error() == "authorization_pending"
    site.clock.forward(1)
    assert device.error() == "expired_token"
    site.clock.forward(GRANT_MEMORY - 1)
    list(site.store.purge(int(site.clock.now)))
    assert device.error() == "expired_token"
    site.clock.forward(1)
    list(site.store.purge(int(site.clock.now)))
    assert device.error() == "invalid_grant"


@pytest.mark.spec("rfc8628", "3.5")
@pytest.mark.parametrize(("seconds", "error"), [(599, None), (600, "expired_token")])
def test_an_approved_code_must_be_redeemed_before_it_expires(site: Site, seconds: int, error: str | None) -> None:
    device = Device(site)
    Person(site).decide(device.user_code)
    site.clock.forward(seconds)
    assert device.poll().get_json().get("error") == error


@pytest.mark.spec("rfc8628", "3.5")
def test_polling_too_soon_increases_the_interval(site: Site) -> None:
    device = Device(site)
    assert device.error() == "authorization_pending"
    site.clock.forward(4)
    assert device.error() == "slow_down"  # ten seconds now
    site.clock.forward(9)
    assert device.error() == "slow_down"  # fifteen
    site.clock.forward(15)
    assert device.error() == "authorization_pending"
    site.clock.forward(14)
    assert device.error() == "slow_down"  # twenty: it is never forgotten
    site.clock.forward(20)
    assert device.error() == "authorization_pending"
    other = Device(site)
    assert other.error() == "authorization_pending"
    site.clock.forward(5)
    assert other.error() == "authorization_pending"


@pytest.mark.spec("rfc8628", "3.5")
def test_polling_at_the_interval_is_never_slow_down(site: Site) -> None:
    device = Device(site)
    for _ in range(10):
        assert device.error() == "authorization_pending"
        site.clock.forward(5)


@pytest.mark.spec("rfc8628", "3.5")
def test_a_decided_code_is_never_slow_down(site: Site) -> None:
    """ "slow_down" is for what is pending still."""
    device = Device(site)
    device.poll()
    Person(site).decide(device.user_code)
    assert device.poll().status_code == 200


@pytest.mark.spec("rfc8628", "3.4")
def test_a_device_code_of_another_client_is_invalid_grant_and_remains_valid(site: Site) -> None:
    add_device_client(site, "box")
    device = Device(site)
    Person(site).decide(device.user_code)
    answer = device.poll(client_id="box")
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_grant")
    assert device.poll().status_code == 200


@pytest.mark.spec("rfc8628", "3.5")
def test_another_client_does_not_slow_a_device_down(site: Site) -> None:
    add_device_client(site, "box")
    device = Device(site)
    for _ in range(3):
        assert device.poll(client_id="box").get_json()["error"] == "invalid_grant"
    assert device.error() == "authorization_pending"


@pytest.mark.spec("rfc8628", "3.4")
@pytest.mark.parametrize("value", ["odc_nonsense", "nonsense", "é", "a" * 5000])
def test_an_unknown_code_is_invalid(site: Site, value: str) -> None:
    Device(site)
    answer = site.token(DEVICE_CODE, client_id="tv", device_code=value)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_grant")


@pytest.mark.spec("rfc8628", "3.4")
def test_a_request_without_required_parameters_is_invalid_request(site: Site) -> None:
    device = Device(site)
    assert site.token(DEVICE_CODE, client_id="tv").get_json()["error"] == "invalid_request"
    assert device.poll(client_id=None).get_json()["error"] == "invalid_client"
    assert site.token("device_code", client_id="tv", device_code="x").get_json()["error"] == "unsupported_grant_type"


@pytest.mark.spec("rfc8628", "3.4")
def test_a_code_of_another_kind_is_invalid_grant(site: Site) -> None:
    site.add_client("web", None, grant_types=("authorization_code", DEVICE_CODE))
    code = site.authorize()["code"]
    answer = site.token(DEVICE_CODE, client_id="web", device_code=code)
    assert answer.get_json()["error"] == "invalid_grant"
    device = Device(site, "web")
    answer = site.redeem(device.answer["device_code"], client_id="web")
    assert answer.get_json()["error"] == "invalid_grant"
    assert site.redeem(code, client_id="web").status_code == 200


@pytest.mark.spec("rfc8628", "3.4")
def test_a_confidential_client_authenticates_at_every_poll(site: Site) -> None:
    secret = add_device_client(site, "box", "generated")
    device = Device(site, auth=("box", secret))
    Person(site).decide(device.user_code)
    assert site.token(DEVICE_CODE, client_id="box", device_code=device.answer["device_code"]).status_code == 401
    assert device.poll().status_code == 200


@pytest.mark.spec("rfc8628", "3.5")
def test_a_replay_of_a_device_code_revokes_its_tokens(site: Site) -> None:
    device = Device(site)
    Person(site).decide(device.user_code)
    tokens = device.poll().get_json()
    assert device.error() == "invalid_grant"
    assert site.is_alive(tokens["access_token"]), "it may have lost the answer"
    site.clock.forward(5)
    assert device.error() == "invalid_grant"
    assert not site.is_alive(tokens["access_token"])
    assert site.refresh(tokens["refresh_token"], client_id="tv").get_json()["error"] == "invalid_grant"
    assert device.error() == "invalid_grant"


def test_a_replay_after_the_expiry_revokes_the_tokens(site: Site) -> None:
    device = Device(site)
    Person(site).decide(device.user_code)
    tokens = device.poll().get_json()
    site.clock.forward(700)
    assert site.is_alive(tokens["access_token"])
    assert device.error() == "invalid_grant"
    assert not site.is_alive(tokens["access_token"])


@pytest.mark.spec("rfc6749", "4.1.2")
def test_an_unknown_token_format_does_not_consume_the_code(site: Site) -> None:
    device = Device(site)
    Person(site).decide(device.user_code)
    site.change_client("tv", token_format="gone")
    assert device.error() == "unauthorized_client"
    site.change_client("tv", token_format=None)
    assert device.poll().status_code == 200


def test_a_client_that_loses_the_grant_receives_no_tokens(site: Site) -> None:
    device = Device(site)
    Person(site).decide(device.user_code)
    site.change_client("tv", grant_types=("refresh_token",))
    assert device.error() == "unauthorized_client"


def test_deleting_the_client_revokes_its_device_codes(site: Site) -> None:
    device = Device(site)
    Person(site).decide(device.user_code)
    site.store.delete_client("tv", int(NOW) + 10**7)
    add_device_client(site)
    assert device.error() == "invalid_grant"


@pytest.mark.spec("rfc6819", "5.1.3")
def test_withdrawing_the_consent_revokes_an_approved_code(site: Site) -> None:
    device, person = Device(site), Person(site)
    person.decide(device.user_code)
    page = person.browser.get("/oauth/applications")
    assert "Television" in page.text
    from devices import ticket_of

    person.browser.post("/oauth/applications", data={"ticket": ticket_of(page)})
    assert device.error() == "invalid_grant"


def test_pending_polls_are_not_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "flask_oauth2")
    device = Device(site)
    caplog.clear()
    device.poll()
    assert caplog.records == []
    device.poll()
    refused = [record for record in caplog.records if record.name == "flask_oauth2"]
    assert [record.levelname for record in refused] == ["INFO"]
    assert "interval seconds" in caplog.text


def test_a_store_without_consents_is_supported(new_site: Any) -> None:
    class DeviceStoreWithoutConsents(StoreWithoutConsents):
        pass

    site = new_site(store=DeviceStoreWithoutConsents(), OAUTH2_GRANT_TYPES=GRANTS)
    add_device_client(site)
    device = Device(site)
    page = Person(site).decide(device.user_code)
    assert "Connected applications" not in page.text
    tokens = device.poll().get_json()
    assert site.store.get_access(values.key(tokens["access_token"])).consent_id is None


@pytest.mark.parametrize("changes", [1, 99])
def test_concurrent_polls_are_slow_down(site: Site, changes: int) -> None:
    """The store says that another poll was noted between our reading and our writing."""
    device = Device(site)
    devices, poll = site.server.devices, site.server.devices.poll
    left = [changes]

    def disturbed(grant: Any, now: int, interval: int) -> bool:
        if left[0]:
            left[0] -= 1
            poll(grant, now, interval)
        return bool(poll(grant, now, interval))

    devices.poll = disturbed
    assert device.error() == "slow_down"
    devices.poll = poll
    site.clock.forward(9)
    assert device.error() == "slow_down"


def test_a_code_deleted_during_a_poll_is_slow_down(site: Site) -> None:
    device = Device(site)
    devices = site.server.devices

    def vanishing(grant: Any, now: int, interval: int) -> bool:
        devices._grants.clear()
        return False

    devices.poll = vanishing
    assert device.error() == "slow_down"


def test_scopes_denied_after_the_approval_are_not_granted(site: Site) -> None:
    device = Device(site, scope="profile mail")
    Person(site).decide(device.user_code)
    site.change_client("tv", scope=("profile",), denied={"scope": ("mail",)})
    assert device.poll().get_json()["scope"] == "profile"
