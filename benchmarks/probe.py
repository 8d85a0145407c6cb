"""What every library must refuse before it is timed, so that nobody wins by doing less."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from .site import Answer, Site


def _is_active(site: Site, token: str) -> bool:
    answer = site.send(site.client_post("introspect", {"token": token}))
    return answer.status == 200 and answer.json().get("active") is True


def _is_refused(answer: Answer, *codes: str) -> bool:
    return 400 <= answer.status < 500 and any(code.encode() in answer.body for code in codes)


def wrong_secret(site: Site) -> bool:
    """A token request with a wrong secret."""
    wrong = replace(site, secret=site.secret[::-1])
    return _is_refused(site.send(wrong.ask_for_itself()), "invalid_client")


def wrong_verifier(site: Site) -> bool:
    """A code with another ``code_verifier``."""
    return _is_refused(site.send(site.redeem(site.code(), verifier="x" * 43)), "invalid_grant")


def wrong_redirect_uri(site: Site) -> bool:
    """An authorization request that would send the user elsewhere."""
    asked = site.ask_authorization()
    asked["QUERY_STRING"] = asked["QUERY_STRING"].replace("client.example", "evil.example")
    return site.send(asked).status == 400


def no_challenge(site: Site) -> bool:
    """An authorization request without PKCE."""
    asked = site.ask_authorization()
    asked["QUERY_STRING"] = asked["QUERY_STRING"].partition("&code_challenge")[0]
    answer = site.send(asked)
    return _is_refused(answer, "invalid_request") or "error=invalid_request" in answer.header("Location")


def used_code(site: Site) -> bool:
    """A code that was redeemed before."""
    code = site.code()
    first = site.send(site.redeem(code))
    return first.status == 200 and _is_refused(site.send(site.redeem(code)), "invalid_grant")


def spent_refresh_token(site: Site) -> bool:
    """A refresh token whose successor has been used."""
    token = site.tokens()["refresh_token"]
    second = site.send(site.refresh(token)).json()["refresh_token"]
    third = site.send(site.refresh(second))
    return token != second and third.status == 200 and _is_refused(site.send(site.refresh(token)), "invalid_grant")


def unknown_token(site: Site) -> bool:
    """The guarded route with a token that nobody issued, and with none."""
    token = site.tokens()["access_token"]
    wrong = site.send(site.call(token[:-8] + token[:8]))
    none = site.send(site.get("me"))
    return {wrong.status, none.status} <= {401, 403} and not _is_active(site, token[:-8] + token[:8])


def revoked_token(site: Site) -> bool:
    """A token that was alive until it was revoked."""
    token = site.tokens()["access_token"]
    was_alive = site.send(site.call(token)).status == 200 and _is_active(site, token)
    revoked = site.send(site.client_post("revoke", {"token": token})).status == 200
    refused = site.send(site.call(token)).status in (401, 403)
    return was_alive and revoked and refused and not _is_active(site, token)


def expired(site: Site) -> bool:
    """A token and a code that were alive until they expired."""
    token, code = site.tokens()["access_token"], site.code()
    was_alive = site.send(site.call(token)).status == 200
    with site.expire():
        token_refused = site.send(site.call(token)).status in (401, 403) and not _is_active(site, token)
        return was_alive and token_refused and _is_refused(site.send(site.redeem(code)), "invalid_grant")


CHECKS: dict[str, Callable[[Site], bool]] = {
    "a wrong secret": wrong_secret,
    "a wrong verifier": wrong_verifier,
    "a foreign redirect URI": wrong_redirect_uri,
    "a request without PKCE": no_challenge,
    "a used code": used_code,
    "a spent refresh token": spent_refresh_token,
    "an unknown token": unknown_token,
    "a revoked token": revoked_token,
    "what has expired": expired,
}
"""What is refused, by the words of the table."""


def find_failures(site: Site) -> Iterator[str]:
    """What is not refused. Whatever fails in another way is not refused either."""
    for name, check in CHECKS.items():
        try:
            refused = check(site)
        except (AssertionError, KeyError, ValueError):
            refused = False
        if not refused:
            yield name
