"""The client, usually a separate application: it connects, and shows each request that it sends.

It is a public client and only uses HTTP. In your client, use a library such as Authlib.
"""

import json
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from http.client import HTTPConnection
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, redirect, render_template, request, session, url_for

CLIENT_ID = "quickstart"

client = Blueprint("client", __name__)

JOURNEYS = {}
"""The client's state for each browser. A real client stores tokens in a database."""


@dataclass
class Exchange:
    """A request and its response, to display."""

    title: str
    method: str
    url: str
    sent: dict
    status: str = ""
    answer: str = ""
    note: str = ""


@dataclass
class Journey:
    """One connection, from the click to the revocation of its tokens."""

    state: str = field(default_factory=secrets.token_urlsafe)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    exchanges: list = field(default_factory=list)
    metadata: dict = field(default_factory=dict)
    redirect_uri: str = ""
    code: str = ""
    token: dict = field(default_factory=dict)
    error: str = ""
    done: int = 0

    def call(self, title, method, url, form=None, headers=None):
        """Send a request, record it, and return the JSON of a successful response."""
        parts = urlsplit(url)
        connection = HTTPConnection(parts.netloc, timeout=10)
        form_type = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        try:
            body = urlencode(form) if form else None
            connection.request(method, parts.path, body, {**form_type, **(headers or {})})
            response = connection.getresponse()
            content = json.loads(response.read() or "null")
        finally:
            connection.close()
        self.exchanges.append(
            Exchange(
                title,
                method,
                url,
                form or headers or {},
                f"{response.status} {response.reason}",
                json.dumps(content, indent=2) if content is not None else "",
                response.headers.get("WWW-Authenticate", ""),
            )
        )
        return content if response.status == 200 else {}


def redeem(journey, title):
    form = {
        "grant_type": "authorization_code",
        "code": journey.code,
        "redirect_uri": journey.redirect_uri,
        "client_id": CLIENT_ID,
        "code_verifier": journey.verifier,
    }
    journey.token = journey.call(title, "POST", journey.metadata["token_endpoint"], form)


def call_api(journey, title):
    headers = {"Authorization": f"Bearer {journey.token.get('access_token')}"}
    journey.call(title, "GET", f"{journey.metadata['issuer']}/api/me", headers=headers)


def refresh(journey, title):
    form = {
        "grant_type": "refresh_token",
        "refresh_token": journey.token.get("refresh_token"),
        "client_id": CLIENT_ID,
    }
    journey.token = journey.call(title, "POST", journey.metadata["token_endpoint"], form)


def revoke(journey, title):
    form = {"token": journey.token.get("refresh_token"), "client_id": CLIENT_ID}
    journey.call(title, "POST", journey.metadata["revocation_endpoint"], form)


STEPS = (
    (
        "Redeem the code",
        redeem,
        "The code passed through the browser. Only the client with the verifier can redeem it.",
    ),
    ("Call the API", call_api, "The access token identifies the user, the client and the scope."),
    ("Refresh the tokens", refresh, "A refresh token can be used once. It is replaced by a new pair."),
    ("Revoke", revoke, "Revoking the refresh token revokes all tokens of this connection."),
    ("Call the API again", call_api, "The access token has not expired, but it is revoked."),
)


@client.get("/")
def home():
    journey = JOURNEYS.get(session.get("journey"))
    upcoming = STEPS[journey.done] if journey and journey.code and journey.done < len(STEPS) else None
    return render_template("home.html", journey=journey, upcoming=upcoming)


@client.get("/connect")
def connect():
    """Read the server metadata, and redirect the browser to the authorization endpoint."""
    journey = Journey(redirect_uri=url_for(".connected", _external=True))
    session["journey"] = secrets.token_urlsafe()
    JOURNEYS[session["journey"]] = journey
    # the address of this server; a separate client is configured with the URL of its provider
    provider = f"http://{request.environ['SERVER_NAME']}:{request.environ['SERVER_PORT']}"
    journey.metadata = journey.call("Find the provider", "GET", f"{provider}/.well-known/oauth-authorization-server")
    parameters = {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": journey.redirect_uri,
        "scope": "profile email",
        "state": journey.state,
        "code_challenge": urlsafe_b64encode(sha256(journey.verifier.encode()).digest()).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    endpoint = journey.metadata["authorization_endpoint"]
    journey.exchanges.append(Exchange("Send the browser", "GET", endpoint, parameters))
    return redirect(f"{endpoint}?{urlencode(parameters)}", 303)


@client.get("/connected")
def connected():
    """Receive the authorization response. Verify that it belongs to this browser and comes from the provider."""
    journey = JOURNEYS.get(session.get("journey"))
    if journey and not journey.code and request.args.get("state") == journey.state:
        exchange = journey.exchanges[-1]
        exchange.status, exchange.note = "303 See Other", f"back to {journey.redirect_uri}"
        exchange.answer = json.dumps(request.args, indent=2)
        if request.args.get("iss") != journey.metadata["issuer"]:
            journey.error = "The response comes from another provider."
        elif "error" in request.args:
            journey.error = (
                "You denied access." if request.args["error"] == "access_denied" else "The request was rejected."
            )
        else:
            journey.code = request.args["code"]
    return redirect(url_for(".home", _anchor="step-2"), 303)


@client.post("/next")
def advance():
    """Run the next step."""
    journey = JOURNEYS.get(session.get("journey"))
    if journey and journey.code and journey.done < len(STEPS):
        title, step, _ = STEPS[journey.done]
        step(journey, title)
        journey.done += 1
    return redirect(url_for(".home", _anchor=f"step-{len(journey.exchanges)}" if journey else None), 303)
