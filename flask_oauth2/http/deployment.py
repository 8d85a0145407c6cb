"""Deployment mistakes that a request reveals: a proxy that hides the scheme, the host or the path."""

from __future__ import annotations

from urllib.parse import urlsplit

from .messages import Request


def find_mistakes(
    issuer: str | None, request: Request, *, is_path_mount: bool = True, other_origin: str | None = None
) -> list[str]:
    """Return a sentence with the fix for each deployment mistake that a request reveals.

    :param is_path_mount: whether the path of the issuer is that of the application. It may be that of a tenant.
    :param other_origin: a further origin of the server, ``OAUTH2_MUTUAL_TLS_ORIGIN``.
    """
    mistakes = [find_unseen_mount(issuer, request.mount)] if is_path_mount else []
    if request.headers.get("X-Forwarded-Proto", "").lower() == "https" and request.scheme == "http":
        mistakes.append(
            "the proxy received the request over https, but the application sees http. Wrap it in Werkzeug's "
            "ProxyFix: app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1)"
        )
    host = request.headers.get("X-Forwarded-Host", "") or request.host
    origins = (issuer, other_origin or issuer)
    if issuer is not None and host and host.lower() not in [urlsplit(origin).netloc.lower() for origin in origins]:
        mistakes.append(
            f"the client sent the request to the host {host[:100]!r}, but OAUTH2_ISSUER is {issuer}. Let clients use "
            "the URL of the issuer, or set OAUTH2_ISSUER to the URL that they use"
        )
    return [mistake for mistake in mistakes if mistake]


def find_unseen_mount(issuer: str | None, seen: str) -> str:
    """Return a sentence with the fix if the path of the issuer differs from ``SCRIPT_NAME``, or an empty string.

    In this case, the metadata lists endpoint URLs without the path, which clients cannot reach.
    """
    path = urlsplit(issuer or "").path.rstrip("/")
    if not path or seen.rstrip("/") == path:
        return ""
    return (
        f"OAUTH2_ISSUER has the path {path}, but the application sees {seen or 'no path'} in SCRIPT_NAME, so the URLs "
        f"of its endpoints lack the path. Let the proxy send X-Forwarded-Prefix: {path} and wrap the application in "
        f"Werkzeug's ProxyFix(app.wsgi_app, x_prefix=1), or set SCRIPT_NAME={path} for the WSGI server"
    )
