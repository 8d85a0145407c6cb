"""A page of another site, without a secret: a public client in a browser, draft-ietf-oauth-browser-based-apps."""

from __future__ import annotations

from .base import Stop, stop_at
from .exchange import Exchange
from .registered import RegisteredClient

_ELSEWHERE = "https://elsewhere.example"
_OVERWRITTEN = (
    "leave the CORS headers of the provider as they are: let your CORS extension or after_request function pass over "
    "its paths, as by the option resources of Flask-CORS"
)


class SinglePageApplication(RegisteredClient):
    """CORS, the code with PKCE, and refresh tokens that are good for one use."""

    who = "a single-page application"
    origin = "https://client.example"

    def read_metadata(self) -> str:
        """Which a page of any origin may read."""
        said = super().read_metadata()
        self._require_readable(self._exchanges[-1], "the metadata")
        return said

    def ask_before(self) -> str:
        """What a browser asks before it sends a header of the page's own."""
        mine = self._preflight(self.origin)
        if not _allows(mine, self.origin):
            self.note(
                f"{mine.path} does not answer a preflight of {self.origin} with leave to call (it answers "
                f"{mine.status}): pages whose library sends headers of its own stop here. Name the origin in "
                "OAUTH2_CORS_ORIGINS where it is the clientgetter that knows the client, or "
                f"{_OVERWRITTEN}"
            )
        other = self._preflight(_ELSEWHERE)
        if _allows(other, _ELSEWHERE):
            self.note(f"pages of any site may call {other.path}, not those of clients alone: {_OVERWRITTEN}")
            return "pages of any site may call"
        return f"pages of {self.origin} may call, others may not"

    def allow(self) -> str:
        """The person allows, and the page redeems the code and can read the answer."""
        said = super().allow()
        self._require_readable(self._exchanges[-1], "the answer of the token endpoint")
        return said

    def call_view(self) -> str:
        """The view may be of the same site as the page, so that CORS is the application's own matter."""
        said = super().call_view()
        if self.view is not None and not _allows(self._exchanges[-1], self.origin):
            self.note(
                f"pages of another site cannot read what {self.view.path} answers: an extension such as Flask-CORS "
                "allows it, where that is wanted"
            )
        return said

    def refresh_token(self) -> str:
        """A new token without asking the person, which the page can read."""
        said = super().refresh_token()
        for answer in self._exchanges[:1]:
            self._require_readable(answer, "the answer of the token endpoint")
        return said

    def repeat_refresh(self) -> str:
        """Somebody has a copy of the old refresh token: all that came of it ends, :rfc:`9700#section-4.14.2`."""
        if not self.held.spent:
            return "no refresh token was spent"
        self.sandbox.clock.forward(self.server.refresh_token_grace_period_public)
        answer = self.request_token(grant_type="refresh_token", refresh_token=self.held.spent[-1])
        if answer.status == 200:
            raise Stop(
                "a refresh token that was spent is good again",
                "rfc9700 4.14.2",
                "let the store spend each refresh token once: flask_oauth2.testing has the contract of a store",
            )
        after = self.request_token(grant_type="refresh_token", refresh_token=self.held.refresh_token)
        if after.status == 200:
            raise Stop(
                "a spent refresh token came again, and the one that followed it still is good",
                "rfc9700 4.14.2",
                "let revoke() of the store end the whole family: flask_oauth2.testing has the contract of a store",
            )
        if self.view is not None and self.get_view(self.held.access_token).status != 401:
            raise Stop(
                "a spent refresh token came again, and the access token still is good",
                "rfc9700 4.14.2",
                "guard the view by @provider.require_oauth",
            )
        return "the old one is refused, and all tokens of that authorization have ended"

    def give_up(self) -> str:
        """The person allows once more, and signs out in the page."""
        self.held = type(self.held)()
        super().allow()
        return super().give_up()

    def _preflight(self, origin: str) -> Exchange:
        headers = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        }
        return self.program("OPTIONS", self.metadata["token_endpoint"], headers=headers)

    def _require_readable(self, answer: Exchange, what: str) -> None:
        named = answer.headers.getlist("Access-Control-Allow-Origin")
        if not _allows(answer, self.origin):
            received = f"says {', '.join(named)}" if named else "is not there"
            raise stop_at(
                answer,
                f"the browser does not let a page of {self.origin} read {what}: Access-Control-Allow-Origin {received}",
                "oauth-v2-1 3.2",
                f"name the origin in OAUTH2_CORS_ORIGINS, or {_OVERWRITTEN}",
            )

    steps = (
        ("Read the metadata from a page", read_metadata),
        ("Ask whether the page may call", ask_before),
        ("Send somebody who is not signed in", RegisteredClient.sign_in),
        ("Ask the person, and redeem the code", allow),
        ("Call a view", call_view),
        ("Refresh the token", refresh_token),
        ("Use the old refresh token again", repeat_refresh),
        ("Ask the person again, and revoke the token", give_up),
    )


def _allows(answer: Exchange, origin: str) -> bool:
    """Whether a browser lets a page of that origin read it: the header must come once, and fit."""
    named = answer.headers.getlist("Access-Control-Allow-Origin")
    return answer.status < 500 and named in ([origin], ["*"])
