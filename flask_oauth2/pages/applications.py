"""The page of connected applications: the user sees and revokes the access of clients."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import flask
from werkzeug.wrappers import Response

from .. import web
from ..answering import answer
from ..checks import authorization_details
from ..errors import AccessDenied
from ..people.consents import revoke_consent
from ..records import Client, Consent
from ..server import AuthorizationServer
from ..stores.base import ConsentStore
from .base import describe, page, read_ticket, redirect, send_to_login, show_error, write_ticket
from .clients import name_of, site_of, vouched
from .site import Site

_PURPOSE = "applications"

_REMOVED = "_flask_oauth2_ended"
"""The session key of the name of the removed client, until the page shows it."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A client that the user authorized, as the page shows it. Times are UTC."""

    client_id: str
    name: str
    uri: str | None
    site: str
    logo_uri: str | None
    is_unverified: bool
    scopes: list[tuple[str, str]]
    details: list[str]
    granted_at: datetime
    used_at: datetime
    ticket: str


def applications(provider: Site) -> Response:
    """Show the page (GET), or remove the access of one client (POST)."""
    server = provider.server
    respond = _remove if flask.request.method == "POST" else _show
    return answer(server, web.read(), respond, partial(show_error, server), provider, server)


def _show(provider: Site, server: AuthorizationServer) -> Response:
    store = _consents(server)
    if not provider.has_users:
        raise AccessDenied("this site has no user accounts", status=404)
    user = provider.get_current_user()
    if user is None:
        return send_to_login(provider, flask.url_for("oauth2.applications"))

    def connect(consent: Consent) -> Connection:
        client = server.store.get_client(consent.client_id)
        shown = vouched(server, client) if client else None
        metadata: Any = shown.metadata if shown else {}
        return Connection(
            client_id=consent.client_id,
            name=name_of(client, consent.client_id),
            uri=metadata.get("client_uri"),
            site=site_of(shown) if shown else "",
            logo_uri=metadata.get("logo_uri"),
            is_unverified=client is None or client.is_unverified,
            scopes=describe(server, consent.scope),
            details=authorization_details.describe_earlier(server, client, consent),
            granted_at=datetime.fromtimestamp(consent.granted_at, UTC),
            used_at=datetime.fromtimestamp(consent.used_at, UTC),
            ticket=write_ticket(server, _PURPOSE, user, {"client_id": consent.client_id}),
        )

    connections = [connect(consent) for consent in store.list_consents(user.id)]
    return page(
        "oauth2/applications.html",
        form_action="'self'",
        user=user,
        connections=connections,
        ended=flask.session.pop(_REMOVED, None),
    )


def _remove(provider: Site, server: AuthorizationServer) -> Response:
    content, user = read_ticket(provider, _PURPOSE, web.read().form.require("ticket"))
    client_id = content["client_id"]
    if user is not None:
        revoke_consent(server, _consents(server), user.id, client_id)
        client: Client | None = server.store.get_client(client_id)
        flask.session[_REMOVED] = name_of(client, client_id)
    return redirect(flask.url_for("oauth2.applications"))


def _consents(server: AuthorizationServer) -> ConsentStore:
    store = server.consents
    if store is None:
        raise AccessDenied("this site does not save which applications you authorized", status=404)
    return store
