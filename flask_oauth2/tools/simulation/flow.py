"""The steps that all clients share: read metadata, obtain authorization, redeem codes, call, refresh and revoke."""

from __future__ import annotations

import re
import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

from werkzeug.datastructures import Headers

from ... import values
from ...clients import lookup
from ...context import Context
from ...endpoints import authorization
from ...endpoints.authorization import Answer, Submission
from ...http.messages import Params, Request
from ...records import Authorization, Client
from ...scopes import Scope
from ...tokens.base import TokenGrant, TokenRequest
from ...tokens.issue import issue
from .base import ALL_PATHS, Simulation, Stop, stop_at
from .exchange import Exchange
from .forms import find_allow, find_obstacle

LOGIN_REQUIRED = (
    "exempt the paths of the provider and /.well-known/ from code that requires a login before every request, "
    "such as a before_request function"
)


_BEARER = re.compile(r"(?:^|,)\s*Bearer\b(.*)", re.IGNORECASE)
_PARAMETER = re.compile(r"([A-Za-z_]+)\s*=\s*(?:\"([^\"]*)\"|([^\s,\"]+))")


_NO_ENDPOINT = {
    "authorization_endpoint": "add authorization_code to OAUTH2_GRANT_TYPES: this client redirects users to sign in"
}
_NO_TOKENS = "add grant types to OAUTH2_GRANT_TYPES, and do not change the metadata that the provider writes"


@dataclass(frozen=True, slots=True)
class Identity:
    """The registration of the client."""

    client_id: str
    redirect_uri: str
    secret: str | None = None

    @property
    def form(self) -> dict[str, str]:
        """Return the form parameters that identify a public client."""
        return {} if self.secret else {"client_id": self.client_id}

    @property
    def headers(self) -> dict[str, str]:
        """Return the Basic credentials of a client with a secret, :rfc:`6749#section-2.3.1`."""
        if self.secret is None:
            return {}
        pair = f"{quote(self.client_id, safe='')}:{quote(self.secret, safe='')}"
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


@dataclass(slots=True)
class Tokens:
    """The tokens of the client."""

    access_token: str = ""
    refresh_token: str = ""
    scope: Scope = ()
    spent: list[str] = field(default_factory=list)
    """Refresh tokens that the client has used."""


class Flow(Simulation):
    """The steps of the authorization code grant. Each kind of client runs them in its own order."""

    identity: Identity
    metadata: dict[str, Any]
    resource: str | None = None
    scope: str = ""
    origin: str = ""
    """The origin of the page that sends the requests, or an empty string."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.tokens = Tokens()
        self.metadata = {}

    # metadata

    def discover(self, issuer: str, version: str = "") -> Exchange:
        """Read the authorization server metadata at the URLs that clients try, in order, :rfc:`8414#section-3.1`."""
        parts = urlsplit(issuer)
        root, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
        places = [
            f"{root}/.well-known/oauth-authorization-server{path}",
            f"{root}/.well-known/openid-configuration{path}",
            *([f"{root}{path}/.well-known/openid-configuration"] if path else []),
        ]
        headers = {"Accept": "application/json"} | ({"MCP-Protocol-Version": version} if version else {})
        if self.origin:
            headers["Origin"] = self.origin
        for place in places:
            answer = self.http("GET", place, headers=headers)
            if answer.status == 200:
                self._check_metadata(answer, issuer)
                return answer
            if not 400 <= answer.status < 500:
                if answer.location:
                    learned = f"redirects to {answer.location}. Some clients stop here, others find a page there"
                else:
                    learned = f"responds with {answer.status}: clients only try the next URL after a 4xx status"
                raise stop_at(answer, f"{answer.path} {learned}", "rfc8414 3.2", LOGIN_REQUIRED)
        hint = "route requests below /.well-known/ to the provider: a route or a proxy of your application answers them"
        if answer.status == 400:
            hint = "add the host of OAUTH2_ISSUER to TRUSTED_HOSTS: the application rejects the request as malformed"
        raise stop_at(
            answer, "there is no authorization server metadata at the URLs that clients try", "rfc8414 3", hint
        )

    def _check_metadata(self, answer: Exchange, issuer: str) -> None:
        metadata = answer.json
        named = metadata.get("issuer")
        if named != issuer:
            raise Stop(
                f"the metadata contains the issuer {named!r} instead of {issuer!r}, which the client used",
                "rfc8414 3.3",
                "set OAUTH2_ISSUER to exactly the URL that clients use",
            )
        endpoints = self.needed_endpoints(metadata)
        for member in endpoints:
            if not metadata.get(member):
                raise Stop(f"the metadata has no {member}", "rfc8414 2", _NO_ENDPOINT.get(member, _NO_TOKENS))
        if "authorization_endpoint" in endpoints and "S256" not in (
            metadata.get("code_challenge_methods_supported") or ()
        ):
            raise Stop(
                "the metadata does not contain the code challenge method S256, which clients require",
                "rfc8414 2",
                "do not change code_challenge_methods_supported of the metadata",
            )
        for member in endpoints:
            if urlsplit(metadata[member])[:2] != urlsplit(issuer)[:2]:
                raise Stop(
                    f"the {member} is {metadata[member]}, on another host: the simulation only runs this application",
                    "rfc8414 2",
                    "simulate the application that is the authorization server",
                )
        self.metadata = metadata

    def needed_endpoints(self, metadata: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the endpoints that the client requires."""
        return ("authorization_endpoint", "token_endpoint")

    @property
    def uses_browser(self) -> bool:
        """Return whether users authorize the client in a browser."""
        return "authorization_endpoint" in self.metadata

    # the user

    def visit_signed_out(self, url: str = "") -> str:
        """Open the authorization endpoint in a signed-out browser, and check the redirect to the login page."""
        sandbox = self.sandbox
        if not sandbox.has_users:
            raise Stop(
                "no user can sign in, because the provider cannot determine the signed-in user",
                "rfc6749 3.1",
                "decorate a function with @provider.current_user, or set up Flask-Login",
            )
        url = url or self._authorization_url(_new_challenge()[1], secrets.token_urlsafe(8))
        answer = self.signed_out_browser("GET", url)
        if not sandbox.has_login_view:
            raise Stop(
                "the provider cannot redirect signed-out users to a login page, because it knows none",
                "rfc6749 3.1",
                "set OAUTH2_LOGIN_VIEW, or Flask-Login's login_view, to the endpoint of the login page",
            )
        if answer.status == 200:
            self.add_note("current_user returns a user for a signed-out browser: every visitor is that user")
            return "the provider requires no sign-in"
        if not answer.location or answer.location.startswith(self.identity.redirect_uri):
            raise stop_at(
                answer,
                f"{answer.path} responds to a signed-out user with {answer.status} and no redirect to the login page",
                "rfc6749 3.1",
                ALL_PATHS,
            )
        login = urlsplit(answer.location)
        if not any(answer.path in value for values in parse_qs(login.query).values() for value in values):
            raise Stop(
                f"the provider redirects signed-out users to {login.path} without a return URL, so the client "
                "gets no response",
                "rfc6749 3.1",
                LOGIN_REQUIRED,
            )
        if login[:2] != urlsplit(sandbox.origin)[:2]:
            return f"the login page is {answer.location.partition('?')[0]}, which the simulation does not open"
        return self._open_login(answer.location)

    def _open_login(self, location: str) -> str:
        page = self.signed_out_browser("GET", location)
        if page.status >= 400:
            raise stop_at(
                page,
                f"the login page responds with {page.status}",
                "rfc6749 3.1",
                "set OAUTH2_LOGIN_VIEW to the endpoint or the path of the login page",
            )
        if page.location:
            self.add_note(
                f"the login page redirects to {page.location.partition('?')[0]}, which the simulation does not open"
            )
        return f"a signed-out user is redirected to {page.path}, with the return URL in the query"

    def authorize(self, scope: str | None = None) -> tuple[str, str]:
        """Let the user grant access. Return the code and its verifier."""
        verifier, challenge = _new_challenge()
        state = secrets.token_urlsafe(16)
        url = self._authorization_url(challenge, state, scope)
        answer = self.browser("GET", url)
        parameters = self._submit_consent(answer, url) if answer.status == 200 else None
        if parameters is None:
            parameters = self._read_answer(self._exchanges[-1])
        self._check_answer(parameters, state, self._exchanges[-1])
        return parameters["code"], verifier

    def _authorization_url(self, challenge: str, state: str, scope: str | None = None) -> str:
        """Return the URL of an authorization request."""
        query = {
            "response_type": "code",
            "client_id": self.identity.client_id,
            "redirect_uri": self.identity.redirect_uri,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "scope": self.scope if scope is None else scope,
            "resource": self.resource,
        }
        given = {name: value for name, value in query.items() if value}
        return f"{self.metadata['authorization_endpoint']}?{urlencode(given)}"

    def _submit_consent(self, page: Exchange, url: str) -> dict[str, str] | None:
        """Grant access on the consent page. Return the response parameters if the page has no usable form."""
        if page.mimetype != "text/html":
            raise stop_at(
                page,
                f"the consent page is {page.mimetype or 'of no type'} instead of HTML, so a user cannot read it",
                "rfc6749 4.1.1",
                "return HTML from the view of your consent page",
            )
        directive = find_obstacle(page, self.identity.redirect_uri)
        if directive:
            target = urlsplit(self.identity.redirect_uri).scheme
            raise Stop(
                "the browser does not follow the redirect from the consent page to the client: its "
                f'Content-Security-Policy "{directive}" excludes {target}:',
                "rfc6749 4.1.2",
                "do not overwrite that header on the pages of the provider, as an extension or an after_request "
                "function of your application does; the policy of a custom consent page needs the scheme of "
                "redirect_uri in form-action",
            )
        found = find_allow(page)
        if found is None:
            self.add_note(
                "the simulation could not use the page: no form that is posted to this site has a button that "
                "says allow or yes. The following steps skip the page"
            )
            return self._decide(urlsplit(url).query)
        form, button = found
        fields = form.fields | ({button.name: button.value} if button.name else {})
        headers = {} if "no-referrer" in page.headers.get("Referrer-Policy", "") else {"Referer": page.url}
        answer = self.browser("POST", form.action, form=fields, headers=headers)
        if answer.status == 200 and answer.mimetype == "text/html":
            raise stop_at(
                answer,
                "another page follows the consent page, and the client gets no response",
                "rfc6749 4.1.2",
                "return True from the authorize_handler if the user allowed the request",
            )
        return None

    def _decide(self, query: str) -> dict[str, str]:
        """Return the response of the endpoint to a user who allowed the request, without a page."""
        sandbox = self.sandbox
        path = urlsplit(self.metadata["authorization_endpoint"]).path.removeprefix(sandbox.mount)
        submission = Submission(
            Request("GET", path, Headers(), query.encode(), None, sandbox.mount),
            Params(query.encode()),
            lambda: sandbox.user,
            is_allowed=True,
        )
        with sandbox.app.test_request_context(path, base_url=f"{sandbox.origin}{sandbox.mount}/"):
            outcome = authorization.authorize(self.server, submission)
        return dict(outcome.parameters) if isinstance(outcome, Answer) else {}

    def _read_answer(self, answer: Exchange) -> dict[str, str]:
        """Return the parameters of a redirect to the client."""
        location, redirect_uri = answer.location, self.identity.redirect_uri
        if location.startswith(redirect_uri):
            return dict(parse_qsl(urlsplit(location).query))
        if location:
            raise stop_at(
                answer,
                f"the provider redirects a signed-in user to {location.partition('?')[0]} instead of the client",
                "rfc6749 4.1.2",
                f"{LOGIN_REQUIRED}; with Flask-Login pass --user with one of its users, who is then signed in "
                "there too",
            )
        hint = ALL_PATHS
        if answer.rejection is not None and answer.rejection.rule == "rfc6749 10.12":
            hint = (
                "the browser did not send the session cookie with the form: SESSION_COOKIE_DOMAIN, "
                "SESSION_COOKIE_PATH and SESSION_COOKIE_SECURE must fit OAUTH2_ISSUER"
            )
        raise stop_at(answer, f"the user sees an error page, status {answer.status}", "rfc6749 4.1.2.1", hint)

    def _check_answer(self, parameters: Mapping[str, str], state: str, last: Exchange) -> None:
        error = parameters.get("error")
        if error is not None:
            denied = "return True from the authorize_handler if the user allowed the request"
            hint = denied if error == "access_denied" else ALL_PATHS
            raise stop_at(last, f"the client receives the error {error}", "rfc6749 4.1.2.1", hint)
        if not parameters.get("code") or parameters.get("state") != state:
            raise Stop(
                "the response has no code, or another state than the client sent",
                "rfc6749 4.1.2",
                "do not change the redirect of the authorization endpoint",
            )
        issuer = parameters.get("iss")
        is_announced = self.metadata.get("authorization_response_iss_parameter_supported")
        if issuer != self.metadata["issuer"] and (issuer or is_announced):
            raise Stop(
                f"the response has the issuer {issuer!r}, but the client used {self.metadata['issuer']!r}",
                "rfc9207 2.4",
                "do not change the redirect of the authorization endpoint",
            )

    # tokens

    def request_token(self, **form: str) -> Exchange:
        """Send a token request with the client's authentication."""
        headers = {**self.identity.headers, **({"Origin": self.origin} if self.origin else {})}
        return self.http("POST", self.metadata["token_endpoint"], form={**form, **self.identity.form}, headers=headers)

    def redeem(self, code: str, verifier: str) -> str:
        """Exchange the code for tokens, :rfc:`6749#section-4.1.3`."""
        more = {"resource": self.resource} if self.resource else {}
        answer = self.request_token(
            grant_type="authorization_code",
            code=code,
            redirect_uri=self.identity.redirect_uri,
            code_verifier=verifier,
            **more,
        )
        return self.save_tokens(answer)

    def save_tokens(self, answer: Exchange) -> str:
        """Save the tokens of a response and describe them."""
        got = answer.json
        if answer.status not in (200, 201) or not got.get("access_token"):
            raise stop_at(
                answer,
                f"the token endpoint responds with {answer.status} {got.get('error', '')}".rstrip(),
                "rfc6749 5.2",
                ALL_PATHS,
            )
        if str(got.get("token_type", "")).lower() != "bearer":
            raise Stop(
                f"the token has the type {got.get('token_type')!r}, which the client does not support",
                "rfc6749 7.1",
                "issue Bearer tokens to such clients: return None from bind() of your token type",
            )
        if self.tokens.refresh_token and got.get("refresh_token"):
            self.tokens.spent.append(self.tokens.refresh_token)
        self.tokens.access_token = got["access_token"]
        self.tokens.refresh_token = got.get("refresh_token", self.tokens.refresh_token)
        self.tokens.scope = tuple(str(got.get("scope", "")).split())
        learned = [
            f"a token with the scope {got['scope']}" if got.get("scope") else "a token without scope",
            f"for {got['expires_in']} seconds" if got.get("expires_in") else "",
            "and a refresh token" if got.get("refresh_token") else "",
        ]
        return " ".join(filter(None, learned))

    def obtain_tokens(self) -> str:
        """Obtain a code and redeem it."""
        return self.redeem(*self.authorize())

    def refresh(self) -> str:
        """Refresh the token with the resource and without a scope, as MCP clients do."""
        if not self.tokens.refresh_token:
            self.add_note(
                "the response has no refresh token, so users sign in again when the access token expires. To "
                "change that, add refresh_token to OAUTH2_GRANT_TYPES"
            )
            return "there is nothing to refresh"
        more = {"resource": self.resource} if self.resource else {}
        before = self.tokens.refresh_token
        answer = self.request_token(grant_type="refresh_token", refresh_token=before, **more)
        learned = self.save_tokens(answer)
        is_rotated = self.tokens.refresh_token != before
        if not is_rotated:
            self.add_note("the refresh token stays the same: a leaked one works until it expires (RFC 9700, 4.14.2)")
        return learned

    def revoke(self, token: str) -> Exchange:
        """Revoke a token, :rfc:`7009#section-2.1`."""
        endpoint = self.metadata.get("revocation_endpoint")
        if not endpoint:
            raise Stop(
                "the metadata has no revocation_endpoint, so the client cannot revoke its token",
                "rfc8414 2",
                "do not change revocation_endpoint of the metadata",
            )
        headers = {**self.identity.headers, **({"Origin": self.origin} if self.origin else {})}
        answer = self.http("POST", endpoint, form={"token": token, **self.identity.form}, headers=headers)
        if answer.status != 200:
            raise stop_at(answer, f"the revocation endpoint responds with {answer.status}", "rfc7009 2.2", ALL_PATHS)
        return answer

    def is_expected_failure(self, answer: Exchange) -> bool:
        """Return whether a view failed because the sandbox calls no ``tokengetter``. Add a note if it did."""
        is_excused = answer.status >= 500 and self.sandbox.has_own_tokens
        if is_excused:
            self.add_note(
                f"{answer.path} responds with {answer.status}, because the simulation does not call your "
                f"tokengetter{': ' + answer.raised if answer.raised else ''}. To simulate views that use "
                "current_token.user, register a userloader"
            )
        return is_excused

    def issue_token(self, scope: Scope, resource: tuple[str, ...]) -> str:
        """Issue a token that the client could not obtain, to check that the application rejects it."""
        server, sandbox, now = self.server, self.sandbox, self.server.clock()
        with sandbox.app.app_context():
            client = lookup.find_client(server, self.identity.client_id) or Client(client_id=self.identity.client_id)
            decided = TokenGrant(
                Authorization(
                    id=values.new_authorization_id(now),
                    client_id=client.client_id,
                    user_id=sandbox.user.id,
                    scope=scope,
                    context=Context(resource=resource),
                )
            )
            request = Request("POST", "/", Headers(), b"", b"", sandbox.mount)
            answer = issue(TokenRequest(request, Params(b""), client, server, now), decided, "authorization_code")
        return str(answer["access_token"])


def _new_challenge() -> tuple[str, str]:
    """Return a verifier of 128 characters and its S256 challenge, :rfc:`7636#section-4.2`."""
    verifier = secrets.token_urlsafe(96)
    digest = sha256(verifier.encode()).digest()
    return verifier, urlsafe_b64encode(digest).rstrip(b"=").decode()


def bearer(token: str) -> dict[str, str]:
    """Return the header with an access token, :rfc:`6750#section-2.1`."""
    return {"Authorization": f"Bearer {token}"}


def read_challenge(answer: Exchange) -> dict[str, str] | None:
    """Return the parameters of a Bearer challenge, :rfc:`6750#section-3`, or None if there is none."""
    for challenge in answer.headers.getlist("WWW-Authenticate"):
        found = _BEARER.search(challenge)
        if found:
            pairs = _PARAMETER.finditer(found[1])
            return {pair[1].lower(): pair[2] if pair[2] is not None else pair[3] for pair in pairs}
    return None
