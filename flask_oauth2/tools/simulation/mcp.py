"""An MCP client that only knows a URL: Model Context Protocol, authorization, revision 2026-07-28.

The simulation sends the same requests as the reference client of the Python SDK, in the same order, and stops where
that client stops.
"""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlsplit

from ... import addresses
from ...records import Client
from ...scopes import Scope
from .base import Stop, stop_at
from .exchange import Exchange
from .flow import LOGIN_REQUIRED, Flow, Identity, bearer, read_challenge

VERSION = "2025-11-25"
"""The protocol revision that the client offers."""

_DOCUMENT = "https://client.example/oauth/client.json"
"""The ``client_id`` of a client with a metadata document."""

_DESCRIBE = "declare the MCP server with provider.protect_mcp({path!r}, …), which also guards it"


class MCPClient(Flow):
    """An MCP client, from the URL of a server to its first response and the life of its tokens."""

    description = "an MCP client"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        described = addresses.find_resources(self.server, self.sandbox.mount)
        named = [resource for resource in described if resource.is_mcp] or list(described)
        path = self.requested_path or (named[0].path if named else "/mcp")
        self.target = self.url(path)
        self.identity = Identity("", f"http://localhost:{49152 + secrets.randbelow(16384)}/callback")
        self.issuer = ""
        self.challenge: dict[str, str] = {}
        self._is_moved = False
        self._hint = _DESCRIBE.format(path=urlsplit(self.target).path.removeprefix(self.sandbox.mount))

    @property
    def subject(self) -> str:
        """Return the URL of the MCP server."""
        return self.target

    def call_without_token(self) -> str:
        """Call the server without a token. The response must be 401 and name the metadata."""
        answer = self.initialize()
        if answer.status in (404, 405):
            raise stop_at(
                answer,
                f"no view accepts POST at {answer.path}",
                "mcp-authorization O Overview",
                f"pass --path with the path of the MCP server, or {self._hint}",
            )
        if answer.status < 300:
            raise Stop(
                f"{answer.path} responds without a token, so no client signs in",
                "mcp-authorization O Errors",
                self._hint,
            )
        if answer.status != 401:
            response = f"a redirect to {answer.location.partition('?')[0]}" if answer.location else str(answer.status)
            raise stop_at(
                answer,
                f"{answer.path} responds to a request without a token with {response}, but only 401 starts an "
                "authorization",
                "mcp-authorization O Errors",
                LOGIN_REQUIRED if answer.location else self._hint,
            )
        challenge = read_challenge(answer)
        self.challenge = challenge or {}
        self.scope = self.challenge.get("scope", "")
        if challenge is None:
            self.add_note(
                "the 401 response has no WWW-Authenticate: Bearer header, which RFC 6750 section 3 requires. "
                f"Clients of revision 2025-06-18 stop here, later ones guess the metadata URL; {self._hint}"
            )
            return "a token is required, but the response does not name the authorization server"
        if "resource_metadata" not in challenge:
            self.add_note(
                "the challenge has no resource_metadata (RFC 9728 section 5.1). Clients of revision 2025-06-18 "
                f"stop here, later ones guess the metadata URL; {self._hint}"
            )
        learned = [
            (f"a token with the scope {challenge['scope']} is required")
            if challenge.get("scope")
            else "a token is required",
            f"{challenge['resource_metadata']} describes it" if "resource_metadata" in challenge else "",
        ]
        return " and ".join(filter(None, learned))

    def read_resource_metadata(self) -> str:
        """Read the resource metadata at the URLs that clients try, in order, :rfc:`9728#section-3`."""
        parts = urlsplit(self.target)
        root = f"{parts.scheme}://{parts.netloc}"
        well_known = f"{root}/.well-known/oauth-protected-resource"
        places = [self.challenge.get("resource_metadata", ""), f"{well_known}{parts.path}", well_known]
        failed: Exchange | None = None
        for place in dict.fromkeys(filter(None, places)):
            if urlsplit(place)[:2] != parts[:2]:
                self.add_note(f"{place} is on another host and was skipped: the simulation only runs this application")
                continue
            answer = self.http("GET", place, headers={"MCP-Protocol-Version": VERSION})
            found = answer.json
            if answer.status == 200 and found.get("resource") and found.get("authorization_servers"):
                return self._use_resource(found)
            if answer.status >= 500 or answer.status == 429:
                failed = answer
        if failed is not None:
            raise stop_at(
                failed,
                f"{failed.path} responds with {failed.status}, so the client cannot tell whether metadata exists",
                "rfc9728 3.2",
                "respond with 404 if there is no metadata, and exempt /.well-known/ from rate limits",
            )
        self.issuer = root
        self.add_note(
            "there is no protected resource metadata: the client uses the server itself as the authorization "
            "server, as in revision 2025-03-26, and obtains a token for no particular resource. Clients of later "
            f"revisions stop here; {self._hint}"
        )
        return f"no metadata found, so the client uses {root}"

    def _use_resource(self, found: dict[str, Any]) -> str:
        resource, target = str(found["resource"]), urlsplit(self.target)
        named = urlsplit(resource)
        is_prefix = f"{target.path.rstrip('/')}/".startswith(f"{named.path.rstrip('/')}/")
        is_same_host = (named.scheme, named.netloc.lower()) == (target.scheme, target.netloc.lower())
        if not is_same_host or not is_prefix:
            raise Stop(
                f"the document describes {resource} instead of {self.target}: a client does not accept the "
                "metadata of another resource",
                "rfc9728 3.3",
                self._hint
                if is_same_host
                else "publish the URL below OAUTH2_ISSUER, or set OAUTH2_ISSUER to the host that users use",
            )
        self.resource, self.issuer = resource, str(found["authorization_servers"][0])
        supported = " ".join(found.get("scopes_supported") or ())
        if supported and not self.scope:
            self.scope = supported
            self.add_note(f"the challenge names no scope, so the client requests all of scopes_supported: {supported}")
        if self.issuer != self.server.issuer and urlsplit(self.issuer)[:2] != target[:2]:
            raise Stop(
                f"the authorization server is {self.issuer}, on another host: the simulation only runs this "
                "application",
                "rfc9728 2",
                "simulate the application that is the authorization server",
            )
        return f"{resource} accepts tokens of {self.issuer}"

    def read_server_metadata(self) -> str:
        """Read the authorization server metadata. Clients require PKCE in it."""
        self.discover(self.issuer, VERSION)
        if self.requested_scope:
            self.scope = self.requested_scope
        elif not self.scope and self.metadata.get("scopes_supported"):
            self.scope = " ".join(self.metadata["scopes_supported"])
            self.add_note(
                "neither the challenge nor the resource names a scope, so the client requests every scope of the "
                f"authorization server: {self.scope}. Declare the scopes that each request needs with "
                "protect_mcp(path, scopes)"
            )
        self._probe()
        if not self.metadata.get("authorization_response_iss_parameter_supported"):
            self.add_note(
                "the metadata does not announce iss (RFC 9207), with which clients identify the issuer of a response"
            )
        return f"the issuer is {self.issuer}, with S256"

    def _probe(self) -> None:
        """Check the URL that some clients try first."""
        shown = list(self._exchanges)
        parts = urlsplit(self.issuer)
        probed = self.http("GET", f"{parts.scheme}://{parts.netloc}/.well-known/openid-configuration")
        if probed.status == 200 or 400 <= probed.status < 500:
            self._exchanges[:] = shown
        else:
            self.add_note(
                f"{probed.path} responds with {probed.status}: clients that try this URL first stop here. Respond "
                "with 404 to unknown paths, also below /.well-known/"
            )

    def register(self) -> str:
        """Register the client with :rfc:`7591`, or use a metadata document, like the reference client."""
        takes_documents = bool(self.metadata.get("client_id_metadata_document_supported"))
        endpoint = self.metadata.get("registration_endpoint")
        if not endpoint:
            if not takes_documents:
                raise Stop(
                    "the metadata has neither registration_endpoint nor client_id_metadata_document_supported: "
                    "this needs a client registered by hand, which most MCP clients do not support",
                    "mcp-authorization C",
                    f"{self._hint}, or set OAUTH2_DYNAMIC_REGISTRATION = 'open'",
                )
            self.add_note("there is no registration_endpoint: only clients with a metadata document can connect")
            self._use_document()
            return f"the client uses the metadata document {_DOCUMENT}, which the simulation does not fetch"
        members = {
            "client_name": "Simulated MCP client",
            "redirect_uris": [self.identity.redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
            **({"scope": self.scope} if self.scope else {}),
        }
        answer = self.http("POST", endpoint, json=members)
        got = answer.json
        if answer.status not in (200, 201) or not got.get("client_id"):
            description = got.get("error_description") or got.get("error") or ""
            hint = "set OAUTH2_DYNAMIC_REGISTRATION = 'open', or register the clients by hand"
            reason = f"the registration endpoint responds with {answer.status} {description}".rstrip()
            if answer.status == 401:
                reason = "registration requires an initial access token, which MCP clients do not have"
            raise stop_at(answer, reason, "rfc7591 3", hint)
        if got.get("token_endpoint_auth_method", "none") not in ("none", "client_secret_post", "client_secret_basic"):
            raise Stop(
                f"the registration sets token_endpoint_auth_method to {got['token_endpoint_auth_method']}, which "
                "the client did not request",
                "rfc7591 3.2.1",
                "do not change token_endpoint_auth_method in your registration policy",
            )
        self.identity = Identity(str(got["client_id"]), self.identity.redirect_uri, got.get("client_secret"))
        also = "; a client with a metadata document would not need to register" if takes_documents else ""
        return f"the client is {self.identity.client_id}{also}"

    def _use_document(self) -> None:
        self.identity = Identity(_DOCUMENT, self.identity.redirect_uri)
        self.sandbox.add_client(
            Client(
                client_id=_DOCUMENT,
                name="Simulated MCP client",
                auth_method="none",
                application_type="native",
                redirect_uris=(self.identity.redirect_uri,),
                scope=self.server.open_scopes,
                registered_by="document",
            )
        )

    def sign_in(self) -> str:
        """Open the authorization endpoint in a signed-out browser."""
        return self.visit_signed_out()

    def allow(self) -> str:
        """Let the user grant access and redeem the code."""
        learned = self.obtain_tokens()
        return f"{learned}, for {self.resource}" if self.resource else learned

    def call(self) -> str:
        """Repeat the first request with the token."""
        answer = self.initialize(self.tokens.access_token)
        if answer.status == 403:
            answer = self._request_more_scope(answer)
        if answer.status == 401:
            raise stop_at(
                answer,
                "the server rejects the token that was just issued",
                "mcp-authorization O Token handling",
                f"{self._hint}: then its clients obtain tokens for it",
            )
        if self.is_expected_failure(answer):
            return "the guard accepts the token, and the view fails"
        if answer.status != 200:
            raise stop_at(
                answer,
                f"{answer.path} responds to initialize with {answer.status}",
                "mcp-authorization O Overview",
                f"read the response of the MCP server: {answer.text[:80]!r}",
            )
        result = answer.json.get("result", {})
        name = result.get("serverInfo", {}).get("name") if isinstance(result, dict) else None
        if name is None:
            self.add_note(
                "the response to initialize has no serverInfo: an MCP client does not recognize an MCP server"
            )
            return "the server accepts the token"
        return f"the server is {name!r}"

    def _request_more_scope(self, rejected: Exchange) -> Exchange:
        """Request the scope of an insufficient_scope challenge once, as a client does."""
        challenge = read_challenge(rejected) or {}
        if challenge.get("error") != "insufficient_scope" or not challenge.get("scope"):
            raise stop_at(
                rejected,
                f"{rejected.path} responds with 403 without a challenge that names the required scope",
                "mcp-authorization O Scope challenge",
                "guard the view with require_oauth, or call current_token.require() in it",
            )
        self.add_note(
            f"initialize requires the scope {challenge['scope']}, which the challenge of the request without a "
            "token did not name"
        )
        wanted = " ".join(dict.fromkeys([*self.scope.split(), *challenge["scope"].split()]))
        self.redeem(*self.authorize(wanted))
        answer = self.initialize(self.tokens.access_token)
        missing = [word for word in wanted.split() if word not in self.tokens.scope]
        if answer.status == 403 and missing:
            raise stop_at(
                answer,
                f"the challenge names the scope {' '.join(missing)}, but the client does not obtain it",
                "mcp-authorization O Scope challenge",
                f"add {' '.join(missing)} to OAUTH2_SCOPES, and to OAUTH2_REGISTRATION_SCOPES if you set it",
            )
        if answer.status == 403:
            raise stop_at(
                answer,
                f"the server rejects the scope {' '.join(self.tokens.scope)}, although its challenge names it",
                "mcp-authorization O Scope challenge",
                "name every scope that the request requires in the challenge",
            )
        return answer

    def refresh_token(self) -> str:
        """Refresh the token without the user."""
        learned = self.refresh()
        if self.initialize(self.tokens.access_token).status == 401:
            raise Stop("the server rejects the refreshed token", "mcp-authorization O Token handling", self._hint)
        return learned

    def try_foreign_token(self) -> str:
        """Check that the server rejects a token for another resource, :rfc:`8707#section-2`."""
        scope = tuple(dict.fromkeys((*self.tokens.scope, *self.server.open_scopes)))
        answer = self.initialize(self.issue_token(scope, ("https://elsewhere.example/mcp",)))
        if answer.status != 401:
            raise stop_at(
                answer,
                f"the server responds to a token for another resource with {answer.status} instead of 401",
                "mcp-authorization O Token handling",
                self._hint,
            )
        return "the token is rejected"

    def step_up(self) -> str:
        """Request the further scopes of the resource, and check the response to a token without them."""
        if self.resource is None:
            return "an undeclared resource has no further scopes"
        needed = tuple(self.challenge.get("scope", "").split())
        if needed:
            self._check_insufficient_scope(needed)
        described = addresses.find_resources(self.server, self.sandbox.mount).named(self.resource)
        more = [word for word in (described.all_scopes if described else ()) if word not in self.tokens.scope]
        if not more:
            return "no request requires more scope than the client has"
        wanted = " ".join((*self.tokens.scope, *more))
        self.redeem(*self.authorize(wanted))
        missing = [word for word in more if word not in self.tokens.scope]
        if missing:
            raise Stop(
                f"the client requested {wanted} and received {' '.join(self.tokens.scope)}",
                "mcp-authorization O Scope challenge",
                "add the scopes of the resource to OAUTH2_REGISTRATION_SCOPES",
            )
        if self.initialize(self.tokens.access_token).status == 401:
            raise Stop("the server rejects the token with more scope", "mcp-authorization O Token handling", self._hint)
        return f"the client has the scope {' '.join(more)} too"

    def _check_insufficient_scope(self, needed: Scope) -> None:
        answer = self.initialize(self.issue_token((), (self.resource or "",)))
        challenge = read_challenge(answer) or {}
        if answer.status != 403 or challenge.get("error") != "insufficient_scope":
            raise stop_at(
                answer,
                f"the server responds to a token without the scope {' '.join(needed)} with {answer.status} "
                "instead of 403 insufficient_scope",
                "mcp-authorization O Scope challenge",
                self._hint,
            )

    def revoke_token(self) -> str:
        """Revoke the token. The server must reject it."""
        self.revoke(self.tokens.access_token)
        answer = self.initialize(self.tokens.access_token)
        if answer.status != 401:
            raise stop_at(
                answer,
                f"the server responds to the revoked token with {answer.status} instead of 401",
                "mcp-authorization O Token handling",
                self._hint,
            )
        return "the token is revoked"

    def initialize(self, token: str | None = None) -> Exchange:
        """Send the first message of the protocol."""
        message = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": VERSION,
                "capabilities": {},
                "clientInfo": {"name": "flask_oauth2 simulation", "version": "1"},
            },
        }
        headers = {"Accept": "application/json, text/event-stream"} | (bearer(token) if token else {})
        answer = self.http("POST", self.target, json=message, headers=headers)
        if answer.status in (307, 308) and urlsplit(answer.location)[:2] == urlsplit(self.target)[:2]:
            if not self._is_moved:
                self._is_moved = True
                self.add_note(
                    f"{answer.path} redirects to {urlsplit(answer.location).path}: the client of the Python SDK "
                    "follows redirects on the same host, others may not"
                )
            answer = self.http("POST", answer.location, json=message, headers=headers)
        return answer

    steps = (
        ("Call without a token", call_without_token),
        ("Read the resource metadata", read_resource_metadata),
        ("Read the authorization server metadata", read_server_metadata),
        ("Register", register),
        ("Redirect a signed-out user", sign_in),
        ("Authorize, and redeem the code", allow),
        ("Call with the token", call),
        ("Refresh the token", refresh_token),
        ("Call with a token for another resource", try_foreign_token),
        ("Request more scope", step_up),
        ("Revoke the token", revoke_token),
    )
