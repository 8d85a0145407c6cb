"""An OAuth 2.0 provider in one file: users who sign in, an API, and the extension.

Start it with ``flask --app examples/quickstart/app.py run`` and open the address that it prints; sign in as ``demo``
with the password ``demo``. Clients and tokens are stored in ``instance/oauth2.sqlite`` next to this file. The client
that the page demonstrates is in ``client.py``.
"""

import re
import secrets
from dataclasses import dataclass

from client import CLIENT_ID, client
from flask import Flask, abort, flash, redirect, render_template, request, url_for
from flask_login import LoginManager, UserMixin, login_user, logout_user
from werkzeug.security import check_password_hash, generate_password_hash

from flask_oauth2 import Client, OAuth2Provider, current_token

app = Flask(__name__)
app.config.update(
    SECRET_KEY=secrets.token_hex(),  # changes at every start, so users sign in again; load a real key from a safe place
    SESSION_COOKIE_SAMESITE="Lax",
    OAUTH2_SCOPES={"profile": "See your name", "email": "See your e-mail address"},
    OAUTH2_LOGIN_VIEW="login",
)
app.register_blueprint(client)
provider = OAuth2Provider(app)
login_manager = LoginManager(app)


@dataclass(eq=False)
class User(UserMixin):
    """A user with an account."""

    id: str
    name: str
    email: str
    password_hash: str


USERS = {"1": User("1", "demo", "demo@example.com", generate_password_hash("demo"))}


@login_manager.user_loader
def load_user(user_id):
    return USERS.get(user_id)


@app.get("/api/me")
@provider.require_oauth("profile")
def me():
    """Return the user's profile. The access token needs the scope ``profile``."""
    answer = {"id": current_token.user_id, "name": current_token.user.name}
    if "email" in current_token.scope:
        answer["email"] = current_token.user.email
    return answer


@app.route("/login", methods=["GET", "POST"])
def login():
    """Sign in. The extension redirects users to this view, with ``next`` to return to the authorization request."""
    if request.method == "POST":
        reject_cross_site_form()
        name = request.form["name"]
        user = next((user for user in USERS.values() if user.name == name), None)
        if user and check_password_hash(user.password_hash, request.form["password"]):
            login_user(user)
            return redirect(local_path(request.args.get("next", "")), 303)
        flash("The name or the password is wrong.")
    return render_template("login.html")


@app.post("/logout")
def logout():
    reject_cross_site_form()
    logout_user()
    return redirect(url_for("client.home"), 303)


def reject_cross_site_form():
    """Reject a form that another site has sent."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        abort(403)


def local_path(path):
    """Return the path if it is a path of this application, else the path of the home page."""
    return path if re.fullmatch(r"/(?![/\\])[!-~]*", path) else url_for("client.home")


@app.after_request
def protect(response):
    response.headers.setdefault(
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    )
    return response


with app.app_context():
    # a native application: it has no secret (PKCE protects it), and may use any port of its loopback addresses
    provider.server.store.set_client(
        Client(
            client_id=CLIENT_ID,
            name="Quickstart client",
            auth_method="none",
            application_type="native",
            redirect_uris=("http://127.0.0.1/connected", "http://localhost/connected"),
            scope=("profile", "email"),
        )
    )
