"""The client, which would be an application of its own: it connects, and shows each request that it makes.

It is a public client and uses nothing but HTTP; in your own, a library such as Authlib does all of this.
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
"""What the client knows of each browser; a real one keeps tokens in a database."""


@dataclass
class Exchange:
    """A request and its answer, to be shown."""

    title: str
    method: str
    url: str
    sent: dict
    status: str = ""
    answer: str = ""
    note: str = ""


@dataclass
class Journey:
    """One connection, from the click to the end of its tokens."""

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
        """Make a request, note it, and return the JSON of a good answer."""
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
    ("Redeem the code", redeem, "The code passed through the browser. Only who knows the verifier can redeem it."),
    ("Call the API", call_api, "The access token says who let which client do what."),
    ("Refresh the tokens", refresh, "A refresh token is good for one use: a new pair takes its place."),
    ("Revoke", revoke, "To end the refresh token is to end all tokens that came of this connection."),
    ("Call the API again", call_api, "The access token has not expired, but it opens nothing any more."),
)


@client.get("/")
def home():
    journey = JOURNEYS.get(session.get("journey"))
    upcoming = STEPS[journey.done] if journey and journey.code and journey.done < len(STEPS) else None
    return render_template("home.html", journey=journey, upcoming=upcoming)


@client.get("/connect")
def connect():
    """Find out where to go, and send the browser there."""
    journey = Journey(redirect_uri=url_for(".connected", _external=True))
    session["journey"] = secrets.token_urlsafe()
    JOURNEYS[session["journey"]] = journey
    # the address of this very server; a client elsewhere is told where its provider is
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
    """The redirect URI. Its answer counts only if it belongs to this browser's request and comes from the provider."""
    journey = JOURNEYS.get(session.get("journey"))
    if journey and not journey.code and request.args.get("state") == journey.state:
        asked = journey.exchanges[-1]
        asked.status, asked.note = "303 See Other", f"back to {journey.redirect_uri}"
        asked.answer = json.dumps(request.args, indent=2)
        if request.args.get("iss") != journey.metadata["issuer"]:
            journey.error = "The answer comes from another provider."
        elif "error" in request.args:
            journey.error = "You did not allow it." if request.args["error"] == "access_denied" else "It was refused."
        else:
            journey.code = request.args["code"]
    return redirect(url_for(".home", _anchor="step-2"), 303)


@client.post("/next")
def advance():
    """Take the next step."""
    journey = JOURNEYS.get(session.get("journey"))
    if journey and journey.code and journey.done < len(STEPS):
        title, step, _ = STEPS[journey.done]
        step(journey, title)
        journey.done += 1
    return redirect(url_for(".home", _anchor=f"step-{len(journey.exchanges)}" if journey else None), 303)
