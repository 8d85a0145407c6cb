"""A device that polls, and the user who enters its code."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_oauth2.settings import DEVICE_CODE
from oauth_site import Site

PAGE = "/oauth/device"


def add_device_client(site: Site, client_id: str = "tv", secret: str | None = None, **fields: Any) -> str:
    """Add a client without redirect URIs. It is public unless it has a secret. Return the secret."""
    standard: dict[str, Any] = {
        "name": "Television",
        "application_type": "native",
        "grant_types": (DEVICE_CODE, "refresh_token"),
        "redirect_uris": (),
        "response_types": (),
    }
    return site.add_client(client_id, secret, **standard | fields)


class Device:
    """A device that has requested its codes and polls."""

    def __init__(self, site: Site, client_id: str = "tv", auth: Any = None, **form: str) -> None:
        self._site = site
        self._auth = auth
        self._client_form = {} if auth else {"client_id": client_id}
        answer = site.post("/device_authorization", auth, **self._client_form, **form)
        assert answer.status_code == 200, answer.text
        self.answer: dict[str, Any] = answer.get_json()
        self.user_code: str = self.answer["user_code"]

    def poll(self, **form: Any) -> TestResponse:
        sent = {"device_code": self.answer["device_code"], **self._client_form, **form}
        return self._site.token(DEVICE_CODE, self._auth, **sent)

    def error(self) -> str:
        """Poll and return the error code of the response."""
        answer = self.poll()
        assert answer.status_code == 400, answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        return str(answer.get_json()["error"])


class Person:
    """A signed-in user with a browser."""

    def __init__(self, site: Site, user_id: str = "ada", browser: FlaskClient | None = None) -> None:
        self.browser = browser or site.app.test_client()
        site.sign_in(user_id, self.browser)

    def open(self, **query: str) -> TestResponse:
        return self.browser.get(PAGE, query_string=query)

    def type(self, user_code: str, page: TestResponse | None = None, **options: Any) -> TestResponse:
        """Submit a user code and return the next page."""
        form = {"ticket": ticket_of(page or self.open()), "user_code": user_code}
        return self.browser.post(PAGE, data=form, **options)

    def press(self, page: TestResponse, decision: str = "allow") -> TestResponse:
        """Press a button of the confirmation page."""
        return self.browser.post(PAGE, data={"ticket": ticket_of(page), "decision": decision})

    def decide(self, user_code: str, decision: str = "allow") -> TestResponse:
        """Submit a user code, decide, and return the last page."""
        answer = self.press(self.type(user_code), decision)
        assert answer.status_code == 303, answer.text
        return self.browser.get(answer.location)


def ticket_of(page: TestResponse) -> str:
    found = re.search(r'name="ticket" value="([^"]+)"', page.text)
    assert found, page.text
    return unescape(found[1])
