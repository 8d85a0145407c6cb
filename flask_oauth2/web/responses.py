"""Convert :class:`~.http.messages.Response` objects to Flask responses."""

from __future__ import annotations

import json

import flask

from ..http.messages import Response

_JSON_TYPE = "Content-Type", "application/json"
_encode = json.JSONEncoder(separators=(",", ":")).encode


def write(response: Response) -> flask.Response:
    """Return the Flask response."""
    body = response.body
    if isinstance(body, str):
        mimetype = None if "Content-Type" in response.headers else "text/plain"
        return flask.Response(body, response.status, response.headers, mimetype)
    return flask.Response(_encode(body), response.status, [_JSON_TYPE, *response.headers.items()])
