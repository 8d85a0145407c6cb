"""What a request shows of a wrong deployment: a proxy that hides the scheme, the host or the path."""

from __future__ import annotations

from urllib.parse import urlsplit

from .messages import Request


def find_mistakes(issuer: str | None, request: Request, *, is_path_mount: bool = True) -> list[str]:
    """Return a sentence with the fix for each mistake that a request shows.

    :param is_path_mount: whether the path of the issuer is that of the application. It may be that of a tenant.
    """
    mistakes = [find_unseen_mount(issuer, request.mount)] if is_path_mount else []
    if request.headers.get("X-Forwarded-Proto", "").lower() == "https" and request.scheme == "http":
        mistakes.append(
            "a proxy says that the request came by https, the application sees http: wrap it in Werkzeug's ProxyFix, "
            "app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1)"
        )
    host = request.headers.get("X-Forwarded-Host", "") or request.host
    if issuer is not None and host and urlsplit(issuer).netloc.lower() != host.lower():
        mistakes.append(
            f"the request was sent to the host {host[:100]!r}, but OAUTH2_ISSUER is {issuer}: give clients the "
            "issuer's own URL, or set OAUTH2_ISSUER to the URL that they use"
        )
    return [mistake for mistake in mistakes if mistake]


def find_unseen_mount(issuer: str | None, seen: str) -> str:
    """Return what is wrong if the issuer has a path that requests do not have in ``SCRIPT_NAME``; empty if nothing is.

    The server then names endpoints without that path, which no client reaches.
    """
    path = urlsplit(issuer or "").path.rstrip("/")
    if not path or seen.rstrip("/") == path:
        return ""
    return (
        f"OAUTH2_ISSUER has the path {path}, but the application sees {seen or 'no path'} in SCRIPT_NAME, so the URLs "
        f"of its endpoints lack it: let the proxy send X-Forwarded-Prefix: {path} and wrap the application in "
        f"Werkzeug's ProxyFix(app.wsgi_app, x_prefix=1), or set SCRIPT_NAME={path} for the WSGI server"
    )
