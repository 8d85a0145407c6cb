"""Flask-Limiter before our endpoints and pages: what it refuses is answered as we do."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import flask
import pytest
from devices import PAGE, Person
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from werkzeug.exceptions import TooManyRequests

from flask_oauth2 import signals
from oauth_site import Site

TOKEN = "oauth2.token"


def limit(site: Site, **options: Any) -> Limiter:
    return Limiter(get_remote_address, app=site.app, storage_uri="memory://", **options)


def limit_view(site: Site, limiter: Limiter, text: str, endpoint: str) -> None:
    """As the documentation says."""
    site.app.view_functions[endpoint] = limiter.limit(text)(site.app.view_functions[endpoint])


def check_json(answer: Any) -> None:
    assert answer.status_code == 429
    assert answer.content_type == "application/json"
    members = answer.get_json()
    assert members == {"error": "temporarily_unavailable", "error_description": "too many requests"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert 0 < int(answer.headers["Retry-After"]) <= 60


@pytest.mark.spec("rfc6749", "5.2")
def test_one_endpoint_has_a_limit(site: Site) -> None:
    secret = site.add_client()
    limit_view(site, limit(site), "2 per minute", TOKEN)
    asked = [site.token("client_credentials", ("web", secret)) for _ in range(3)]
    assert [answer.status_code for answer in asked] == [200, 200, 429]
    check_json(asked[2])
    assert site.post("/revoke", ("web", secret), token="x").status_code == 200, "the others have none"
    assert site.browser.get("/oauth/applications").status_code == 303


def test_all_endpoints_have_one_each(site: Site) -> None:
    secret = site.add_client()
    limit(site).limit("1 per minute")(site.app.blueprints["oauth2"])
    assert site.token("client_credentials", ("web", secret)).status_code == 200
    check_json(site.token("client_credentials", ("web", secret)))
    assert site.post("/revoke", ("web", secret), token="x").status_code == 200
    check_json(site.post("/revoke", ("web", secret), token="x"))
    metadata = "/.well-known/oauth-authorization-server"
    assert site.http.get(metadata).status_code == 200
    check_json(site.http.get(metadata))


def test_the_limits_of_the_whole_application_hold_too(site: Site) -> None:
    secret = site.add_client()
    limit(site, default_limits=["1 per minute"], headers_enabled=True)
    assert site.token("client_credentials", ("web", secret)).status_code == 200
    answer = site.token("client_credentials", ("web", secret))
    check_json(answer)
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert answer.headers.getlist("Retry-After") == [answer.headers["Retry-After"]]
    html = [site.http.get("/login").status_code, site.http.get("/login")]
    assert html[0] == 200
    assert html[1].content_type.startswith("text/html"), "what is not ours is answered as ever"


@pytest.mark.parametrize("path", [PAGE, "/oauth/applications", "/oauth/authorize"])
def test_pages_are_refused_by_our_page(site: Site, path: str) -> None:
    limit(site).limit("1 per minute")(site.app.blueprints["oauth2"])
    person = Person(site)
    person.browser.get(path)
    page = person.browser.get(path)
    assert page.status_code == 429
    assert "Please try again in a moment." in page.text
    assert page.headers["X-Frame-Options"] == "DENY"
    assert 0 < int(page.headers["Retry-After"]) <= 60


def test_a_page_of_a_client_may_read_that_it_was_refused(site: Site) -> None:
    site.add_client("page", None)
    limit(site).limit("1 per minute")(site.app.blueprints["oauth2"])
    for origin, allowed in (("https://client.example", "https://client.example"), ("https://evil.example", None)):
        for _ in range(2):
            answer = site.http.post("/oauth/token", data={"client_id": "page"}, headers={"Origin": origin})
        check_json(answer)
        assert answer.headers.get("Access-Control-Allow-Origin") == allowed


def test_one_view_is_exempt_and_no_other(site: Site) -> None:
    secret = site.add_client()
    limiter = limit(site, default_limits=["1 per minute"])
    limiter.exempt(site.app.view_functions[TOKEN])
    answers = [site.token("client_credentials", ("web", secret)).status_code for _ in range(3)]
    assert answers == [200] * 3
    site.post("/revoke", ("web", secret), token="x")
    check_json(site.post("/revoke", ("web", secret), token="x"))


def test_a_limit_of_one_view_leaves_the_others_the_applications_own(site: Site) -> None:
    secret = site.add_client()
    limiter = limit(site, default_limits=["1 per minute"])
    limit_view(site, limiter, "3 per minute", TOKEN)
    answers = [site.token("client_credentials", ("web", secret)).status_code for _ in range(4)]
    assert answers == [200, 200, 200, 429]
    site.post("/revoke", ("web", secret), token="x")
    check_json(site.post("/revoke", ("web", secret), token="x"))


def test_what_the_application_answers_itself_stays(site: Site) -> None:
    limiter = limit(site, on_breach=lambda _: flask.make_response("slowly", 429))
    limiter.limit("1 per minute")(site.app.blueprints["oauth2"])
    answers = [site.token("client_credentials").status_code for _ in range(2)]
    assert answers == [401, 429]
    assert site.token("client_credentials").text == "slowly"


def test_it_is_logged_told_and_counted(new_site: Any, caplog: pytest.LogCaptureFixture) -> None:
    site = new_site(OAUTH2_METRICS="prometheus")
    limit(site).limit("1 per minute")(site.app.blueprints["oauth2"])
    found: list[dict[str, Any]] = []
    with signals.request_refused.connected_to(tell := lambda sender, **what: found.append(what), sender=site.app):
        for _ in range(2):
            site.token("client_credentials", client_id="web")
    assert tell
    assert [what["error"] for what in found] == ["invalid_client", "temporarily_unavailable"]
    assert found[1]["endpoint"] == TOKEN
    assert "temporarily_unavailable" in caplog.text
    with site.app.app_context():
        counted = site.provider.metrics().get_data(as_text=True)
    assert 'error="temporarily_unavailable"' in counted


@pytest.mark.parametrize(
    ("wait", "least", "most"),
    [
        (7, 7, 7),
        (0, 1, 1),
        (None, 60, 60),
        (timedelta(seconds=30), 28, 30),
        (timedelta(seconds=-30), 1, 1),
    ],
)
def test_another_extension_says_when_to_come_back(site: Site, wait: Any, least: int, most: int) -> None:
    when = datetime.now(UTC) + wait if isinstance(wait, timedelta) else wait

    @site.app.before_request
    def refuse() -> None:
        raise TooManyRequests(retry_after=when)

    answer = site.token("client_credentials")
    assert answer.get_json()["error"] == "temporarily_unavailable"
    assert least <= int(answer.headers["Retry-After"]) <= most


def test_a_time_without_a_zone_is_utc(site: Site) -> None:
    @site.app.before_request
    def refuse() -> None:
        raise TooManyRequests(retry_after=datetime.fromtimestamp(time.time() + 30, UTC).replace(tzinfo=None))

    assert 28 <= int(site.token("client_credentials").headers["Retry-After"]) <= 30


def test_a_limit_that_was_not_the_reason_says_nothing(site: Site) -> None:
    limit(site, default_limits=["100 per hour"])

    @site.app.before_request
    def refuse() -> None:
        raise TooManyRequests

    assert site.token("client_credentials").headers["Retry-After"] == "60"
