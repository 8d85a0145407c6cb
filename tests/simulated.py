"""Simulated clients, and functions that read their steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask

from flask_oauth2 import current_token
from flask_oauth2.tools.simulation import PROFILES, Step, open_sandbox

Play = Callable[..., list[Step]]


def play(app: flask.Flask, profile: str, path: str | None = None, scope: str | None = None, user: str = "eve") -> Any:
    """Return the steps of a client."""
    with open_sandbox(app, user) as sandbox:
        return list(PROFILES[profile](sandbox, path, scope).play())


def stop_of(steps: list[Step]) -> Any:
    """Return the stop of a client that failed."""
    assert steps[-1].stop is not None, [step.title for step in steps]
    assert all(step.stop is None for step in steps[:-1])
    return steps[-1].stop


def notes_of(steps: list[Step]) -> str:
    """Return the notes of a client that succeeded."""
    assert steps[-1].stop is None, (steps[-1].title, steps[-1].stop.reason)
    return "\n".join(note for step in steps for note in step.notes)


def lines_of(steps: list[Step]) -> list[str]:
    return [exchange.line for step in steps for exchange in step.exchanges]


def result_of(steps: list[Step], title: str) -> str:
    """Return the result of the step with a title."""
    return next(step.learnt for step in steps if step.title == title)


def initialize() -> Any:
    """Return the first response of an MCP server."""
    message = flask.request.get_json()
    assert message["method"] == "initialize"
    assert current_token.client_id
    result = {"protocolVersion": message["params"]["protocolVersion"], "serverInfo": {"name": "notes", "version": "1"}}
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def rewrite_json(app: flask.Flask, path: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Make the application change the JSON responses of the provider at a path."""

    @app.after_request
    def rewrite(response: flask.Response) -> flask.Response:
        if flask.request.path.startswith(path) and response.status_code in (200, 201):
            content = response.get_json()
            change(content)
            response.set_data(flask.json.dumps(content))
        return response
