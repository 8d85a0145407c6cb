"""The description of clients on pages. For unverified clients, pages omit metadata that the host does not confirm.

Dynamic registration, metadata documents and developers provide names, links and logos that the operator has not
verified. "The authorization server [...] MUST treat all client metadata as self-asserted", :rfc:`7591#section-5`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .. import addresses
from ..clients.documents import find_host, host_of
from ..clients.metadata import page_names
from ..http import redirects, urls
from ..records import Client
from ..server import AuthorizationServer


def name_of(client: Client | None, client_id: str) -> str:
    """Return the name of a client; for a client without a name whose ID is a URL, the host of the URL."""
    return (client.name if client else "") or host_of(client_id) or client_id


def vouched(server: AuthorizationServer, client: Client, redirect_uri: str | None = None) -> Client:
    """Return the client with the links and the logo that a page may show.

    For an unverified client, these are links to the host of the redirect URI or, for a client with a metadata document,
    to the host of its ``client_id``, and no logo. A page shows only logos from this site, so that the browser discloses
    no consent page to a third party.

    :param redirect_uri: the redirect URI of the request, or None on pages without a request.
    """

    def may_show(name: str, page: Any) -> bool:
        if name == "logo_uri":
            return not client.is_unverified and redirects.web_origin(page) == redirects.web_origin(
                addresses.find_origin(server)
            )
        if not client.is_unverified:
            return True
        hosts = (redirect_uri, client.client_id if find_host(client) else None)
        return any(host is not None and redirects.is_of_host(page, host) for host in hosts)

    pages = page_names()
    visible = {name: value for name, value in client.metadata.items() if name not in pages or may_show(name, value)}
    return replace(client, metadata=visible)


def site_of(client: Client) -> str:
    """Return the host of the home page of a client, for the text of a link; empty without a home page."""
    return urls.origin(str(client.metadata.get("client_uri") or "")).removeprefix("https://")


def describe_client(server: AuthorizationServer, client: Client, redirect_uri: str | None = None) -> dict[str, Any]:
    """Return the variables of a template that shows a client."""
    visible = vouched(server, client, redirect_uri)
    return {
        "client": visible,
        "client_name": name_of(client, client.client_id),
        "client_host": find_host(client),
        "client_site": site_of(visible),
        "is_unverified": client.is_unverified,
        "place": redirects.host_and_port(redirect_uri or ""),
        "opens_application": redirect_uri is not None and redirects.opens_application(redirect_uri),
    }
