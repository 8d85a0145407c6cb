"""The resource server: an MCP server without users and without a provider. See ``login.py``.

It verifies access tokens with the public keys of the provider, so it needs no connection to its database.
"""

import flask

from flask_oauth2 import ResourceServer, current_token

app = flask.Flask(__name__)
app.config.update(ISSUER="http://127.0.0.1:5000", URL="http://127.0.0.1:5001")
app.config.from_prefixed_env()  # such as FLASK_ISSUER=https://login.example
guards = ResourceServer(app, issuer=app.config["ISSUER"], audience=app.config["URL"])
guards.protect_mcp("/mcp", ["notes:read"], step_up=["notes:write"], name="Notes")

NOTES = {"demo": ["buy milk"]}
"""The notes of each user of the provider."""


def read_notes():
    return "\n".join(NOTES[current_token.user_id])


def write_note(text):
    current_token.require("notes:write")  # if the token lacks it, the client asks the user for it and calls again
    NOTES[current_token.user_id].append(text)
    return "written"


TOOLS = {"read_notes": (read_notes, {}), "write_note": (write_note, {"text": {"type": "string"}})}


@app.post("/mcp")
def mcp():
    """Model Context Protocol over HTTP: one JSON-RPC message in, one out."""
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
