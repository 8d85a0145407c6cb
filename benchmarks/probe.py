"""Requests that every library must reject before it is timed, so that no library is faster by doing less."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from .site import Answer, Site


def _is_active(site: Site, token: str) -> bool:
    answer = site.send(site.client_post("introspect", {"token": token}))
    return answer.status == 200 and answer.json().get("active") is True


def _is_rejected(answer: Answer, *codes: str) -> bool:
    return 400 <= answer.status < 500 and any(code.encode() in answer.body for code in codes)


def wrong_secret(site: Site) -> bool:
    """Send a token request with a wrong secret."""
    wrong = replace(site, secret=site.secret[::-1])
    return _is_rejected(site.send(wrong.client_credentials_request()), "invalid_client")


def wrong_verifier(site: Site) -> bool:
    """Redeem a code with another ``code_verifier``."""
    return _is_rejected(site.send(site.redeem(site.code(), verifier="x" * 43)), "invalid_grant")


def wrong_redirect_uri(site: Site) -> bool:
    """Send an authorization request with an unregistered redirect URI."""
    request = site.authorization_request()
    request["QUERY_STRING"] = request["QUERY_STRING"].replace("client.example", "evil.example")
    return site.send(request).status == 400


def no_challenge(site: Site) -> bool:
    """Send an authorization request without PKCE."""
    request = site.authorization_request()
    request["QUERY_STRING"] = request["QUERY_STRING"].partition("&code_challenge")[0]
    answer = site.send(request)
    return _is_rejected(answer, "invalid_request") or "error=invalid_request" in answer.header("Location")


def used_code(site: Site) -> bool:
    """Redeem a code twice."""
    code = site.code()
    first = site.send(site.redeem(code))
    return first.status == 200 and _is_rejected(site.send(site.redeem(code)), "invalid_grant")


def spent_refresh_token(site: Site) -> bool:
    """Send a refresh token whose successor has been used."""
    token = site.tokens()["refresh_token"]
    second = site.send(site.refresh(token)).json()["refresh_token"]
    third = site.send(site.refresh(second))
    return token != second and third.status == 200 and _is_rejected(site.send(site.refresh(token)), "invalid_grant")


def unknown_token(site: Site) -> bool:
    """Call the guarded route with an unknown token and without a token."""
    token = site.tokens()["access_token"]
    wrong = site.send(site.call(token[:-8] + token[:8]))
    none = site.send(site.get("me"))
    return {wrong.status, none.status} <= {401, 403} and not _is_active(site, token[:-8] + token[:8])


def revoked_token(site: Site) -> bool:
    """Use a token before and after its revocation."""
    token = site.tokens()["access_token"]
    was_valid = site.send(site.call(token)).status == 200 and _is_active(site, token)
    revoked = site.send(site.client_post("revoke", {"token": token})).status == 200
    rejected = site.send(site.call(token)).status in (401, 403)
    return was_valid and revoked and rejected and not _is_active(site, token)


def expired(site: Site) -> bool:
    """Use a token and a code after they have expired."""
    token, code = site.tokens()["access_token"], site.code()
    was_valid = site.send(site.call(token)).status == 200
    with site.expire():
        token_rejected = site.send(site.call(token)).status in (401, 403) and not _is_active(site, token)
        return was_valid and token_rejected and _is_rejected(site.send(site.redeem(code)), "invalid_grant")


CHECKS: dict[str, Callable[[Site], bool]] = {
    "a wrong secret": wrong_secret,
    "a wrong verifier": wrong_verifier,
    "an unregistered redirect URI": wrong_redirect_uri,
    "a request without PKCE": no_challenge,
    "a used code": used_code,
    "a spent refresh token": spent_refresh_token,
    "an unknown token": unknown_token,
    "a revoked token": revoked_token,
    "expired tokens and codes": expired,
}
"""The checks, by their description in the documentation."""


def find_failures(site: Site) -> Iterator[str]:
    """Yield the descriptions of failed checks. A check that raises an error fails."""
    for name, check in CHECKS.items():
        try:
            rejected = check(site)
        except (AssertionError, KeyError, ValueError):
            rejected = False
        if not rejected:
            yield name
