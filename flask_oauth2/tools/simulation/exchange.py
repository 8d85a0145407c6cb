"""HTTP without a network: the application answers requests in this process, and redirects are not followed."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import flask
from werkzeug.datastructures import Headers

from ...web import login
from .sandbox import SIGNED_IN, Rejection, Sandbox

_MOST_BYTES = 1_000_000
"""The maximum number of bytes to read of a response."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its response."""

    method: str
    url: str
    status: int
    headers: Headers
    body: bytes
    rejection: Rejection | None
    raised: str = ""

    @property
    def path(self) -> str:
        """Return the path of the URL, without its query."""
        return urlsplit(self.url).path or "/"

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> dict[str, Any]:
        """Return the JSON object of the body or of its first event, or an empty dict if there is none."""
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
        """Return the media type without parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def location(self) -> str:
        """Return the full URL of a redirect, or an empty string for other responses."""
        location = self.headers.get("Location", "") if 300 <= self.status < 400 else ""
        return urljoin(self.url, location) if location else ""

    @property
    def line(self) -> str:
        """Return the exchange in one line."""
        return f"{self.method} {self.path} → {self.status}"


class Caller:
    """A program or a browser that sends requests to the application.

    :param exchanges: the list to which each exchange is added.
    :param has_cookies: whether the caller is a browser with cookies.
    :param is_signed_in: whether the user of the browser is signed in.
    """

    def __init__(
        self, sandbox: Sandbox, exchanges: list[Exchange], *, has_cookies: bool = False, is_signed_in: bool = False
    ) -> None:
        self._stage = sandbox
        self._exchanges = exchanges
        self._client = sandbox.app.test_client(use_cookies=has_cookies)
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
        """Send a request. An exception of the application becomes status 500, as in a real server."""
        sandbox, parts = self._stage, urlsplit(url)
        path = parts.path
        if sandbox.mount and path.startswith(f"{sandbox.mount}/"):
            path = path.removeprefix(sandbox.mount)
        sandbox.events.rejected.clear()
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
            rejection=sandbox.events.rejected[-1] if sandbox.events.rejected else None,
            raised="" if raised is None else f"{type(raised).__name__}: {raised}",
        )
        self._exchanges.append(exchange)
        return exchange

    def _sign_in(self) -> None:
        """Sign the user in to Flask-Login, if the application has this user."""
        sandbox = self._stage
        origin = f"{sandbox.origin}{sandbox.mount}/"
        with sandbox.app.test_request_context(base_url=origin, environ_base=self._client.environ_base):
            if not login.is_set_up() or not _is_user(sandbox):
                return
            manager: Any = flask.current_app.login_manager  # type: ignore[attr-defined]
            login_session = {
                "_user_id": sandbox.user.id,
                "_fresh": True,
                "_id": manager._session_identifier_generator(),
            }
        with self._client.session_transaction(base_url=origin) as session:
            session.update(login_session)


def _is_user(sandbox: Sandbox) -> bool:
    try:
        return login.userloader()(sandbox.user.id) is not None
    except Exception:  # the application's user loader may raise for an unknown ID
        return False


def _read(chunks: Any, is_stream: bool) -> bytes:
    """Return the body. Of an endless event stream, return the first event."""
    body = b""
    for chunk in chunks:
        body += chunk
        if len(body) > _MOST_BYTES or (is_stream and (b"\n\n" in body or b"\r\n\r\n" in body)):
            break
    return body
