"""A provider for devices: one user, an API, and a client without a browser.

Start it with ``flask --app examples/device/app.py run``, and in another terminal ``python examples/device/tv.py``,
which acts as the device. Sign in as ``demo`` with the password ``demo``.
"""

import hmac
import re
import secrets

from flask import Flask, redirect, request, session

from flask_oauth2 import Client, MemoryStore, OAuth2Provider, current_token

app = Flask(__name__)
app.config.update(
    SECRET_KEY=secrets.token_hex(),  # changes at every start; load a real key from a safe place
    SESSION_COOKIE_SAMESITE="Lax",
    OAUTH2_SCOPES={"films": "Play your films"},
    OAUTH2_GRANT_TYPES=["device_code", "refresh_token"],
    OAUTH2_LOGIN_VIEW="login",
)
app.config.from_prefixed_env()
provider = OAuth2Provider(app, store=MemoryStore())


@provider.current_user
def current_user():
    return session.get("user")


@app.route("/login", methods=["GET", "POST"])
def login():
    """Sign in. Replace this with your login page."""
    if request.method == "POST":
        if request.form["name"] == "demo" and hmac.compare_digest(request.form["password"].encode(), b"demo"):
            session["user"] = "demo"
            back = request.args.get("next", "")
            return redirect(back if re.fullmatch(r"/(?![/\\])[!-~]*", back) else "/", 303)
        return "The name or the password is wrong.", 403
    return (
        '<!doctype html><html lang="en"><title>Sign in</title><form method="post">'
        '<label>Name <input name="name"></label> '
        '<label>Password <input name="password" type="password"></label> <button>Sign in</button></form></html>'
    )


@app.get("/api/films")
@provider.require_oauth("films")
def films():
    """Return the user's films. The access token needs the scope ``films``."""
    return {"of": current_token.user_id, "films": ["Metropolis", "M"]}


with app.app_context():
    provider.server.store.set_client(
        Client(
            client_id="tv",
            name="Television in the living room",
            auth_method="none",  # a secret can be extracted from the device
            application_type="native",
            grant_types=("urn:ietf:params:oauth:grant-type:device_code", "refresh_token"),
            response_types=(),
            scope=("films",),
        )
    )
