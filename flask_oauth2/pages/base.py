"""What all pages share: how they are protected, what their forms are bound to, and the page for what went wrong."""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

import flask
from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer
from werkzeug.wrappers import Response

from .. import login, values
from ..endpoints.authorization.saved import PATIENCE
from ..errors import InvalidRequest, OAuth2Error
from ..records import User
from . import translations

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.datastructures import Headers

    from ..provider import OAuth2Provider
    from ..server import Server

_SESSION_KEY = "_flask_oauth2"

_PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
"""On whatever holds what nobody else is to read; on what people see there are more."""

HEADERS = {**_PRIVATE, "Pragma": "no-cache", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff"}


def page(template: str, status: int = 200, *, form_action: str | None, **context: Any) -> Response:
    """Return a page that no other site can frame, that runs no script but ours and loads no image of another site.

    :param form_action: where the policy lets forms lead; None for anywhere. Chromium applies the directive to all
        redirects that follow a form, so a page whose form leads to a client cannot have it: nobody knows where the
        callback of the client leads on to.
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
    """A page of the application's own: it may have headers of its own, which stay."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def redirect(location: str) -> Response:
    """To ``location``, by GET."""
    # "SHOULD use HTTP status code 303", :rfc:`9700#section-4.12`; 307 would send a form on
    return Response(status=303, headers={**_PRIVATE, "Location": location})


class ClientRedirect(flask.Response):
    """The same to a client: its URI is encoded already, so Werkzeug need not take it apart once more."""

    def __init__(self, location: str) -> None:
        super().__init__(status=303, headers={**_PRIVATE, "Location": location})

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        """As they are, unless the URI is none, or the application has made another answer of this one."""
        if self.response or not self.headers.get("Location", "é").isascii():
            return super().get_wsgi_headers(environ)
        self.headers["Content-Length"] = "0"
        return self.headers


class ShownError(NamedTuple):
    """An error without the text of the request that it may hold."""

    code: str
    status: int
    description: str


def show_error(server: Server, error: OAuth2Error, error_id: str) -> Response:
    """The page for what a client must not be told; in debug mode with what its developer wants to know."""
    status = error.status if error.status >= 402 else 400
    shown = page("oauth2/error.html", status, form_action="'none'", **describe_error(server, error, error_id))
    shown.headers.update(error.headers)
    return shown


def describe_error(server: Server, error: OAuth2Error, error_id: str) -> dict[str, Any]:
    """What a page says of an error: to everybody, and in debug mode to its developer."""
    diagnosis = None
    if flask.current_app.debug:
        diagnosis = {
            "rule": error.rule,
            "expected": _masked(error.expected),
            "came": _masked(error.came),
            "cures": server.cures(error),
        }
    return {"error": ShownError(error.code, error.status, error.shown), "error_id": error_id, "diagnosis": diagnosis}


def write_ticket(server: Server, purpose: str, user: User, content: dict[str, Any]) -> str:
    """A hidden field that binds a form to the person and the browser that it is shown to."""
    return serializer(server, purpose).dumps({**content, "session": session_id(), "user": user.id})


def new_answer_id(server: Server) -> str:
    """Return a random ID for the answer of the user to a form, see :func:`~.grants.authorization_code.mint_code`."""
    return values.text(values.new_id(server.clock()))


def session_id() -> str:
    """What tells the browser from others; made where it has none yet."""
    found: str = flask.session.setdefault(_SESSION_KEY, secrets.token_urlsafe(16))
    return found


def is_of_session(name: str) -> bool:
    """Whether the browser is in the session of that name; or in one without a name, as a login page may begin."""
    return hmac.compare_digest(name, flask.session.get(_SESSION_KEY, name))


def read_ticket(provider: OAuth2Provider, purpose: str, ticket: str) -> tuple[dict[str, Any], User | None]:
    """What a form was made for, and who is signed in. Raises :exc:`InvalidRequest` for a form of somebody else's."""
    content, user, is_fresh = read_kept_ticket(provider, purpose, ticket)
    if not is_fresh:
        raise stale()
    return content, user


def read_kept_ticket(provider: OAuth2Provider, purpose: str, ticket: str) -> tuple[dict[str, Any], User | None, bool]:
    """The same for a form that may have waited long, or outlived its session: whether what it asks for may be done.

    Where it may not, the form can be shown again to the person that it was made for, and to nobody else.
    """
    signer, is_late = serializer(provider.server, purpose), False
    try:
        try:
            content: dict[str, Any] = signer.loads(ticket, max_age=PATIENCE)
        except SignatureExpired:
            content, is_late = signer.loads(ticket), True
    except BadData:
        raise stale() from None
    user = provider.get_current_user()
    if user is not None and user.id != content["user"]:
        raise stale()
    session = flask.session.get(_SESSION_KEY, "")
    return content, user, hmac.compare_digest(content["session"], session) and not is_late


def send_to_login(provider: OAuth2Provider, back: str) -> Response:
    """Send the user to the login page, which sends them back to the path ``back``.

    If the application has an ``unauthorized_handler`` of Flask-Login and no login view, return its answer.
    """
    if not provider.has_login_view and login.has_unauthorized_handler():
        return login.call_unauthorized_handler(back)
    return redirect(provider.login_url(back))


def stale() -> InvalidRequest:
    """The error of a form that is not, or no longer, for this person and browser."""
    return InvalidRequest(
        "this page is no longer valid: go back to the application and begin again",
        rule="rfc6749 10.12",
        expected="the page of this session and user",
    )


def describe(server: Server, scope: tuple[str, ...]) -> list[tuple[str, str]]:
    """Each word of a scope with what ``OAUTH2_SCOPES`` says that it allows."""
    return [(word, server.settings.scopes.get(word, word)) for word in scope]


def describe_resources(server: Server, names: tuple[str, ...], mount: str) -> list[tuple[str | None, str]]:
    """The name and the URL of each protected resource."""
    resources = server.resources(mount) if names else None
    return [(found.name if resources and (found := resources.named(name)) else None, name) for name in names]


def serializer(server: Server, purpose: str) -> URLSafeTimedSerializer:
    """What signs values that a browser brings back."""
    return URLSafeTimedSerializer(list(server.settings.secret_keys), salt=f"flask_oauth2.{purpose}")


def _masked(value: object) -> str | None:
    """As the log has it: a value of ours that came where it does not belong is still a secret."""
    return None if value is None else values.mask(str(value)[:200]).encode("utf-8", "replace").decode()
