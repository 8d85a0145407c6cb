"""What clients of all kinds do: read metadata, send a person to the authorization endpoint, redeem, call, refresh."""

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
    "leave the paths of the provider and /.well-known/ out of what asks for a login before every request, such as a "
    "before_request function"
)


_BEARER = re.compile(r"(?:^|,)\s*Bearer\b(.*)", re.IGNORECASE)
_PARAMETER = re.compile(r"([A-Za-z_]+)\s*=\s*(?:\"([^\"]*)\"|([^\s,\"]+))")


_NO_ENDPOINT = {
    "authorization_endpoint": "name authorization_code in OAUTH2_GRANT_TYPES: such clients send people to sign in"
}
_NO_TOKENS = "name grants in OAUTH2_GRANT_TYPES, and leave the metadata as the provider writes it"


@dataclass(frozen=True, slots=True)
class Identity:
    """What the client is known by."""

    client_id: str
    redirect_uri: str
    secret: str | None = None

    @property
    def form(self) -> dict[str, str]:
        """What goes into a form where no secret says who asks."""
        return {} if self.secret else {"client_id": self.client_id}

    @property
    def headers(self) -> dict[str, str]:
        """Basic, :rfc:`6749#section-2.3.1`: both parts are percent-encoded first."""
        if self.secret is None:
            return {}
        pair = f"{quote(self.client_id, safe='')}:{quote(self.secret, safe='')}"
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


@dataclass(slots=True)
class Held:
    """What the client has got."""

    access_token: str = ""
    refresh_token: str = ""
    scope: Scope = ()
    spent: list[str] = field(default_factory=list)
    """Refresh tokens that were used."""


class Flow(Simulation):
    """The moves of the authorization code grant, each of which a profile takes in its own order."""

    identity: Identity
    metadata: dict[str, Any]
    resource: str | None = None
    scope: str = ""
    origin: str = ""
    """Of the page that sends the requests, where the client is one."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.held = Held()
        self.metadata = {}

    # metadata

    def discover(self, issuer: str, version: str = "") -> Exchange:
        """Authorization server metadata, :rfc:`8414#section-3.1`, at the places where clients look, in their order."""
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
            answer = self.program("GET", place, headers=headers)
            if answer.status == 200:
                self._check_metadata(answer, issuer)
                return answer
            if not 400 <= answer.status < 500:
                if answer.location:
                    received = (
                        f"leads to {answer.location}. Some clients end their search here, others find a page there"
                    )
                else:
                    received = f"answers {answer.status}, which ends the search: a client goes on at 4xx alone"
                raise stop_at(answer, f"{answer.path} {received}", "rfc8414 3.2", LOGIN_REQUIRED)
        hint = "let requests below /.well-known/ reach the provider: a route or a proxy of your own answers them"
        if answer.status == 400:
            hint = "let TRUSTED_HOSTS hold the host of OAUTH2_ISSUER: the application refuses the request as malformed"
        raise stop_at(
            answer, "there is no authorization server metadata at any place where clients look", "rfc8414 3", hint
        )

    def _check_metadata(self, answer: Exchange, issuer: str) -> None:
        metadata = answer.json
        named = metadata.get("issuer")
        if named != issuer:
            raise Stop(
                f"the metadata is that of the issuer {named!r}, and the client asked for {issuer!r}: not the same text",
                "rfc8414 3.3",
                "set OAUTH2_ISSUER to the URL that clients use, to the slash",
            )
        endpoints = self.needed_endpoints(metadata)
        for member in endpoints:
            if not metadata.get(member):
                raise Stop(f"the metadata has no {member}", "rfc8414 2", _NO_ENDPOINT.get(member, _NO_TOKENS))
        if "authorization_endpoint" in endpoints and "S256" not in (
            metadata.get("code_challenge_methods_supported") or ()
        ):
            raise Stop(
                "the metadata does not offer the code challenge method S256, without which clients do not go on",
                "rfc8414 2",
                "leave code_challenge_methods_supported of the metadata as the provider writes it",
            )
        for member in endpoints:
            if urlsplit(metadata[member])[:2] != urlsplit(issuer)[:2]:
                raise Stop(
                    f"the {member} is {metadata[member]}, at another host: only this application can be played",
                    "rfc8414 2",
                    "run the simulation on the application that is the authorization server",
                )
        self.metadata = metadata

    def needed_endpoints(self, metadata: Mapping[str, Any]) -> tuple[str, ...]:
        """Those without which this client does not go on."""
        return ("authorization_endpoint", "token_endpoint")

    @property
    def sends_people(self) -> bool:
        """Whether it is a browser that people come by."""
        return "authorization_endpoint" in self.metadata

    # a person

    def look_signed_out(self, url: str = "") -> str:
        """Nobody is signed in: the authorization endpoint leads to the login page, and that to a way back."""
        sandbox = self.sandbox
        if not sandbox.has_users:
            raise Stop(
                "nobody can sign in: the provider is not told who is signed in",
                "rfc6749 3.1",
                "decorate a function with @provider.current_user, or set up Flask-Login",
            )
        url = url or self._authorization_url(_new_challenge()[1], secrets.token_urlsafe(8))
        answer = self.stranger("GET", url)
        with sandbox.app.app_context():
            has_login_view = sandbox.provider.has_login_view
        if not has_login_view:
            raise Stop(
                "who is not signed in cannot be sent to a login page: none is known",
                "rfc6749 3.1",
                "set OAUTH2_LOGIN_VIEW, or Flask-Login's login_view, to the endpoint of the login page",
            )
        if answer.status == 200:
            self.note("current_user names somebody although nobody has signed in: everybody is that person here")
            return "nobody is asked to sign in"
        if not answer.location or answer.location.startswith(self.identity.redirect_uri):
            raise stop_at(
                answer,
                f"{answer.path} answers {answer.status} to who is not signed in, and leads to no login page",
                "rfc6749 3.1",
                ALL_PATHS,
            )
        login = urlsplit(answer.location)
        if not any(answer.path in value for values in parse_qs(login.query).values() for value in values):
            raise Stop(
                f"who is not signed in is sent to {login.path} without a way back, so the client never hears again",
                "rfc6749 3.1",
                LOGIN_REQUIRED,
            )
        if login[:2] != urlsplit(sandbox.origin)[:2]:
            return f"the login page is {answer.location.partition('?')[0]}, which is not played"
        return self._open_login(answer.location)

    def _open_login(self, location: str) -> str:
        page = self.stranger("GET", location)
        if page.status >= 400:
            raise stop_at(
                page,
                f"the login page answers {page.status}",
                "rfc6749 3.1",
                "set OAUTH2_LOGIN_VIEW to the endpoint or the path of the login page",
            )
        if page.location:
            self.note(f"the login page leads on to {page.location.partition('?')[0]}, which is not played")
        return f"who is not signed in comes to {page.path}, with the way back in its query"

    def authorize(self, scope: str | None = None) -> tuple[str, str]:
        """The person allows what the client asks for: the code, and the verifier for it."""
        verifier, challenge = _new_challenge()
        state = secrets.token_urlsafe(16)
        url = self._authorization_url(challenge, state, scope)
        answer = self.person("GET", url)
        parameters = self._press(answer, url) if answer.status == 200 else None
        if parameters is None:
            parameters = self._read_answer(self._exchanges[-1])
        self._check_answer(parameters, state, self._exchanges[-1])
        return parameters["code"], verifier

    def _authorization_url(self, challenge: str, state: str, scope: str | None = None) -> str:
        """The endpoint and a query behind it, as clients write it."""
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

    def _press(self, page: Exchange, url: str) -> dict[str, str] | None:
        """Allow on the consent page; the parameters of the answer where the page cannot be pressed."""
        if page.mimetype != "text/html":
            raise stop_at(
                page,
                f"the consent page is {page.mimetype or 'of no type'}, not HTML: a person cannot read it",
                "rfc6749 4.1.1",
                "let the view of your consent page return HTML",
            )
        directive = find_obstacle(page, self.identity.redirect_uri)
        if directive:
            target = urlsplit(self.identity.redirect_uri).scheme
            raise Stop(
                f'the browser does not follow from the consent page to the client: its Content-Security-Policy says "'
                f'{directive}", which leaves out {target}:',
                "rfc6749 4.1.2",
                "do not write that header over the pages of the provider: an extension or an after_request function "
                "of yours does; a policy of your own consent page needs the scheme of redirect_uri in form-action",
            )
        found = find_allow(page)
        if found is None:
            self.note(
                "the page could not be pressed: it has no form that is posted to this site and has a button that says "
                "allow or yes. What comes now was decided without it"
            )
            return self._decide(urlsplit(url).query)
        form, button = found
        fields = form.fields | ({button.name: button.value} if button.name else {})
        headers = {} if "no-referrer" in page.headers.get("Referrer-Policy", "") else {"Referer": page.url}
        answer = self.person("POST", form.action, form=fields, headers=headers)
        if answer.status == 200 and answer.mimetype == "text/html":
            raise stop_at(
                answer,
                "another page is shown after the consent page was allowed, and the client gets no answer",
                "rfc6749 4.1.2",
                "return True from the authorize_handler where the user allowed the request",
            )
        return None

    def _decide(self, query: str) -> dict[str, str]:
        """What the endpoint answers to who allowed, without a page."""
        sandbox = self.sandbox
        path = urlsplit(self.metadata["authorization_endpoint"]).path.removeprefix(sandbox.mount)
        submission = Submission(
            Request("GET", path, Headers(), query.encode(), None, sandbox.mount),
            Params(query.encode()),
            lambda: sandbox.person,
            is_allowed=True,
        )
        with sandbox.app.test_request_context(path, base_url=f"{sandbox.origin}{sandbox.mount}/"):
            outcome = authorization.authorize(self.server, submission)
        return dict(outcome.parameters) if isinstance(outcome, Answer) else {}

    def _read_answer(self, answer: Exchange) -> dict[str, str]:
        """The parameters of a redirect to the client."""
        location, redirect_uri = answer.location, self.identity.redirect_uri
        if location.startswith(redirect_uri):
            return dict(parse_qsl(urlsplit(location).query))
        if location:
            raise stop_at(
                answer,
                f"who is signed in is sent to {location.partition('?')[0]} and not to the client",
                "rfc6749 4.1.2",
                f"{LOGIN_REQUIRED}; with Flask-Login name one of its users by --user, who is then signed in there too",
            )
        hint = ALL_PATHS
        if answer.refusal is not None and answer.refusal.rule == "rfc6749 10.12":
            hint = (
                "the session did not come back with the form: SESSION_COOKIE_DOMAIN, SESSION_COOKIE_PATH and "
                "SESSION_COOKIE_SECURE must fit OAUTH2_ISSUER"
            )
        raise stop_at(answer, f"the person sees an error page, {answer.status}", "rfc6749 4.1.2.1", hint)

    def _check_answer(self, parameters: Mapping[str, str], state: str, last: Exchange) -> None:
        error = parameters.get("error")
        if error is not None:
            denied = "return True from the authorize_handler where the user allowed the request"
            hint = denied if error == "access_denied" else ALL_PATHS
            raise stop_at(last, f"the client is answered {error}", "rfc6749 4.1.2.1", hint)
        if not parameters.get("code") or parameters.get("state") != state:
            raise Stop(
                "the answer has no code, or not the state that the client sent",
                "rfc6749 4.1.2",
                "let the redirect of the authorization endpoint leave as the provider wrote it",
            )
        issuer = parameters.get("iss")
        is_announced = self.metadata.get("authorization_response_iss_parameter_supported")
        if issuer != self.metadata["issuer"] and (issuer or is_announced):
            raise Stop(
                f"the answer is of the issuer {issuer!r}, and the client asked {self.metadata['issuer']!r}",
                "rfc9207 2.4",
                "let the redirect of the authorization endpoint leave as the provider wrote it",
            )

    # tokens

    def request_token(self, **form: str) -> Exchange:
        """Ask the token endpoint, with the client's own proof."""
        headers = {**self.identity.headers, **({"Origin": self.origin} if self.origin else {})}
        return self.program(
            "POST", self.metadata["token_endpoint"], form={**form, **self.identity.form}, headers=headers
        )

    def redeem(self, code: str, verifier: str) -> str:
        """The code for tokens, :rfc:`6749#section-4.1.3`."""
        more = {"resource": self.resource} if self.resource else {}
        answer = self.request_token(
            grant_type="authorization_code",
            code=code,
            redirect_uri=self.identity.redirect_uri,
            code_verifier=verifier,
            **more,
        )
        return self.keep(answer)

    def keep(self, answer: Exchange) -> str:
        """Take the tokens of an answer, and say what they are."""
        got = answer.json
        if answer.status not in (200, 201) or not got.get("access_token"):
            raise stop_at(
                answer,
                f"the token endpoint answers {answer.status} {got.get('error', '')}".rstrip(),
                "rfc6749 5.2",
                ALL_PATHS,
            )
        if str(got.get("token_type", "")).lower() != "bearer":
            raise Stop(
                f"the token is of the type {got.get('token_type')!r}, which the client does not know",
                "rfc6749 7.1",
                "let such clients have Bearer tokens: bind() of your token type returns None for them",
            )
        if self.held.refresh_token and got.get("refresh_token"):
            self.held.spent.append(self.held.refresh_token)
        self.held.access_token = got["access_token"]
        self.held.refresh_token = got.get("refresh_token", self.held.refresh_token)
        self.held.scope = tuple(str(got.get("scope", "")).split())
        said = [
            f"a token of the scope {got['scope']}" if got.get("scope") else "a token without scope",
            f"for {got['expires_in']} seconds" if got.get("expires_in") else "",
            "and a refresh token" if got.get("refresh_token") else "",
        ]
        return " ".join(filter(None, said))

    def redeem_and_keep(self) -> str:
        """Allow, then redeem."""
        return self.redeem(*self.authorize())

    def refresh(self) -> str:
        """A new token for the refresh token, with the resource and without a scope, as MCP clients do."""
        if not self.held.refresh_token:
            self.note(
                "no refresh token came: the person signs in again whenever the token has ended. Name refresh_token in "
                "OAUTH2_GRANT_TYPES to change that"
            )
            return "there is nothing to refresh"
        more = {"resource": self.resource} if self.resource else {}
        before = self.held.refresh_token
        answer = self.request_token(grant_type="refresh_token", refresh_token=before, **more)
        said = self.keep(answer)
        is_rotated = self.held.refresh_token != before
        if not is_rotated:
            self.note("the refresh token stays the same: one that leaks is good until it ends (RFC 9700, 4.14.2)")
        return said

    def revoke(self, token: str) -> Exchange:
        """Give a token up, :rfc:`7009#section-2.1`."""
        endpoint = self.metadata.get("revocation_endpoint")
        if not endpoint:
            raise Stop(
                "the metadata has no revocation_endpoint, so the client cannot give its token up",
                "rfc8414 2",
                "leave revocation_endpoint of the metadata as the provider writes it",
            )
        headers = {**self.identity.headers, **({"Origin": self.origin} if self.origin else {})}
        answer = self.program("POST", endpoint, form={"token": token, **self.identity.form}, headers=headers)
        if answer.status != 200:
            raise stop_at(answer, f"the revocation endpoint answers {answer.status}", "rfc7009 2.2", ALL_PATHS)
        return answer

    def excuse(self, answer: Exchange) -> bool:
        """Whether a view fails because of the simulation: where the application has tokens of its own, it finds none.

        That is noted, and no reason to stop.
        """
        is_excused = answer.status >= 500 and self.sandbox.has_own_tokens
        if is_excused:
            self.note(
                f"{answer.path} answers {answer.status} here, where your tokengetter is not called"
                f"{': ' + answer.raised if answer.raised else ''}. A view that takes current_token.user can be tried "
                "where there is a userloader"
            )
        return is_excused

    def mint(self, scope: Scope, resource: tuple[str, ...]) -> str:
        """A token that the client has no way to get, to see that it is refused."""
        server, sandbox, now = self.server, self.sandbox, self.server.clock()
        with sandbox.app.app_context():
            client = lookup.find_client(server, self.identity.client_id) or Client(client_id=self.identity.client_id)
            decided = TokenGrant(
                Authorization(
                    id=values.new_authorization_id(now),
                    client_id=client.client_id,
                    user_id=sandbox.person.id,
                    scope=scope,
                    context=Context(resource=resource),
                )
            )
            request = Request("POST", "/", Headers(), b"", b"", sandbox.mount)
            answer = issue(TokenRequest(request, Params(b""), client, server, now), decided, "authorization_code")
        return str(answer["access_token"])


def _new_challenge() -> tuple[str, str]:
    """A verifier of 128 characters, and its challenge by S256: :rfc:`7636#section-4.2`."""
    verifier = secrets.token_urlsafe(96)
    digest = sha256(verifier.encode()).digest()
    return verifier, urlsafe_b64encode(digest).rstrip(b"=").decode()


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token, :rfc:`6750#section-2.1`."""
    return {"Authorization": f"Bearer {token}"}


def read_challenge(answer: Exchange) -> dict[str, str] | None:
    """The parameters of a Bearer challenge, :rfc:`6750#section-3`; None where there is none."""
    for challenge in answer.headers.getlist("WWW-Authenticate"):
        found = _BEARER.search(challenge)
        if found:
            pairs = _PARAMETER.finditer(found[1])
            return {pair[1].lower(): pair[2] if pair[2] is not None else pair[3] for pair in pairs}
    return None
