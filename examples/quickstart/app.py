"""An OAuth 2 provider in one file: people who sign in, an API, and the extension between them.

Start it with ``flask --app examples/quickstart/app.py run`` and open the address that it prints; sign in as ``demo``
with the password ``demo``. Clients and tokens are kept in ``instance/oauth2.sqlite`` beside this file. The client that
the page plays is in ``client.py``.
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
    SECRET_KEY=secrets.token_hex(),  # new with each start, so people sign in again; a real one comes from a safe place
    SESSION_COOKIE_SAMESITE="Lax",
    OAUTH2_SCOPES={"profile": "See your name", "email": "See your e-mail address"},
    OAUTH2_LOGIN_VIEW="login",
)
app.register_blueprint(client)
provider = OAuth2Provider(app)
login_manager = LoginManager(app)


@dataclass(eq=False)
class User(UserMixin):
    """Somebody with an account here."""

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
    """The API: what a token with the scope ``profile`` may read."""
    answer = {"id": current_token.user_id, "name": current_token.user.name}
    if "email" in current_token.scope:
        answer["email"] = current_token.user.email
    return answer


@app.route("/login", methods=["GET", "POST"])
def login():
    """The application's own login page; the extension sends people here, with ``next`` to come back by."""
    if request.method == "POST":
        refuse_foreign_form()
        name = request.form["name"]
        user = next((user for user in USERS.values() if user.name == name), None)
        if user and check_password_hash(user.password_hash, request.form["password"]):
            login_user(user)
            return redirect(local(request.args.get("next", "")), 303)
        flash("The name or the password is wrong.")
    return render_template("login.html")


@app.post("/logout")
def logout():
    refuse_foreign_form()
    logout_user()
    return redirect(url_for("client.home"), 303)


def refuse_foreign_form():
    """Refuse a form that another site has sent."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        abort(403)


def local(path):
    """``path`` if it leads nowhere but to this application."""
    return path if re.fullmatch(r"/(?![/\\])[!-~]*", path) else url_for("client.home")


@app.after_request
def protect(response):
    response.headers.setdefault(
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    )
    return response


with app.app_context():
    # a native application: it has no secret (PKCE protects it), and any port of its loopback addresses will do
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
