"""Guessing is counted by credential."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from flask_oauth2 import TemporarilyUnavailable, values
from flask_oauth2.clients.authentication.throttle import Attempt, network, spend_quota
from flask_oauth2.server import AuthorizationServer
from oauth_site import NOW, Site


@pytest.mark.spec("rfc6749", "2.3.1")
def test_wrong_secrets_end_in_429_and_begin_anew_in_the_next_window(site: Site) -> None:
    secret = site.add_client()
    wrong = values.new("ocs", values.timestamp(NOW))
    for _ in range(10):
        assert site.token("client_credentials", ("web", wrong)).status_code == 401
    answer = site.token("client_credentials", ("web", wrong))
    assert answer.status_code == 429
    assert answer.get_json()["error"] == "temporarily_unavailable"
    wait = int(answer.headers["Retry-After"])
    assert 0 < wait <= 300
    assert site.token("client_credentials", ("web", secret)).status_code == 200, "a digest is not guessed: no lock-out"
    site.clock.forward(wait)
    assert site.token("client_credentials", ("web", wrong)).status_code == 401


@pytest.mark.spec("rfc6749", "2.3.1")
def test_a_chosen_secret_is_locked_while_it_is_guessed(site: Site) -> None:
    site.add_client("web", "correct horse")
    for _ in range(11):
        assert site.token("client_credentials", ("web", "correct horse")).status_code == 200
    answers = [site.token("client_credentials", ("web", "wrong")).status_code for _ in range(11)]
    assert answers == [401] * 10 + [429]
    assert site.token("client_credentials", ("web", "correct horse")).status_code == 429
    site.clock.forward(300)
    assert site.token("client_credentials", ("web", "correct horse")).status_code == 200


def test_an_unknown_client_is_counted_like_a_known_one(site: Site) -> None:
    site.add_client("web", "correct horse")
    known = [site.token("client_credentials", ("web", "wrong")).status_code for _ in range(12)]
    unknown = [site.token("client_credentials", ("nobody", "wrong")).status_code for _ in range(12)]
    assert known == unknown


@pytest.mark.spec("rfc6749", "2.3.1")
def test_wrong_secrets_of_clients_that_are_not_there_are_counted_by_address(new_site: Callable[..., Site]) -> None:
    """Each costs a slow hash, whatever client_id somebody makes up."""
    site = new_site(OAUTH2_MAX_FAILED_ATTEMPTS=1)

    def guess(number: int, address: str = "192.0.2.1") -> int:
        form = {"grant_type": "client_credentials"}
        environ = {"REMOTE_ADDR": address}
        auth = (f"nobody{number}", "a guess")
        return site.http.post("/oauth/token", data=form, auth=auth, environ_overrides=environ).status_code

    assert [guess(number) for number in range(12)] == [401] * 10 + [429] * 2
    assert guess(12, "192.0.2.2") == 401


def from_address(site: Site, address: str, secret: str, client_id: str = "web") -> int:
    form, environ = {"grant_type": "client_credentials"}, {"REMOTE_ADDR": address}
    answer = site.http.post("/oauth/token", data=form, auth=(client_id, secret), environ_overrides=environ)
    return answer.status_code


@pytest.mark.spec("rfc6749", "2.3.1")
def test_guesses_from_one_network_lock_out_no_other(site: Site) -> None:
    site.add_client("web", "correct horse")
    guesses = [from_address(site, "192.0.2.1", f"guess {number}") for number in range(20)]
    assert guesses == [401] * 10 + [429] * 10
    assert from_address(site, "192.0.2.1", "correct horse") == 429
    assert from_address(site, "192.0.2.2", "correct horse") == 200
    assert from_address(site, "2001:db8::1", "correct horse") == 200


@pytest.mark.spec("rfc6749", "2.3.1")
def test_guesses_from_many_networks_count_together_at_last(new_site: Callable[..., Site]) -> None:
    site = new_site(OAUTH2_MAX_FAILED_ATTEMPTS=1)
    site.add_client("web", "correct horse")
    networks = [f"198.51.{number}.1" for number in range(101)]
    assert [from_address(site, network, "guess") for network in networks[:99]] == [401] * 99
    assert from_address(site, "192.0.2.2", "correct horse") == 200, "right ones do not count"
    assert [from_address(site, network, "guess") for network in networks[99:]] == [401, 429]
    assert from_address(site, "192.0.2.2", "correct horse") == 429


def is_refused(attempt: Callable[[], Attempt]) -> bool:
    try:
        attempt().withdraw()
    except TemporarilyUnavailable:
        return True
    return False


@pytest.mark.spec("rfc6749", "2.3.1")
def test_guesses_from_many_networks_at_one_credential_lock_out_no_other(new_site: Callable[..., Site]) -> None:
    server = new_site(OAUTH2_MAX_FAILED_ATTEMPTS=1).server
    for number in range(100):
        Attempt(server, "client_secret", "web", NOW, f"198.51.{number}.1").failed()
    assert is_refused(lambda: Attempt(server, "client_secret", "web", NOW, "192.0.2.1"))
    assert not is_refused(lambda: Attempt(server, "client_secret", "other", NOW, "192.0.2.1"))
    assert not is_refused(lambda: Attempt(server, "password", "web", NOW, "192.0.2.1"))


@pytest.mark.spec("rfc6749", "2.3.1")
def test_attempts_that_are_refused_do_not_count(new_site: Callable[..., Site]) -> None:
    """As of a client that makes many requests at once, all with the right secret."""
    server = new_site(OAUTH2_MAX_FAILED_ATTEMPTS=1).server
    in_flight = [Attempt(server, "client_secret", "web", NOW) for _ in range(5)]
    for _ in range(6):
        assert is_refused(lambda: Attempt(server, "client_secret", "web", NOW))
    for attempt in in_flight:
        attempt.withdraw()
    assert not is_refused(lambda: Attempt(server, "client_secret", "web", NOW))


def test_names_that_programs_send_are_compared_however_they_are_spelled(new_site: Callable[..., Site]) -> None:
    """People and user codes are named by the server itself, so there each spelling is another one."""
    server = new_site(OAUTH2_MAX_FAILED_ATTEMPTS=1).server
    Attempt(server, "password", "Ada", NOW).failed()
    Attempt(server, "user_code person", "Ada", NOW, is_guess=True).failed()
    assert is_refused(lambda: Attempt(server, "password", " ada", NOW))
    assert is_refused(lambda: Attempt(server, "user_code person", "Ada", NOW, is_guess=True))
    assert not is_refused(lambda: Attempt(server, "user_code person", "ada", NOW, is_guess=True))


def has_quota(server: AuthorizationServer, address: str, most: int = 20) -> bool:
    try:
        spend_quota(server, "things", most, NOW, address=address)
    except TemporarilyUnavailable:
        return False
    return True


def test_a_network_has_a_tenth_of_a_quota_until_half_is_used(new_site: Callable[..., Site]) -> None:
    server = new_site().server
    first_half = [has_quota(server, f"192.0.{number}.1") for number in range(5) for _ in range(3)]
    assert first_half == [True, True, False] * 5
    second_half = [has_quota(server, f"198.51.{number}.1") for number in range(10) for _ in range(2)]
    assert second_half == [True, False] * 10
    assert not has_quota(server, "203.0.113.1"), "all is used"


@pytest.mark.parametrize(
    ("address", "same", "other"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("::ffff:192.0.2.1", "::FFFF:192.0.2.1", "::ffff:192.0.2.2"),
        ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"),
        ("unix", "unix", ""),
    ],
)
def test_the_network_of_an_address(address: str, same: str, other: str) -> None:
    assert network(address) == network(same)
    assert network(address) != network(other)


def test_other_clients_are_not_touched(site: Site) -> None:
    site.add_client("web", "correct horse")
    site.add_client("other", "battery staple")
    for _ in range(12):
        site.token("client_credentials", ("web", "wrong"))
    assert site.token("client_credentials", ("other", "battery staple")).status_code == 200


def test_guesses_made_at_once_are_all_counted(site: Site) -> None:
    site.add_client("web", "correct horse")

    def guess(number: int) -> int:
        return (
            site.app.test_client()
            .post("/oauth/token", data={"grant_type": "client_credentials"}, auth=("web", f"guess {number}"))
            .status_code
        )

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(guess, range(24)))
    assert set(answers) == {401, 429}
    assert 10 <= answers.count(401) < 10 + 8, "at most those in flight beyond the limit"
    assert guess(99) == 429


def test_a_busy_client_is_not_in_its_own_way(site: Site) -> None:
    site.add_client("web", "correct horse")

    def ask(_: int) -> int:
        http = site.app.test_client()
        form = {"grant_type": "client_credentials"}
        return http.post("/oauth/token", data=form, auth=("web", "correct horse")).status_code

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(ask, range(40))) == {200}


@pytest.mark.parametrize("path", ["/revoke", "/introspect"])
def test_the_other_endpoints_count_too(site: Site, path: str) -> None:
    site.add_client("web", "correct horse")
    answers = [site.post(path, ("web", "wrong"), token="x").status_code for _ in range(11)]
    assert answers == [401] * 10 + [429]
