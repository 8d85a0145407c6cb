"""The provider: users sign in here, and authorize MCP clients for the MCP server of ``notes.py``, another application.

Start both, each in a terminal of its own::

    flask --app examples/resource_server/login.py run --port 5000
    flask --app examples/resource_server/notes.py run --port 5001

Then add the URL ``http://127.0.0.1:5001/mcp`` to an MCP client. Sign in as ``demo`` with the password ``demo``.
"""

import re
import secrets

import flask
from flask_login import LoginManager, UserMixin, login_user

from flask_oauth2 import OAuth2Provider

app = flask.Flask(__name__)
app.config.update(
    SECRET_KEY=secrets.token_hex(),  # new with each start; a real one comes from a safe place
    SESSION_COOKIE_SAMESITE="Lax",
    NOTES_URL="http://127.0.0.1:5001",
    OAUTH2_ISSUER="http://127.0.0.1:5000",
    OAUTH2_DATABASE_URI="sqlite://",  # in memory, so that a new SECRET_KEY finds no old keys
    OAUTH2_SCOPES={"notes:read": "Read your notes", "notes:write": "Write notes in your name"},
    OAUTH2_LOGIN_VIEW="login",
    OAUTH2_DYNAMIC_REGISTRATION="open",
)
app.config.from_prefixed_env()  # such as FLASK_OAUTH2_ISSUER=https://login.example
provider = OAuth2Provider(app)
provider.add_resource(f"{app.config['NOTES_URL']}/mcp", ["notes:read", "notes:write"], format="jwt", name="Notes")
login_manager = LoginManager(app)


@login_manager.user_loader
def load_user(user_id):
    user = UserMixin()
    user.id = user_id
    return user


@app.route("/login", methods=["GET", "POST"])
def login():
    if flask.request.method == "POST":
        if flask.request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            flask.abort(403)
        if (flask.request.form["name"], flask.request.form["password"]) == ("demo", "demo"):
            login_user(load_user("demo"))
            path = flask.request.args.get("next", "")
            return flask.redirect(path if re.fullmatch(r"/(?![/\\])[!-~]*", path) else "/login", 303)
    return flask.render_template("login.html", client=provider.requesting_client())
