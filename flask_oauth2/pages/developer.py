"""Developer pages: register, change and delete clients, and generate secrets.

A developer sees only their own clients. A secret is shown once, in the response to the form. A form that is submitted
twice creates only one client and one secret.

Each change gives the client a new ``registration_key``, which belongs to no token. The store compares it to detect
concurrent changes, so that a form cannot overwrite a change that its user has not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import flask
from werkzeug.wrappers import Response

from .. import signals, values, web
from ..answering import answer
from ..clients import developer as forms
from ..clients import rules
from ..clients.authentication.throttle import at_once
from ..clients.deletion import delete_client
from ..clients.developer import REGISTERED_BY, Problem, Typed
from ..clients.secrets import generate_secret
from ..clients.validators import LONGEST_NAME
from ..clients.value_types import LONGEST_TEXT, MOST_ITEMS
from ..endpoints.authorization.saved import LONGEST_SAVED, save_for_visitor
from ..errors import AccessDenied, InvalidRequest
from ..http.messages import Params
from ..records import Client, User
from ..records import decide as read_decision
from ..server import AuthorizationServer
from ..settings import DEVICE_CODE
from .base import describe, page, read_resumable_ticket, redirect, send_to_login, show_error, stale, write_ticket
from .site import Site

_FORM, _SECRET, _DELETE = "developer form", "developer secret", "developer delete"
"""The purposes of tickets."""

_DONE = "_flask_oauth2_developer"
"""The session key for the last action, which the next page reports. It never contains a secret."""

SAVED_FORM = "flask_oauth2_form"
"""The parameter with the name of a form that the server saved while its user signed in."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A client, as the pages show it to its developer. The time is in UTC."""

    client_id: str
    name: str
    kind: str
    uri: str | None
    registered_at: datetime


Page = Callable[[Site, "AuthorizationServer", User], Response]
Form = Callable[[Site, "AuthorizationServer", Params], Response]


def developer(provider: Site) -> Response:
    """Show the clients of the user."""
    return _respond(provider, lambda _, server, user: _list(server, user))


def developer_client(provider: Site) -> Response:
    """Show the form of a client or of a new one, and process it."""
    return _respond(provider, _show_form, _read_form)


def developer_secret(provider: Site) -> Response:
    """Ask for confirmation of a new secret, and generate it."""
    return _respond(provider, partial(_ask, _SECRET), partial(_decide, _SECRET, _rotate))


def developer_delete(provider: Site) -> Response:
    """Ask for confirmation of a deletion, and delete the client."""
    return _respond(provider, partial(_ask, _DELETE), partial(_decide, _DELETE, _delete))


def _respond(provider: Site, show: Page, take: Form | None = None) -> Response:
    server = provider.server

    def respond() -> Response:
        _require_offer(provider, server)
        if take is not None and flask.request.method == "POST":
            return take(provider, server, web.read().form)
        user = provider.get_current_user()
        if user is None:
            return _sign_in(provider)
        _require_developer(server, user)
        return show(provider, server, user)

    return answer(server, web.read(), respond, partial(show_error, server))


def _require_offer(provider: Site, server: AuthorizationServer) -> None:
    if not server.settings.developer_pages:
        raise AccessDenied(
            "the developer pages are disabled",
            rule="rfc6749 2",
            hint="set OAUTH2_DEVELOPER_PAGES = True if signed-in users may register clients",
            status=404,
        )
    if not provider.has_users:
        raise AccessDenied(
            "users cannot sign in, so they cannot register clients",
            rule="rfc6749 2",
            hint="decorate a function with @provider.current_user, or set up Flask-Login",
            status=404,
        )


def _require_developer(server: AuthorizationServer, user: User) -> None:
    policy = server.policies.developer
    if policy is not None and not read_decision(policy(user), "developer_policy"):
        raise AccessDenied("you may not register applications", rule="rfc6749 2", status=403)


def _sign_in(provider: Site, saved_form: str | None = None) -> Response:
    """Redirect to the login page, which redirects back to this page with the saved form."""
    named: dict[str, Any] = {**(flask.request.view_args or {}), SAVED_FORM: saved_form}
    return send_to_login(provider, flask.url_for(flask.request.endpoint or "", **named))


def _owned(server: AuthorizationServer, user: User) -> list[Client]:
    """Return the clients that the user manages on these pages, without those that the operator manages now."""
    found = server.registrations.list_owned(user.id)
    return [client for client in found if client.registered_by == REGISTERED_BY]


def _find(server: AuthorizationServer, user: User, client_id: str) -> Client | None:
    client = server.store.get_client(client_id)
    is_own = client is not None and client.registered_by == REGISTERED_BY and client.owner_id == user.id
    return client if is_own else None


def _describe(client: Client) -> Registered:
    metadata: Mapping[str, Any] = client.metadata
    return Registered(
        client_id=client.client_id,
        name=client.name,
        kind=forms.kind_of(client),
        uri=metadata.get("client_uri"),
        registered_at=datetime.fromtimestamp(client.created_at, UTC),
    )


def _list(server: AuthorizationServer, user: User, status: int = 200, done: str | None = None) -> Response:
    """Return the page with all clients of the user."""
    clients = [_describe(client) for client in _owned(server, user)]
    last = flask.session.pop(_DONE, {})
    return page(
        "oauth2/developer.html",
        status,
        form_action="'none'",
        user=user,
        clients=clients,
        most=server.settings.max_clients_per_developer,
        is_full=len(clients) >= server.settings.max_clients_per_developer,
        done=done or last.get("done"),
        done_name=last.get("name"),
    )


def _missing(server: AuthorizationServer, user: User) -> Response:
    """Return the response for an unknown client or a client of another developer."""
    return _list(server, user, 404, "missing")


def _report(done: str, client: Client) -> None:
    """Record the action that the next page reports."""
    flask.session[_DONE] = {"done": done, "name": client.name}


def _to_client(client: Client) -> Response:
    return redirect(flask.url_for("oauth2.developer_client", client_id=client.client_id))


def _version(server: AuthorizationServer, client: Client) -> str:
    """Return a string that changes with each change of the client."""
    return values.text(values.derive_key(server.settings.secret_keys[-1], "version of a client", repr(client)))


def _unheld_key(server: AuthorizationServer, now: float) -> bytes:
    return values.generate(server.settings.token_prefixes["registration_access_token"], values.timestamp(now))[1]


def _show_form(provider: Site, server: AuthorizationServer, user: User) -> Response:
    request = web.read()
    client_id = request.named.get("client_id")
    client = None if client_id is None else _find(server, user, client_id)
    if client_id is not None and client is None:
        return _missing(server, user)
    if client is None and len(_owned(server, user)) >= server.settings.max_clients_per_developer:
        return redirect(flask.url_for("oauth2.developer"))
    saved_form = _find_saved_form(server, user, client, request.parameters.get(SAVED_FORM))
    if saved_form is not None:
        return _fill_in(server, user, client, saved_form["typed"], saved_form["ticket"], notice="again")
    last = flask.session.pop(_DONE, {}) if client else {}
    return _fill_in(server, user, client, forms.fill(client, server), _content(server, client), notice=last.get("done"))


def _content(server: AuthorizationServer, client: Client | None) -> dict[str, str]:
    """Return the content of the ticket of a form: the client ID and the version of the client."""
    if client is None:
        return {"client_id": rules.new_client_id(), "version": ""}
    return {"client_id": client.client_id, "version": _version(server, client)}


def _fill_in(
    server: AuthorizationServer,
    user: User,
    client: Client | None,
    typed: Typed,
    content: dict[str, str],
    *,
    problems: Mapping[str, Problem] | None = None,
    notice: str | None = None,
    status: int = 200,
) -> Response:
    """Return the form with the submitted values. ``notice`` is the outcome to report."""
    offered = forms.offered_grants(client, server)
    return page(
        "oauth2/developer_client.html",
        status,
        form_action="'self'",
        user=user,
        client=client and _describe(client),
        issuer=server.issuer,
        typed=typed,
        problems=problems or {},
        notice=notice,
        most=server.settings.max_clients_per_developer,
        most_uris=MOST_ITEMS,
        longest_uri=LONGEST_TEXT,
        longest_name=LONGEST_NAME,
        members=forms.further_members(),
        labels=forms.labels(),
        kinds=forms.offered_kinds(server),
        scopes=describe(server, forms.choices(client, server)),
        offers_code="authorization_code" in offered,
        offers_device=DEVICE_CODE in offered,
        ticket=write_ticket(server, _FORM, user, content),
    )


def _read_form(provider: Site, server: AuthorizationServer, form: Params) -> Response:
    """Process the form, or show it again with its problems."""
    content, user, is_fresh = read_resumable_ticket(provider, _FORM, form.require("ticket"))
    content, for_user = {name: content[name] for name in ("client_id", "version")}, str(content["user"])
    client_id, is_new = content["client_id"], not content["version"]
    if web.read().named.get("client_id") != (None if is_new else client_id):
        raise stale()
    found = server.store.get_client(client_id)
    typed = _read_typed(form, forms.field_names(None if is_new else found, server))
    if user is None:
        return _sign_in(provider, _save_form(server, for_user, content, typed))
    _require_developer(server, user)
    client = _find(server, user, client_id)
    if client is None and (not is_new or found is not None or server.store.revoked(client_id)):
        return _missing(server, user)
    if client is not None and is_new:  # the form was submitted before
        return _to_client(client)
    if not is_fresh:
        return _fill_in(server, user, client, typed, content, notice="again", status=400)
    return _change(server, user, client, typed, content) if client else _create(server, user, typed, content)


def _read_typed(form: Params, names: Iterable[str]) -> dict[str, str]:
    typed = {name: value for name in names if (value := form.get(name)) is not None}
    if sum(map(len, typed.values())) > LONGEST_SAVED:
        raise InvalidRequest("the form is too long", expected=f"at most {LONGEST_SAVED} characters", status=413)
    return typed


def _create(server: AuthorizationServer, user: User, typed: Typed, content: dict[str, str]) -> Response:
    now = server.clock()
    blank = Client(
        client_id="",
        grant_types=(),
        response_types=(),
        registered_by=REGISTERED_BY,
        owner_id=user.id,
        created_at=int(now),
        registration_key=_unheld_key(server, now),
    )
    client, problems = forms.read(typed, blank, server)
    if problems:
        return _fill_in(server, user, None, typed, content, problems=problems, notice="wrong", status=400)
    secret, stored = generate_secret(server, now) if rules.needs_secret(client, server) else (None, None)
    client = replace(client, client_id=content["client_id"], secret=stored)
    with at_once(server, "registration by a developer", user.id, now) as others:
        if len(_owned(server, user)) + others > server.settings.max_clients_per_developer:
            return _fill_in(server, user, None, typed, content, notice="full", status=400)
        is_added = server.registrations.add_client(client)
    if not is_added:  # the same form was submitted twice at the same time
        return _to_client(client)
    server.events.emit(signals.client_created, client_id=client.client_id, registered_by=REGISTERED_BY)
    if secret is not None:
        return _show_secret(user, client, secret, is_new=True)
    _report("registered", client)
    return _to_client(client)


def _change(server: AuthorizationServer, user: User, before: Client, typed: Typed, content: dict[str, str]) -> Response:
    client, problems = forms.read(typed, before, server)
    if problems:
        return _fill_in(server, user, before, typed, content, problems=problems, notice="wrong", status=400)
    if client != before:
        if content["version"] != _version(server, before):
            return _overtaken(server, user, before, typed)
        changed = replace(client, registration_key=_unheld_key(server, server.clock()))
        if not server.registrations.change_client(changed, before):
            found = _find(server, user, client.client_id)
            return _overtaken(server, user, found, typed) if found else _missing(server, user)
        server.events.emit(signals.client_updated, client_id=client.client_id, registered_by=REGISTERED_BY)
    _report("saved", client)
    return _to_client(client)


def _overtaken(server: AuthorizationServer, user: User, client: Client, typed: Typed) -> Response:
    """Show the form of a client after a concurrent change. If the user submits it again, it replaces that change."""
    return _fill_in(server, user, client, typed, _content(server, client), notice="overtaken", status=409)


def _save_form(server: AuthorizationServer, user_id: str, content: dict[str, str], typed: Typed) -> str:
    """Save the form for this user while they sign in. Return the name of the saved form."""
    parameters = {"user": user_id, "ticket": content, "typed": dict(typed)}
    return save_for_visitor(server, "form", parameters, web.read().address)


def _find_saved_form(
    server: AuthorizationServer, user: User, client: Client | None, name: str | None
) -> Mapping[str, Any] | None:
    grant = server.store.get_grant(values.key(name), "form") if name else None
    if grant is None or grant.is_expired(server.clock()) or grant.parameters["user"] != user.id:
        return None
    ticket = grant.parameters["ticket"]
    is_for_client = (ticket["client_id"] == client.client_id) if client else not ticket["version"]
    return grant.parameters if is_for_client else None


def _ask(purpose: str, provider: Site, server: AuthorizationServer, user: User) -> Response:
    """Show the page that asks for confirmation."""
    client = _find(server, user, web.read().named["client_id"])
    if client is None:
        return _missing(server, user)
    if purpose == _SECRET and not rules.needs_secret(client, server):
        return _to_client(client)
    content = {"client_id": client.client_id, "version": _version(server, client)}
    return page(
        "oauth2/developer_secret.html" if purpose == _SECRET else "oauth2/developer_delete.html",
        form_action="'self'",
        user=user,
        client=_describe(client),
        secret=None,
        is_new=False,
        ticket=write_ticket(server, purpose, user, content),
    )


def _decide(
    purpose: str,
    act: Callable[[AuthorizationServer, User, Client, str], Response],
    provider: Site,
    server: AuthorizationServer,
    form: Params,
) -> Response:
    """Process the confirmation form."""
    content, user, is_fresh = read_resumable_ticket(provider, purpose, form.require("ticket"))
    client_id = web.read().named["client_id"]
    if content["client_id"] != client_id:
        raise stale()
    if user is None:
        return _sign_in(provider)
    _require_developer(server, user)
    client = _find(server, user, client_id)
    if client is None:
        return _missing(server, user)
    if not is_fresh:  # ask for confirmation again
        return redirect(flask.url_for(flask.request.endpoint or "", client_id=client_id))
    return act(server, user, client, content["version"])


def _rotate(server: AuthorizationServer, user: User, client: Client, version: str) -> Response:
    """Replace the secret, unless the form was submitted before or the client was changed concurrently."""
    now = server.clock()
    secret, stored = generate_secret(server, now)
    changed = replace(client, secret=stored, registration_key=_unheld_key(server, now))
    has_secret = rules.needs_secret(client, server)
    is_same = has_secret and version == _version(server, client)
    if not is_same or not server.registrations.change_client(changed, client):
        _report("changed", client)
        return _to_client(client)
    server.events.emit(signals.secret_rotated, client_id=client.client_id)
    return _show_secret(user, changed, secret, is_new=False)


def _show_secret(user: User, client: Client, secret: str, *, is_new: bool) -> Response:
    """Return the only page that shows the secret: the store saves its digest."""
    return page(
        "oauth2/developer_secret.html",
        form_action="'none'",
        user=user,
        client=_describe(client),
        secret=secret,
        is_new=is_new,
        ticket=None,
    )


def _delete(server: AuthorizationServer, user: User, client: Client, version: str) -> Response:
    """Delete the client and revoke everything issued to it."""
    delete_client(server, client)
    _report("deleted", client)
    return redirect(flask.url_for("oauth2.developer"))
