"""An MCP server that any MCP client can connect to with its URL: notes that an assistant may read and write.

Start it with ``flask --app examples/mcp_server/app.py run`` and give a client the URL ``http://127.0.0.1:5000/mcp``. It
registers itself, redirects you to sign in (as ``demo``, password ``demo``) and to consent, and calls the tools. It
requests the scope ``notes:write`` at the first write. ``provider.protect_mcp`` and ``current_token`` do all of this.
"""

import re
import secrets

import flask
from flask_login import LoginManager, UserMixin, login_user

from flask_oauth2 import OAuth2Provider, current_token

app = flask.Flask(__name__)
app.config.update(
    SECRET_KEY=secrets.token_hex(),  # changes at every start, so users sign in again; load a real key from a safe place
    SESSION_COOKIE_SAMESITE="Lax",
    OAUTH2_SCOPES={"notes:read": "Read your notes", "notes:write": "Write notes in your name"},
    OAUTH2_LOGIN_VIEW="login",
)
app.config.from_prefixed_env()  # for example FLASK_OAUTH2_ISSUER=https://notes.example
provider = OAuth2Provider(app)
provider.protect_mcp("/mcp", ["notes:read"], step_up=["notes:write"], name="Notes")
login_manager = LoginManager(app)

NOTES = {"demo": ["buy milk"]}
"""The notes of each user."""


@login_manager.user_loader
def load_user(user_id):
    user = UserMixin()
    user.id = user_id
    return user


@app.route("/login", methods=["GET", "POST"])
def login():
    """Sign in. The extension redirects users to this view, with ``next`` to return to the authorization request."""
    if flask.request.method == "POST":
        if flask.request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            flask.abort(403)
        if (flask.request.form["name"], flask.request.form["password"]) == ("demo", "demo"):
            login_user(load_user("demo"))
            path = flask.request.args.get("next", "")
            return flask.redirect(path if re.fullmatch(r"/(?![/\\])[!-~]*", path) else "/login", 303)
    return flask.render_template("login.html", client=provider.requesting_client())


def read_notes():
    return "\n".join(NOTES[current_token.user_id])


def write_note(text):
    current_token.require("notes:write")  # otherwise the client asks the user for the scope and retries
    NOTES[current_token.user_id].append(text)
    return "written"


TOOLS = {"read_notes": (read_notes, {}), "write_note": (write_note, {"text": {"type": "string"}})}


@app.post("/mcp")
def mcp():
    """Serve the Model Context Protocol over HTTP: one JSON-RPC message per request."""
    message = flask.request.get_json()
    if "id" not in message:
        return "", 202  # a notification
    answer = {"jsonrpc": "2.0", "id": message["id"]}
    try:
        answer["result"] = METHODS[message["method"]](**message.get("params", {}))
    except KeyError:
        answer["error"] = {"code": -32601, "message": "no such method"}
    return answer


def initialize(**params):
    known = ("2025-03-26", "2025-06-18", "2025-11-25")
    return {
        "protocolVersion": params["protocolVersion"] if params["protocolVersion"] in known else known[-1],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "notes", "version": "1"},
    }


def list_tools(**_):
    return {
        "tools": [
            {"name": name, "inputSchema": {"type": "object", "properties": takes, "required": list(takes)}}
            for name, (_, takes) in TOOLS.items()
        ]
    }


def call_tool(name, arguments=None, **_):
    call, takes = TOOLS[name]
    text = call(**{argument: (arguments or {})[argument] for argument in takes})
    return {"content": [{"type": "text", "text": text}]}


METHODS = {"initialize": initialize, "ping": lambda **_: {}, "tools/list": list_tools, "tools/call": call_tool}
