"""Shared by all pages: security headers, the tickets of forms, and the error page."""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

import flask
from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer
from werkzeug.wrappers import Response

from .. import addresses, values, web
from ..answering import find_hints
from ..checks import authorization_details
from ..checks.request_uri import INTERACTION_LIFETIME
from ..errors import InvalidRequest, OAuth2Error
from ..records import Client, Consent, User
from ..web import login
from . import translations
from .site import Site

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.datastructures import Headers

    from ..server import AuthorizationServer

_SESSION_KEY = "_flask_oauth2"

_PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
"""Headers of every answer that holds private data. Pages have more, see :data:`HEADERS`."""

HEADERS = {**_PRIVATE, "Pragma": "no-cache", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff"}


def page(template: str, status: int = 200, *, form_action: str | None, **context: Any) -> Response:
    """Render a template as a page that other sites cannot frame and that loads scripts and images of this site only.

    :param form_action: the ``form-action`` directive of the content security policy; None for no directive. Chromium
        applies it to all redirects that follow a form, so a page whose form leads to a client cannot have it: the
        callback of the client may redirect anywhere.
    """
    text = {"t": translations.translate, "locale": translations.locale, "format_date": translations.format_date}
    response = flask.make_response(flask.render_template(template, **text, **context), status)
    response.headers.update(HEADERS)
    forms = "" if form_action is None else f"form-action {form_action}; "
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"{forms}frame-ancestors 'none'; base-uri 'none'"
    )
    return response


def protect(response: Response) -> Response:
    """Add the security headers to a page of the application, which may have set its own."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def redirect(location: str) -> Response:
    """Redirect to ``location`` using GET."""
    # "SHOULD use HTTP status code 303", :rfc:`9700#section-4.12`; 307 would send the form again
    return Response(status=303, headers={**_PRIVATE, "Location": location})


class ClientRedirect(flask.Response):
    """A redirect to a client. Its URI is encoded already, so Werkzeug need not parse it again."""

    def __init__(self, location: str) -> None:
        super().__init__(status=303, headers=[*_PRIVATE.items(), ("Location", location)])

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        """Return the headers unchanged, unless the URI is not ASCII or the application has changed the response."""
        if self.response or not self.headers.get("Location", "é").isascii():
            return super().get_wsgi_headers(environ)
        self.headers["Content-Length"] = "0"
        return self.headers


class ShownError(NamedTuple):
    """An error as a page shows it, without text of the request."""

    code: str
    status: int
    description: str


def show_error(server: AuthorizationServer, error: OAuth2Error, error_id: str) -> Response:
    """Return the page for an error that no client receives. In debug mode, it contains a diagnosis for developers."""
    status = error.status if error.status >= 402 else 400
    response = page("oauth2/error.html", status, form_action="'none'", **describe_error(server, error, error_id))
    response.headers.update(error.headers)
    return response


def describe_error(server: AuthorizationServer, error: OAuth2Error, error_id: str) -> dict[str, Any]:
    """Return the variables of a template that shows an error. The diagnosis is None unless in debug mode."""
    diagnosis = None
    if flask.current_app.debug:
        diagnosis = {
            "rule": error.rule,
            "expected": _masked(error.expected),
            "received": _masked(error.received),
            "hints": find_hints(server, error, web.read()),
        }
    return {
        "error": ShownError(error.code, error.status, error.page_description),
        "error_id": error_id,
        "diagnosis": diagnosis,
    }


def write_ticket(server: AuthorizationServer, purpose: str, user: User, content: dict[str, Any]) -> str:
    """Return the value of a hidden field that binds a form to a user and a browser."""
    return serializer(server, purpose).dumps({**content, "session": session_id(), "user": user.id})


def new_answer_id(server: AuthorizationServer) -> str:
    """Return a random ID for a form, from which :func:`~.grants.authorization_code.generate_code` derives the code."""
    return values.text(values.new_id(server.clock()))


def session_id() -> str:
    """Return the random ID of the browser's session, generated if it has none."""
    found: str = flask.session.setdefault(_SESSION_KEY, secrets.token_urlsafe(16))
    return found


def is_of_session(found: str) -> bool:
    """Return whether the browser has the session with this ID, or a session without ID that a login page began."""
    return hmac.compare_digest(found, flask.session.get(_SESSION_KEY, found))


def read_ticket(provider: Site, purpose: str, ticket: str) -> tuple[dict[str, Any], User | None]:
    """Return the content of a ticket, and the user who is signed in.

    Raise :exc:`InvalidRequest` if the form belongs to another user or browser, or has expired.
    """
    content, user, is_fresh = read_resumable_ticket(provider, purpose, ticket)
    if not is_fresh:
        raise stale()
    return content, user


def read_resumable_ticket(provider: Site, purpose: str, ticket: str) -> tuple[dict[str, Any], User | None, bool]:
    """Return the content of a ticket, the user who is signed in, and whether the form is still valid.

    The page can show a form again to its user after it has expired or its session has ended. Raise
    :exc:`InvalidRequest` if the form belongs to another user.
    """
    signer, is_late = serializer(provider.server, purpose), False
    try:
        try:
            content: dict[str, Any] = signer.loads(ticket, max_age=INTERACTION_LIFETIME)
        except SignatureExpired:
            content, is_late = signer.loads(ticket), True
    except BadData:
        raise stale() from None
    user = provider.get_current_user()
    if user is not None and user.id != content["user"]:
        raise stale()
    session = flask.session.get(_SESSION_KEY, "")
    return content, user, hmac.compare_digest(content["session"], session) and not is_late


def send_to_login(provider: Site, back: str) -> Response:
    """Redirect the user to the login page, which redirects back to the path ``back``.

    If the application has an ``unauthorized_handler`` of Flask-Login and no login view, return the response of the
    handler.
    """
    if not provider.has_login_view and login.has_unauthorized_handler():
        return login.call_unauthorized_handler(back)
    return redirect(provider.login_url(back))


def stale() -> InvalidRequest:
    """Return the error of a form that is not (or no longer) valid for this user and browser."""
    return InvalidRequest(
        "this page is no longer valid: go back to the application and begin again",
        rule="rfc6749 10.12",
        expected="the page of this session and user",
    )


def describe(server: AuthorizationServer, scope: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return each scope value with its description in ``OAUTH2_SCOPES``."""
    return [(value, server.settings.scopes.get(value, value)) for value in scope]


def describe_request(
    server: AuthorizationServer,
    client: Client,
    consent: Consent | None,
    scope: tuple[str, ...],
    resource: tuple[str, ...],
    details: tuple[dict[str, Any], ...],
    mount: str,
) -> dict[str, Any]:
    """Return the variables of a consent page that show what a client requests, and what of it is new."""
    allowed_before = consent.allowed_at(resource) if consent else ()
    described = authorization_details.describe(server, client, details, consent)
    new_scopes = set(scope) - set(allowed_before)
    return {
        "resources": describe_resources(server, resource, mount),
        "scopes": describe(server, scope),
        "details": described,
        "asks_again": bool(allowed_before),
        "new_scopes": new_scopes,
        "has_new": bool(new_scopes) or any(is_new for _, is_new in described),
    }


def describe_resources(server: AuthorizationServer, names: tuple[str, ...], mount: str) -> list[tuple[str | None, str]]:
    """Return the name and the URL of each protected resource."""
    resources = addresses.find_resources(server, mount) if names else None
    return [
        (found.name if resources is not None and (found := resources.named(name)) else None, name) for name in names
    ]


def serializer(server: AuthorizationServer, purpose: str) -> URLSafeTimedSerializer:
    """Return the serializer that signs values which a browser returns."""
    issuer = f" of {server.issuer_id}" if server.issuer_id else ""
    return URLSafeTimedSerializer(list(server.settings.secret_keys), salt=f"flask_oauth2.{purpose}{issuer}")


def _masked(value: object) -> str | None:
    """Return a value as the log shows it: a token or code in the wrong place is still a secret."""
    return None if value is None else values.mask(str(value)[:200]).encode("utf-8", "replace").decode()
