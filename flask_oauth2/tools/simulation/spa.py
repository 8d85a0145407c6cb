"""A single-page application of another site: a public client in a browser, draft-ietf-oauth-browser-based-apps."""

from __future__ import annotations

from .base import Stop, stop_at
from .exchange import Exchange
from .registered import RegisteredClient

_ELSEWHERE = "https://elsewhere.example"
_OVERWRITTEN = (
    "do not change the CORS headers of the provider: exempt its paths from your CORS extension or after_request "
    "function, for example with the option resources of Flask-CORS"
)


class SinglePageApplication(RegisteredClient):
    """A page that uses CORS, codes with PKCE, and refresh tokens that work once."""

    description = "a single-page application"
    origin = "https://client.example"

    def read_metadata(self) -> str:
        """Read the metadata. Pages of every origin must be able to read it."""
        learned = super().read_metadata()
        self._require_readable(self._exchanges[-1], "the metadata")
        return learned

    def send_preflights(self) -> str:
        """Send the preflight requests of a browser for a request with custom headers."""
        mine = self._preflight(self.origin)
        if not _allows(mine, self.origin):
            self.add_note(
                f"{mine.path} does not allow a preflight request of {self.origin} (status {mine.status}): pages "
                "whose library sends custom headers fail. If a clientgetter returns the client, add the origin "
                f"to OAUTH2_CORS_ORIGINS, or {_OVERWRITTEN}"
            )
        other = self._preflight(_ELSEWHERE)
        if _allows(other, _ELSEWHERE):
            self.add_note(f"pages of any site may call {other.path}, not only those of clients: {_OVERWRITTEN}")
            return "pages of any site may call"
        return f"pages of {self.origin} may call, others may not"

    def allow(self) -> str:
        """Let the user grant access and redeem the code. The page must be able to read the response."""
        learned = super().allow()
        self._require_readable(self._exchanges[-1], "the response of the token endpoint")
        return learned

    def call_view(self) -> str:
        """Call a view. CORS is up to the application, because the page may belong to the same site."""
        learned = super().call_view()
        if self.view is not None and not _allows(self._exchanges[-1], self.origin):
            self.add_note(
                f"pages of another site cannot read the response of {self.view.path}: allow it with an extension "
                "such as Flask-CORS if you want it"
            )
        return learned

    def refresh_token(self) -> str:
        """Refresh the token. The page must be able to read the response."""
        learned = super().refresh_token()
        for answer in self._exchanges[:1]:
            self._require_readable(answer, "the response of the token endpoint")
        return learned

    def repeat_refresh(self) -> str:
        """Use a spent refresh token again, which must revoke the authorization, :rfc:`9700#section-4.14.2`."""
        if not self.tokens.spent:
            return "the client has used no refresh token"
        self.sandbox.clock.forward(self.server.refresh_token_grace_period_public)
        answer = self.request_token(grant_type="refresh_token", refresh_token=self.tokens.spent[-1])
        if answer.status == 200:
            raise Stop(
                "the token endpoint accepts a spent refresh token",
                "rfc9700 4.14.2",
                "spend each refresh token once in the store: flask_oauth2.testing has the contract of a store",
            )
        after = self.request_token(grant_type="refresh_token", refresh_token=self.tokens.refresh_token)
        if after.status == 200:
            raise Stop(
                "the next refresh token still works after a spent refresh token was reused",
                "rfc9700 4.14.2",
                "revoke the whole authorization in revoke() of the store: flask_oauth2.testing has the contract "
                "of a store",
            )
        if self.view is not None and self.get_view(self.tokens.access_token).status != 401:
            raise Stop(
                "the access token still works after a spent refresh token was reused",
                "rfc9700 4.14.2",
                "guard the view with @provider.require_oauth",
            )
        return "the old refresh token is rejected, and all tokens of that authorization are revoked"

    def revoke_token(self) -> str:
        """Let the user grant access again, then revoke the token."""
        self.tokens = type(self.tokens)()
        super().allow()
        return super().revoke_token()

    def _preflight(self, origin: str) -> Exchange:
        headers = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        }
        return self.http("OPTIONS", self.metadata["token_endpoint"], headers=headers)

    def _require_readable(self, answer: Exchange, response: str) -> None:
        named = answer.headers.getlist("Access-Control-Allow-Origin")
        if not _allows(answer, self.origin):
            value = f"is {', '.join(named)}" if named else "is missing"
            raise stop_at(
                answer,
                f"the browser does not let a page of {self.origin} read {response}: Access-Control-Allow-Origin "
                f"{value}",
                "oauth-v2-1 3.2",
                f"add the origin to OAUTH2_CORS_ORIGINS, or {_OVERWRITTEN}",
            )

    steps = (
        ("Read the metadata from a page", read_metadata),
        ("Send preflight requests", send_preflights),
        ("Redirect a signed-out user", RegisteredClient.sign_in),
        ("Authorize, and redeem the code", allow),
        ("Call a view", call_view),
        ("Refresh the token", refresh_token),
        ("Reuse the old refresh token", repeat_refresh),
        ("Authorize again, and revoke the token", revoke_token),
    )


def _allows(answer: Exchange, origin: str) -> bool:
    """Return whether a browser lets a page of ``origin`` read the response. The header must occur once and match."""
    named = answer.headers.getlist("Access-Control-Allow-Origin")
    return answer.status < 500 and named in ([origin], ["*"])
