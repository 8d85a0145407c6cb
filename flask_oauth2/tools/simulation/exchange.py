"""HTTP without a network: requests that the application answers in this process, none of them redirected by itself."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import flask
from werkzeug.datastructures import Headers

from ...web import login
from .sandbox import SIGNED_IN, Refusal, Sandbox

_MOST_BYTES = 1_000_000
"""More of an answer is not read."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and what came."""

    method: str
    url: str
    status: int
    headers: Headers
    body: bytes
    refusal: Refusal | None
    raised: str = ""

    @property
    def path(self) -> str:
        """The path of the URL, without its query."""
        return urlsplit(self.url).path or "/"

    @property
    def text(self) -> str:
        """The body."""
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> dict[str, Any]:
        """The JSON object of the body, also where it is an event; empty where it is none."""
        text = self.text
        if self.mimetype == "text/event-stream":
            text = next((line[5:] for line in text.splitlines() if line.startswith("data:") and len(line) > 6), "")
        try:
            content = json_module.loads(text)
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}

    @property
    def mimetype(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def location(self) -> str:
        """Where a redirect leads, in full; empty where it is none."""
        location = self.headers.get("Location", "") if 300 <= self.status < 400 else ""
        return urljoin(self.url, location) if location else ""

    @property
    def line(self) -> str:
        """In one line."""
        return f"{self.method} {self.path} → {self.status}"


class Caller:
    """A program or a person that sends requests to the application.

    :param exchanges: where they are noted.
    :param is_person: she has a browser, which keeps cookies.
    :param is_signed_in: and she has signed in.
    """

    def __init__(
        self, sandbox: Sandbox, exchanges: list[Exchange], *, is_person: bool = False, is_signed_in: bool = False
    ) -> None:
        self._stage = sandbox
        self._exchanges = exchanges
        self._client = sandbox.app.test_client(use_cookies=is_person)
        self._environ = {SIGNED_IN: sandbox.marker} if is_signed_in else {}
        if is_signed_in:
            self._sign_in()

    def __call__(
        self,
        method: str,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        """Send a request. What the application raises is answered as a real server does, by 500."""
        sandbox, parts = self._stage, urlsplit(url)
        path = parts.path
        if sandbox.mount and path.startswith(f"{sandbox.mount}/"):
            path = path.removeprefix(sandbox.mount)
        sandbox.events.refused.clear()
        sandbox.raised.clear()
        status, answered, body = 500, Headers(), b""
        try:
            response = self._client.open(
                path + (f"?{parts.query}" if parts.query else ""),
                base_url=f"{parts.scheme}://{parts.netloc}{sandbox.mount}/",
                method=method,
                headers=dict(headers or {}),
                data=None if form is None else urlencode(form),
                content_type=None if form is None else "application/x-www-form-urlencoded",
                json=json,
                environ_overrides=dict(self._environ),
            )
            status, answered = response.status_code, response.headers
            body = _read(response.iter_encoded(), response.mimetype == "text/event-stream")
            response.close()
        except Exception as error:
            sandbox.raised.append(error)
        raised = sandbox.raised[-1] if sandbox.raised else None
        exchange = Exchange(
            method=method,
            url=url,
            status=status,
            headers=answered,
            body=body,
            refusal=sandbox.events.refused[-1] if sandbox.events.refused else None,
            raised="" if raised is None else f"{type(raised).__name__}: {raised}",
        )
        self._exchanges.append(exchange)
        return exchange

    def _sign_in(self) -> None:
        """Flask-Login too knows the person, where she is one of the application's users."""
        sandbox = self._stage
        origin = f"{sandbox.origin}{sandbox.mount}/"
        with sandbox.app.test_request_context(base_url=origin, environ_base=self._client.environ_base):
            if not login.is_set_up() or not _is_user(sandbox):
                return
            manager: Any = flask.current_app.login_manager  # type: ignore[attr-defined]
            kept = {"_user_id": sandbox.person.id, "_fresh": True, "_id": manager._session_identifier_generator()}
        with self._client.session_transaction(base_url=origin) as session:
            session.update(kept)


def _is_user(sandbox: Sandbox) -> bool:
    try:
        return login.userloader()(sandbox.person.id) is not None
    except Exception:  # whatever the application says of an id that is none of its own
        return False


def _read(chunks: Any, is_stream: bool) -> bytes:
    """The body; of events, which may go on for ever, the first."""
    body = b""
    for chunk in chunks:
        body += chunk
        if len(body) > _MOST_BYTES or (is_stream and (b"\n\n" in body or b"\r\n\r\n" in body)):
            break
    return body
