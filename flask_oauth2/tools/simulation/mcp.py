"""An MCP client that has nothing but a URL: Model Context Protocol, authorization, revision 2026-07-28.

It does what the reference client of the Python SDK does, in the same order, and stops where that one stops.
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
"""The revision of the protocol that it offers to speak."""

_DOCUMENT = "https://client.example/oauth/client.json"
"""The ``client_id`` of who has a metadata document."""

_DESCRIBE = "describe the MCP server by provider.protect_mcp({path!r}, …), which guards it too"


class MCPClient(Flow):
    """From a URL to the first answer of the server, and what comes after."""

    who = "an MCP client"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        described = addresses.find_resources(self.server, self.sandbox.mount)
        named = [resource for resource in described if resource.is_mcp] or list(described)
        path = self.wanted_path or (named[0].path if named else "/mcp")
        self.target = self.url(path)
        self.identity = Identity("", f"http://localhost:{49152 + secrets.randbelow(16384)}/callback")
        self.issuer = ""
        self.challenge: dict[str, str] = {}
        self._is_moved = False
        self._cure = _DESCRIBE.format(path=urlsplit(self.target).path.removeprefix(self.sandbox.mount))

    @property
    def subject(self) -> str:
        """The URL that the client was given."""
        return self.target

    def call_without_token(self) -> str:
        """The first request has no token: 401 says that one is needed, and where to go."""
        answer = self.initialize()
        if answer.status in (404, 405):
            raise stop_at(
                answer,
                f"nothing takes a POST at {answer.path}",
                "mcp-authorization O Overview",
                f"give the path of the MCP server by --path, or {self._cure}",
            )
        if answer.status < 300:
            raise Stop(
                f"{answer.path} answers without a token: nobody is asked to sign in",
                "mcp-authorization O Errors",
                self._cure,
            )
        if answer.status != 401:
            received = f"a redirect to {answer.location.partition('?')[0]}" if answer.location else str(answer.status)
            raise stop_at(
                answer,
                f"{answer.path} answers {received} to a request without a token, and only 401 begins an authorization",
                "mcp-authorization O Errors",
                LOGIN_REQUIRED if answer.location else self._cure,
            )
        challenge = read_challenge(answer)
        self.challenge = challenge or {}
        self.scope = self.challenge.get("scope", "")
        if challenge is None:
            self.note(
                "401 comes without WWW-Authenticate: Bearer, which RFC 6750 section 3 demands. Clients of the revision "
                f"of 2025-06-18 stop here, later ones guess where the metadata is; {self._cure}"
            )
            return "a token is needed, and nothing says of whom"
        if "resource_metadata" not in challenge:
            self.note(
                "the challenge has no resource_metadata (RFC 9728 section 5.1). Clients of the revision of 2025-06-18 "
                f"stop here, later ones guess where the metadata is; {self._cure}"
            )
        said = [
            f"a token of the scope {challenge['scope']} is needed" if challenge.get("scope") else "a token is needed",
            f"{challenge['resource_metadata']} describes it" if "resource_metadata" in challenge else "",
        ]
        return " and ".join(filter(None, said))

    def read_resource_metadata(self) -> str:
        """At the URL of the challenge, in the path form and in the root form, :rfc:`9728#section-3`."""
        parts = urlsplit(self.target)
        root = f"{parts.scheme}://{parts.netloc}"
        well_known = f"{root}/.well-known/oauth-protected-resource"
        places = [self.challenge.get("resource_metadata", ""), f"{well_known}{parts.path}", well_known]
        failed: Exchange | None = None
        for place in dict.fromkeys(filter(None, places)):
            if urlsplit(place)[:2] != parts[:2]:
                self.note(f"{place} is at another host and was not asked: only this application is played")
                continue
            answer = self.program("GET", place, headers={"MCP-Protocol-Version": VERSION})
            found = answer.json
            if answer.status == 200 and found.get("resource") and found.get("authorization_servers"):
                return self._take_resource(found)
            if answer.status >= 500 or answer.status == 429:
                failed = answer
        if failed is not None:
            raise stop_at(
                failed,
                f"{failed.path} answers {failed.status}, which does not say whether there is metadata",
                "rfc9728 3.2",
                "answer 404 where there is none; leave /.well-known/ out of what limits requests",
            )
        self.issuer = root
        self.note(
            "there is no protected resource metadata: the client takes the server itself for its authorization server, "
            "as in the revision of 2025-03-26, and gets a token that is for no resource in particular. Clients that "
            f"hold to later revisions stop here; {self._cure}"
        )
        return f"none is found, so {root} is asked"

    def _take_resource(self, found: dict[str, Any]) -> str:
        resource, target = str(found["resource"]), urlsplit(self.target)
        named = urlsplit(resource)
        is_prefix = f"{target.path.rstrip('/')}/".startswith(f"{named.path.rstrip('/')}/")
        is_same_host = (named.scheme, named.netloc.lower()) == (target.scheme, target.netloc.lower())
        if not is_same_host or not is_prefix:
            raise Stop(
                f"the document describes {resource}, and the client was given {self.target}: a client does not take "
                "the word of one server for another",
                "rfc9728 3.3",
                self._cure
                if is_same_host
                else "give people the URL below OAUTH2_ISSUER, or set OAUTH2_ISSUER to the host that they use",
            )
        self.resource, self.issuer = resource, str(found["authorization_servers"][0])
        supported = " ".join(found.get("scopes_supported") or ())
        if supported and not self.scope:
            self.scope = supported
            self.note(f"the challenge names no scope, so the client asks for all of scopes_supported: {supported}")
        if self.issuer != self.server.issuer and urlsplit(self.issuer)[:2] != target[:2]:
            raise Stop(
                f"the authorization server is {self.issuer}, another host: only this application can be played",
                "rfc9728 2",
                "run the simulation on the application that is the authorization server",
            )
        return f"{resource} takes tokens of {self.issuer}"

    def read_server_metadata(self) -> str:
        """Where people sign in, where tokens are; and PKCE, without which a client does not go on."""
        self.discover(self.issuer, VERSION)
        if self.wanted_scope:
            self.scope = self.wanted_scope
        elif not self.scope and self.metadata.get("scopes_supported"):
            self.scope = " ".join(self.metadata["scopes_supported"])
            self.note(
                "neither the challenge nor the resource names a scope, so the client asks for all that the "
                f"authorization server knows: {self.scope}. Name what each request needs, protect_mcp(path, scopes)"
            )
        self._probe()
        if not self.metadata.get("authorization_response_iss_parameter_supported"):
            self.note("the metadata does not announce iss (RFC 9207), by which clients know who answers")
        return f"the issuer is {self.issuer}, with S256"

    def _probe(self) -> None:
        """Some clients begin with a place that is none of ours."""
        shown = list(self._exchanges)
        parts = urlsplit(self.issuer)
        probed = self.program("GET", f"{parts.scheme}://{parts.netloc}/.well-known/openid-configuration")
        if probed.status == 200 or 400 <= probed.status < 500:
            self._exchanges[:] = shown
        else:
            self.note(
                f"{probed.path} answers {probed.status}: a client that asks there first ends its search. Answer 404 to "
                "what is not there, below /.well-known/ too"
            )

    def register(self) -> str:
        """By a metadata document, else by registration, :rfc:`7591`, as the reference client does."""
        takes_documents = bool(self.metadata.get("client_id_metadata_document_supported"))
        endpoint = self.metadata.get("registration_endpoint")
        if not endpoint:
            if not takes_documents:
                raise Stop(
                    "the metadata has neither registration_endpoint nor client_id_metadata_document_supported: this "
                    "needs a client registered by hand, and most MCP clients cannot be given one",
                    "mcp-authorization C",
                    f"{self._cure}, or set OAUTH2_DYNAMIC_REGISTRATION = 'open'",
                )
            self.note("there is no registration_endpoint: only clients that have a metadata document can connect")
            self._take_document()
            return f"the client is known by the document {_DOCUMENT}, which is not fetched here"
        asked = {
            "client_name": "Simulated MCP client",
            "redirect_uris": [self.identity.redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
            **({"scope": self.scope} if self.scope else {}),
        }
        answer = self.program("POST", endpoint, json=asked)
        got = answer.json
        if answer.status not in (200, 201) or not got.get("client_id"):
            said = got.get("error_description") or got.get("error") or ""
            hint = "set OAUTH2_DYNAMIC_REGISTRATION = 'open', or register its clients by hand"
            reason = f"registration answers {answer.status} {said}".rstrip()
            if answer.status == 401:
                reason = "registration asks for an initial access token, which MCP clients do not have"
            raise stop_at(answer, reason, "rfc7591 3", hint)
        if got.get("token_endpoint_auth_method", "none") not in ("none", "client_secret_post", "client_secret_basic"):
            raise Stop(
                f"the client is to authenticate by {got['token_endpoint_auth_method']}, which it did not ask for",
                "rfc7591 3.2.1",
                "let a registration policy leave token_endpoint_auth_method as it is",
            )
        self.identity = Identity(str(got["client_id"]), self.identity.redirect_uri, got.get("client_secret"))
        also = "; one with a metadata document would need none of this" if takes_documents else ""
        return f"the client is {self.identity.client_id}{also}"

    def _take_document(self) -> None:
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
        """The browser of somebody who is not signed in."""
        return self.look_signed_out()

    def allow(self) -> str:
        """The person allows, and the client redeems the code."""
        said = self.redeem_and_keep()
        return f"{said}, for {self.resource}" if self.resource else said

    def call(self) -> str:
        """The same request, with the token."""
        answer = self.initialize(self.held.access_token)
        if answer.status == 403:
            answer = self._ask_for_more(answer)
        if answer.status == 401:
            raise stop_at(
                answer,
                "the token that was issued a moment ago is refused",
                "mcp-authorization O Token handling",
                f"{self._cure}: then the token that its clients get is for it",
            )
        if self.excuse(answer):
            return "the token is taken, and the view fails"
        if answer.status != 200:
            raise stop_at(
                answer,
                f"{answer.path} answers {answer.status} to initialize",
                "mcp-authorization O Overview",
                f"see what the MCP server says of it: {answer.text[:80]!r}",
            )
        result = answer.json.get("result", {})
        name = result.get("serverInfo", {}).get("name") if isinstance(result, dict) else None
        if name is None:
            self.note("the answer to initialize has no serverInfo: an MCP client does not take it for an MCP server")
            return "the token is taken"
        return f"the server is {name!r}"

    def _ask_for_more(self, refused: Exchange) -> Exchange:
        """What a challenge of insufficient_scope makes a client do: ask the person for that too, once."""
        challenge = read_challenge(refused) or {}
        if challenge.get("error") != "insufficient_scope" or not challenge.get("scope"):
            raise stop_at(
                refused,
                f"{refused.path} answers 403 without a challenge that names the scope it needs",
                "mcp-authorization O Scope challenge",
                "guard the view by require_oauth, or call current_token.require() in it",
            )
        self.note(f"initialize needs the scope {challenge['scope']}, which the challenge without a token did not name")
        wanted = " ".join(dict.fromkeys([*self.scope.split(), *challenge["scope"].split()]))
        self.redeem(*self.authorize(wanted))
        answer = self.initialize(self.held.access_token)
        missing = [word for word in wanted.split() if word not in self.held.scope]
        if answer.status == 403 and missing:
            raise stop_at(
                answer,
                f"the challenge names the scope {' '.join(missing)}, and the client asks for it and does not get it",
                "mcp-authorization O Scope challenge",
                f"add {' '.join(missing)} to OAUTH2_SCOPES, and to OAUTH2_REGISTRATION_SCOPES if you set it",
            )
        if answer.status == 403:
            raise stop_at(
                answer,
                f"the token has the scope {' '.join(self.held.scope)}, which the client was told to ask for, and it is "
                "not enough",
                "mcp-authorization O Scope challenge",
                "let the challenge name all that the request needs",
            )
        return answer

    def refresh_token(self) -> str:
        """Without asking the person."""
        said = self.refresh()
        if self.initialize(self.held.access_token).status == 401:
            raise Stop("the refreshed token is refused", "mcp-authorization O Token handling", self._cure)
        return said

    def try_foreign_token(self) -> str:
        """A token that was issued for another resource must not be taken, :rfc:`8707#section-2`."""
        scope = tuple(dict.fromkeys((*self.held.scope, *self.server.open_scopes)))
        answer = self.initialize(self.mint(scope, ("https://elsewhere.example/mcp",)))
        if answer.status != 401:
            raise stop_at(
                answer,
                f"a token for another server is not refused by 401 but answered {answer.status}",
                "mcp-authorization O Token handling",
                self._cure,
            )
        return "it is refused"

    def step_up(self) -> str:
        """What needs more scope is answered 403, and the person is asked again."""
        if self.resource is None:
            return "a resource that is not described has no further scopes"
        needed = tuple(self.challenge.get("scope", "").split())
        if needed:
            self._see_insufficient_scope(needed)
        described = addresses.find_resources(self.server, self.sandbox.mount).named(self.resource)
        more = [word for word in (described.words if described else ()) if word not in self.held.scope]
        if not more:
            return "nothing here needs more scope than the client has"
        wanted = " ".join((*self.held.scope, *more))
        self.redeem(*self.authorize(wanted))
        missing = [word for word in more if word not in self.held.scope]
        if missing:
            raise Stop(
                f"the client asked for {wanted} and got {' '.join(self.held.scope)}",
                "mcp-authorization O Scope challenge",
                "let OAUTH2_REGISTRATION_SCOPES hold what the resource needs",
            )
        if self.initialize(self.held.access_token).status == 401:
            raise Stop("the token with more scope is refused", "mcp-authorization O Token handling", self._cure)
        return f"the client has {' '.join(more)} too"

    def _see_insufficient_scope(self, needed: Scope) -> None:
        answer = self.initialize(self.mint((), (self.resource or "",)))
        challenge = read_challenge(answer) or {}
        if answer.status != 403 or challenge.get("error") != "insufficient_scope":
            raise stop_at(
                answer,
                f"a token without the scope {' '.join(needed)} is answered {answer.status}, not 403 insufficient_scope",
                "mcp-authorization O Scope challenge",
                self._cure,
            )

    def give_up(self) -> str:
        """A token that was revoked is as good as none."""
        self.revoke(self.held.access_token)
        answer = self.initialize(self.held.access_token)
        if answer.status != 401:
            raise stop_at(
                answer,
                f"the revoked token is answered {answer.status}, not 401",
                "mcp-authorization O Token handling",
                self._cure,
            )
        return "the token has ended"

    def initialize(self, token: str | None = None) -> Exchange:
        """The first message of the protocol."""
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
        answer = self.program("POST", self.target, json=message, headers=headers)
        if answer.status in (307, 308) and urlsplit(answer.location)[:2] == urlsplit(self.target)[:2]:
            if not self._is_moved:
                self._is_moved = True
                self.note(
                    f"{answer.path} leads on to {urlsplit(answer.location).path}: the client of the Python SDK follows "
                    "that within one host, others may not"
                )
            answer = self.program("POST", answer.location, json=message, headers=headers)
        return answer

    steps = (
        ("Call without a token", call_without_token),
        ("Read what the resource says of itself", read_resource_metadata),
        ("Read what its authorization server says", read_server_metadata),
        ("Register", register),
        ("Send somebody who is not signed in", sign_in),
        ("Ask the person, and redeem the code", allow),
        ("Call with the token", call),
        ("Refresh the token", refresh_token),
        ("Call with a token for another server", try_foreign_token),
        ("Ask for more scope", step_up),
        ("Revoke the token", give_up),
    )
