"""What the running application answers under its public URL: where proxies, mounts and other middleware show.

Each probe asks as a client does that knows nothing but a URL, and says where such a client would stop.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from secrets import token_hex
from typing import Any
from urllib.parse import urljoin, urlsplit

from ... import addresses, resources, web
from ...endpoints import metadata
from ...http import deployment
from ...resource.guard import find_guards
from . import proxy
from .base import Examined, Finding, error, warning
from .http_client import HTTPClient, Response, Unreachable

NEEDS = "the running application was not asked, which needs httpx"

_WELL_KNOWN_CURE = (
    "let /.well-known/… of this host reach the application as it came, before whatever answers, redirects or asks "
    "people to sign in"
)
_OTHER = "see that it runs with the same code and configuration as this command"
_CORS = "Access-Control-Allow-Origin"


def probe(examined: Examined, patience: float, clock: Callable[[], float]) -> Iterator[Finding]:
    """All of them, until the application cannot be reached, or the time is over."""
    if not examined.settings.issuer:
        return  # nobody knows where; that it is missing is said elsewhere
    if find_spec("httpx") is None:
        yield warning(NEEDS, cure="install flask_oauth2[doctor], or leave this out by --offline")
        return
    http = HTTPClient(addresses.find_origin(examined.server), examined.url, patience, clock)
    try:
        yield from _probe(examined, http)
    finally:
        http.close()


def _probe(examined: Examined, http: HTTPClient) -> Iterator[Finding]:
    mount = ""
    try:
        first = http.get(server_urls(examined)[0], Origin="https://page.example")
        seen = find_mount(examined, first)
        mount = web.find_mount(examined.app) or seen or ""
    except Unreachable as unreachable:
        yield error(
            f"the application cannot be reached under its public URL: {unreachable.reason}",
            "rfc8414 3",
            unreachable.cure,
        )
        return
    unseen = "" if seen is None else deployment.find_unseen_mount(examined.settings.issuer, seen)
    if unseen:
        what, _, cure = unseen.partition(": ")
        yield error(what, "rfc8414 3", cure)
    for name, run in PROBES:
        try:
            for found in run(examined, http, mount):
                yield Finding(
                    level=found.level, check=f"probes.{name}", what=found.what, rule=found.rule, cure=found.cure
                )
        except Unreachable as unreachable:
            yield Finding(
                level="error", check=f"probes.{name}", what=unreachable.reason, rule="rfc8414 3", cure=unreachable.cure
            )
            return


def server_urls(examined: Examined) -> list[str]:
    """Where clients look for server metadata: with the issuer's path behind, and without, :rfc:`8414#section-3.1`."""
    base = f"{addresses.find_origin(examined.server)}{metadata.WELL_KNOWN}"
    path = urlsplit(examined.server.issuer).path.rstrip("/")
    return [f"{base}{path}", base] if path else [base]


def find_mount(examined: Examined, answer: Response) -> str | None:
    """Return the path at which the application sees itself, by what its own document says; None without a document."""
    if answer.members is None or "revocation_endpoint" not in answer.members:
        return None
    endpoint = str(answer.members["revocation_endpoint"])
    own = addresses.url_of(examined.server, "revocation", "").removeprefix(addresses.find_origin(examined.server))
    path = urlsplit(endpoint).path
    return path.removesuffix(own) if path.endswith(own) else ""


def server_metadata(examined: Examined, http: HTTPClient, mount: str) -> Iterator[Finding]:
    """:rfc:`8414#section-3`."""
    server = examined.server
    described = metadata.describe(server, mount)
    for number, url in enumerate(server_urls(examined)):
        answer = http.get(url, Origin="https://page.example")
        said = error if number == 0 else warning
        yield from _document(answer, described, "issuer", server.issuer, "rfc8414 3", said)


def resource_metadata(examined: Examined, http: HTTPClient, mount: str) -> Iterator[Finding]:
    """:rfc:`9728#section-3`, and where clients look that have lost the path."""
    server = examined.server
    of = addresses.find_resources(server, mount)
    for resource in of:
        answer = http.get(resource.metadata_url, Origin="https://page.example")
        described = metadata.describe_resource(server, resource)
        yield from _document(answer, described, "resource", resource.identifier, "rfc9728 3", error)
    root, at_root = of.of_root, f"{addresses.find_origin(server)}{resources.WELL_KNOWN}"
    if root is not None and root.metadata_url != at_root:
        answer = http.get(at_root, Origin="https://page.example")
        described = metadata.describe_resource(server, root)
        yield from _document(answer, described, "resource", root.identifier, "rfc9728 3", warning)


def unknown_paths(examined: Examined, http: HTTPClient, mount: str) -> Iterator[Finding]:
    """Clients try several documents, and take whatever is no 404 for one, or for a failure."""
    for well_known in ("/.well-known/", f"{resources.WELL_KNOWN}/"):
        answer = http.get(f"{addresses.find_origin(examined.server)}{well_known}flask-oauth2-doctor-{token_hex(4)}")
        if answer.status not in (404, 410):
            yield warning(
                f"{answer.url}, a document that nobody has, is answered with {_describe(answer)}, not with 404",
                "rfc8414 3",
                _WELL_KNOWN_CURE,
            )


def token_endpoint(examined: Examined, http: HTTPClient, mount: str) -> Iterator[Finding]:
    """:rfc:`6749#section-5.2`: an error comes as JSON, whatever is wrong."""
    url = addresses.url_of(examined.server, "token", mount)
    answer = http.post(url, "grant_type=client_credentials", "application/x-www-form-urlencoded")
    yield from _refusal(answer, "the token endpoint", "rfc6749 5.2")


def registration_endpoint(examined: Examined, http: HTTPClient, mount: str) -> Iterator[Finding]:
    """The same, :rfc:`7591#section-3.2.2`. What is sent is no JSON, so nobody is registered."""
    if examined.server.registration == "off":
        return
    answer = http.post(addresses.url_of(examined.server, "registration", mount), "{", "application/json")
    is_challenge = answer.status == 401 and "bearer" in answer.headers.get("www-authenticate", "").lower()
    if not (is_challenge and examined.server.registration == "token"):
        yield from _refusal(answer, "the registration endpoint", "rfc7591 3.2.2")


def _refusal(answer: Response, endpoint: str, rule: str) -> Iterator[Finding]:
    """What is wrong with how a request is refused that nobody could grant."""
    if answer.status in (400, 401) and answer.is_json and "error" in (answer.members or {}):
        return
    cure = "let POST reach the endpoint as it came: without redirect, sign-in or CSRF protection before it"
    if answer.status == 429 or answer.status >= 500:
        cure = "its log says why"
    elif "csrf" in answer.body.decode(errors="replace").lower():
        cure = "exempt the blueprint oauth2 from CSRF protection: clients have no form of yours"
    yield error(
        f"{endpoint} {answer.url} answers a client with {_describe(answer)}, where an error as JSON belongs", rule, cure
    )


def challenges(examined: Examined, http: HTTPClient, mount: str) -> Iterator[Finding]:
    """A protected resource says where its metadata is, :rfc:`9728#section-5.1`."""
    server = examined.server
    for resource in addresses.find_resources(server, mount):
        path = resource.path if resource.path != "/" else _find_guarded_path(examined, inside="/")
        if path is None:
            continue
        answer = http.get(f"{addresses.find_origin(server)}{mount}{path}")
        challenge = answer.headers.get("www-authenticate", "")
        if answer.status != 401:
            yield error(
                f"{answer.url} answers who has no token with {_describe(answer)}, not with 401",
                "rfc9728 5.1",
                "let it reach the application as it came: clients that are not asked for a token get none",
            )
        elif f'resource_metadata="{resource.metadata_url}"' not in challenge:
            yield error(
                f"{answer.url} does not say that its metadata is at {resource.metadata_url}",
                "rfc9728 5.1",
                f"let the header WWW-Authenticate of the application pass (it was {challenge[:200]!r})",
            )


def authorization_header(examined: Examined, http: HTTPClient, mount: str) -> Iterator[Finding]:
    """Some servers keep the header to themselves, :rfc:`6750#section-2.1`."""
    paths = (resource.path for resource in examined.server.described if resource.path != "/")
    path = next(paths, None) or _find_guarded_path(examined)
    if path is None:
        return
    answer = http.get(
        f"{addresses.find_origin(examined.server)}{mount}{path}", Authorization="Bearer flask-oauth2-doctor"
    )
    challenge = answer.headers.get("www-authenticate", "")
    if answer.status == 401 and "bearer" in challenge.lower() and "error=" not in challenge:
        yield error(
            f"a token that is sent to {answer.url} does not come there: the header Authorization is lost on the way",
            "rfc6750 2.1",
            "let it pass: WSGIPassAuthorization On of mod_wsgi, proxy_set_header Authorization of nginx",
        )


Probe = Callable[[Examined, HTTPClient, str], Iterator[Finding]]

PROBES: tuple[tuple[str, Probe], ...] = tuple(
    (run.__name__, run)
    for run in (
        server_metadata,
        resource_metadata,
        unknown_paths,
        token_endpoint,
        registration_endpoint,
        challenges,
        authorization_header,
    )
)
"""In the order in which they ask."""


def _document(
    answer: Response,
    described: dict[str, Any],
    name: str,
    expected: str,
    rule: str,
    said: Callable[[str, str, str], Finding],
) -> Iterator[Finding]:
    """What is wrong with a metadata document, whose member ``name`` must be ``expected`` as it is written."""
    url = answer.url
    if answer.status != 200:
        yield said(f"{url} answers with {_describe(answer)}", rule, _cure(answer))
        return
    members = answer.members
    if members is None or not answer.is_json:
        kind = answer.headers.get("content-type", "nothing that says what it is")
        yield said(f"{url} answers with {kind[:100]}, not with application/json", rule, _WELL_KNOWN_CURE)
        return
    came = members.get(name)
    if came != expected:
        slash = str(came).rstrip("/") == expected.rstrip("/")
        yield said(
            f"{url} says that the {name} is {str(came)[:200]}, not {expected}"
            + (": they differ by a slash, and clients compare them as they are written" if slash else ""),
            "rfc8414 3.3" if name == "issuer" else "rfc9728 3.3",
            "give OAUTH2_ISSUER the same value everywhere, the URL that clients use",
        )
        return
    wanted = json.loads(json.dumps(described))
    differing = sorted(key for key in {*members, *wanted} if members.get(key) != wanted.get(key))
    if differing:
        yield warning(f"{url} says something else than this application would: {', '.join(differing)}", rule, _OTHER)
    allowed = answer.headers.get(_CORS.lower())
    if allowed not in ("*", "https://page.example"):
        yield warning(
            f"the pages of other origins cannot read {url}: {_CORS} is {allowed[:100] if allowed else 'missing'}",
            rule,
            "let the application's own header pass, and add no second one",
        )


def _describe(answer: Response) -> str:
    """A status in words."""
    if 300 <= answer.status < 400:
        target = urljoin(answer.url, answer.headers.get("location", ""))
        asked, parts = urlsplit(answer.url), urlsplit(target)
        if parts._replace(scheme="") == asked._replace(scheme=""):
            kind = "itself by another scheme" if parts.scheme != asked.scheme else "itself"
            return f"a redirect to {kind} ({answer.status}, {target[:200]})"
        return f"a redirect ({answer.status}) to {parts._replace(query='', fragment='').geturl()[:200]}"
    kind = answer.headers.get("content-type", "").partition(";")[0]
    return f"{answer.status}" + (f" and {kind[:100]}" if kind else "")


def _cure(answer: Response) -> str:
    if answer.status >= 500:
        return "its log says why; or no application runs behind the proxy"
    if 300 <= answer.status < 400 and urljoin(answer.url, answer.headers.get("location", "")) == answer.url:
        return f"the application does not see that the request came by https, and sends it there: {proxy.CURE}"
    return _WELL_KNOWN_CURE


def _find_guarded_path(examined: Examined, inside: str = "") -> str | None:
    """The path of a view with a guard that GET reaches without more ado."""
    plain = {
        rule.rule
        for rule in examined.app.url_map.iter_rules()
        if not rule.arguments and "GET" in (rule.methods or ()) and not rule.host and not rule.subdomain
    }
    described = [resource for resource in examined.server.described if resource.path != "/"]
    for path, _, guards in find_guards(examined.app):
        is_elsewhere = bool(inside) and any(resource.covers(path) for resource in described)
        if path in plain and guards and not any(guard.is_optional for guard in guards) and not is_elsewhere:
            return path
    return None
