"""Probes of the running application under its public URL, which show problems of proxies, mounts and middleware.

Each probe acts like a client that only knows a URL, and reports where such a client would fail.
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
from ...web.prefix import fill
from . import proxy
from .base import Examined, Finding, error, warning
from .http_client import HTTPClient, Response, Unreachable

NEEDS = "the doctor sent no requests to the running application, because httpx is not installed"

_WELL_KNOWN_CURE = (
    "route /.well-known/… of this host to the application unchanged, before anything else that answers, "
    "redirects or requires a login"
)
_OTHER = "check that it runs with the same code and configuration as this command"
_CORS = "Access-Control-Allow-Origin"


def probe(examined: Examined, timeout: float, clock: Callable[[], float]) -> Iterator[Finding]:
    """Run all probes, until the application cannot be reached or the time limit expires."""
    if not examined.settings.issuer:
        return  # the check of the issuer reports this
    if find_spec("httpx") is None:
        yield warning(NEEDS, hint="install flask_oauth2[doctor], or pass --offline")
        return
    http = HTTPClient(addresses.find_origin(examined.server), examined.url, timeout, clock)
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
            f"the public URL of the application is unreachable: {unreachable.reason}",
            "rfc8414 3",
            unreachable.hint,
        )
        return
    is_tenant = bool(examined.server.issuer_id)  # whose path is not that of the application
    unseen = "" if seen is None or is_tenant else deployment.find_unseen_mount(examined.settings.issuer, seen)
    if unseen:
        what, _, hint = unseen.partition(": ")
        yield error(what, "rfc8414 3", hint)
    for name, run in PROBES:
        try:
            for found in run(examined, http, mount):
                yield Finding(
                    level=found.level, check=f"probes.{name}", what=found.what, rule=found.rule, hint=found.hint
                )
        except Unreachable as unreachable:
            yield Finding(
                level="error", check=f"probes.{name}", what=unreachable.reason, rule="rfc8414 3", hint=unreachable.hint
            )
            return


def server_urls(examined: Examined) -> list[str]:
    """Return the URLs at which clients look for server metadata, with and without the issuer's path.

    See :rfc:`8414#section-3.1`.
    """
    base = f"{addresses.find_origin(examined.server)}{metadata.WELL_KNOWN}"
    path = urlsplit(examined.server.issuer).path.rstrip("/")
    if examined.server.issuer_id:  # the root of the host belongs to no issuer in particular
        return [f"{base}{path}"]
    return [f"{base}{path}", base] if path else [base]


def find_mount(examined: Examined, answer: Response) -> str | None:
    """Return the path at which the application is mounted, according to its metadata, or None without metadata."""
    if answer.members is None or "revocation_endpoint" not in answer.members:
        return None
    endpoint = str(answer.members["revocation_endpoint"])
    own = addresses.url_of(examined.server, "revocation", "").removeprefix(addresses.find_origin(examined.server))
    path = urlsplit(endpoint).path
    return path.removesuffix(own) if path.endswith(own) else ""


def server_metadata(examined: Examined, http: HTTPClient, mount: str) -> Iterator[Finding]:
    """Compare the authorization server metadata, :rfc:`8414#section-3`."""
    server = examined.server
    described = metadata.describe(server, mount)
    for number, url in enumerate(server_urls(examined)):
        answer = http.get(url, Origin="https://page.example")
        report = error if number == 0 else warning
        yield from _document(answer, described, "issuer", server.issuer, "rfc8414 3", report)


def resource_metadata(examined: Examined, http: HTTPClient, mount: str) -> Iterator[Finding]:
    """Compare the metadata of protected resources, :rfc:`9728#section-3`, also at the root path."""
    server = examined.server
    of = addresses.find_resources(server, mount)
    for resource in of:
        answer = http.get(resource.metadata_url, Origin="https://page.example")
        described = metadata.describe_resource(server, resource)
        yield from _document(answer, described, "resource", resource.identifier, "rfc9728 3", error)
    if server.issuer_id and urlsplit(server.issuer).path:  # the root of the host belongs to no issuer in particular
        return
    root, at_root = of.of_root, f"{addresses.find_origin(server)}{resources.WELL_KNOWN}"
    if root is not None and root.metadata_url != at_root:
        answer = http.get(at_root, Origin="https://page.example")
        described = metadata.describe_resource(server, root)
        yield from _document(answer, described, "resource", root.identifier, "rfc9728 3", warning)


def unknown_paths(examined: Examined, http: HTTPClient, mount: str) -> Iterator[Finding]:
    """Check that unknown documents are not found. Clients try several URLs and misread any other status."""
    for well_known in ("/.well-known/", f"{resources.WELL_KNOWN}/"):
        answer = http.get(f"{addresses.find_origin(examined.server)}{well_known}flask-oauth2-doctor-{token_hex(4)}")
        if answer.status not in (404, 410):
            yield warning(
                f"{answer.url} does not exist, but the response is {_describe(answer)} instead of 404",
                "rfc8414 3",
                _WELL_KNOWN_CURE,
            )


def token_endpoint(examined: Examined, http: HTTPClient, mount: str) -> Iterator[Finding]:
    """Check that errors of the token endpoint are JSON, :rfc:`6749#section-5.2`."""
    url = addresses.url_of(examined.server, "token", mount)
    answer = http.post(url, "grant_type=client_credentials", "application/x-www-form-urlencoded")
    yield from _check_rejection(answer, "the token endpoint", "rfc6749 5.2")


def registration_endpoint(examined: Examined, http: HTTPClient, mount: str) -> Iterator[Finding]:
    """Check that errors of the registration endpoint are JSON, :rfc:`7591#section-3.2.2`.

    The request body is not JSON, so the probe registers no client.
    """
    if examined.server.registration == "off":
        return
    answer = http.post(addresses.url_of(examined.server, "registration", mount), "{", "application/json")
    is_challenge = answer.status == 401 and "bearer" in answer.headers.get("www-authenticate", "").lower()
    if not (is_challenge and examined.server.registration == "token"):
        yield from _check_rejection(answer, "the registration endpoint", "rfc7591 3.2.2")


def _check_rejection(answer: Response, endpoint: str, rule: str) -> Iterator[Finding]:
    """Report an endpoint that does not reject an invalid request with an OAuth error."""
    if answer.status in (400, 401) and answer.is_json and "error" in (answer.members or {}):
        return
    hint = (
        "route POST requests to the endpoint unchanged, without a redirect, sign-in or CSRF protection in front of it"
    )
    if answer.status == 429 or answer.status >= 500:
        hint = "read the log of the application"
    elif "csrf" in answer.body.decode(errors="replace").lower():
        hint = "exempt the blueprint oauth2 from CSRF protection: clients do not use your forms"
    yield error(f"{endpoint} {answer.url} responds with {_describe(answer)} instead of a JSON error", rule, hint)


def challenges(examined: Examined, http: HTTPClient, mount: str) -> Iterator[Finding]:
    """Check that a protected resource names its metadata in the challenge, :rfc:`9728#section-5.1`."""
    server = examined.server
    for resource in addresses.find_resources(server, mount):
        path = resource.path if resource.path != "/" else _find_guarded_path(examined, inside="/")
        if path is None:
            continue
        answer = http.get(f"{addresses.find_origin(server)}{mount}{path}")
        challenge = answer.headers.get("www-authenticate", "")
        if answer.status != 401:
            yield error(
                f"{answer.url} responds to a request without a token with {_describe(answer)} instead of 401",
                "rfc9728 5.1",
                "route these requests to the application unchanged: without a challenge, clients obtain no token",
            )
        elif f'resource_metadata="{resource.metadata_url}"' not in challenge:
            yield error(
                f"the challenge of {answer.url} does not contain its metadata URL {resource.metadata_url}",
                "rfc9728 5.1",
                f"let the application's WWW-Authenticate header pass (it was {challenge[:200]!r})",
            )


def authorization_header(examined: Examined, http: HTTPClient, mount: str) -> Iterator[Finding]:
    """Check that the Authorization header reaches the application, :rfc:`6750#section-2.1`."""
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
            f"an access token sent to {answer.url} does not reach the application: a server removes the "
            "Authorization header",
            "rfc6750 2.1",
            "forward it: WSGIPassAuthorization On in mod_wsgi, proxy_set_header Authorization in nginx",
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
"""The probes in the order in which they run."""


def _document(
    answer: Response,
    described: dict[str, Any],
    name: str,
    expected: str,
    rule: str,
    report: Callable[[str, str, str], Finding],
) -> Iterator[Finding]:
    """Yield the problems of a metadata document. Its member ``name`` must be identical to ``expected``."""
    url = answer.url
    if answer.status != 200:
        yield report(f"{url} responds with {_describe(answer)}", rule, _advise(answer))
        return
    if not answer.is_json:
        kind = answer.headers.get("content-type", "no media type")
        yield report(f"{url} has {kind[:100]} instead of application/json", rule, _WELL_KNOWN_CURE)
        return
    members = answer.members
    if members is None:
        yield report(f"{url} does not contain a JSON object", rule, _WELL_KNOWN_CURE)
        return
    received = members.get(name)
    if received != expected:
        slash = str(received).rstrip("/") == expected.rstrip("/")
        yield report(
            f"the {name} in {url} is {str(received)[:200]} instead of {expected}"
            + (": they differ by a slash, and clients compare the exact text" if slash else ""),
            "rfc8414 3.3" if name == "issuer" else "rfc9728 3.3",
            "set OAUTH2_ISSUER to the same value everywhere, the URL that clients use",
        )
        return
    wanted = json.loads(json.dumps(described))
    differing = sorted(key for key in {*members, *wanted} if members.get(key) != wanted.get(key))
    if differing:
        yield warning(f"{url} differs from the configuration of this command: {', '.join(differing)}", rule, _OTHER)
    allowed = answer.headers.get(_CORS.lower())
    if allowed not in ("*", "https://page.example"):
        yield warning(
            f"pages of other origins cannot read {url}: {_CORS} is {allowed[:100] if allowed else 'missing'}",
            rule,
            "let the application's own header pass, and do not add a second one",
        )


def _describe(answer: Response) -> str:
    """Describe the status of a response in words."""
    if 300 <= answer.status < 400:
        target = urljoin(answer.url, answer.headers.get("location", ""))
        source, parts = urlsplit(answer.url), urlsplit(target)
        if parts._replace(scheme="") == source._replace(scheme=""):
            kind = "itself with another scheme" if parts.scheme != source.scheme else "itself"
            return f"a redirect to {kind} ({answer.status}, {target[:200]})"
        return f"a redirect ({answer.status}) to {parts._replace(query='', fragment='').geturl()[:200]}"
    kind = answer.headers.get("content-type", "").partition(";")[0]
    return f"{answer.status}" + (f" and {kind[:100]}" if kind else "")


def _advise(answer: Response) -> str:
    if answer.status >= 500:
        return "read the log of the application, or check that it runs behind the proxy"
    if 300 <= answer.status < 400 and urljoin(answer.url, answer.headers.get("location", "")) == answer.url:
        return f"the application does not recognize the request as https, and redirects it to https again: {proxy.CURE}"
    return _WELL_KNOWN_CURE


def _find_guarded_path(examined: Examined, inside: str = "") -> str | None:
    """Return the path of a guarded view that a simple GET request reaches."""
    plain = {
        rule.rule
        for rule in examined.app.url_map.iter_rules()
        if rule.arguments <= examined.arguments.keys()
        and "GET" in (rule.methods or ())
        and not rule.host
        and not rule.subdomain
    }
    described = [resource for resource in examined.server.described if resource.path != "/"]
    for rule, _, guards in find_guards(examined.app):
        path = fill(rule, examined.arguments)
        is_nested = bool(inside) and any(resource.covers(path) for resource in described)
        if rule in plain and guards and not any(guard.is_optional for guard in guards) and not is_nested:
            return path
    return None
