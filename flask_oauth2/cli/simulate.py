"""The command ``flask oauth2 simulate``: simulate a client and report where a real client would fail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click

from .. import web
from ..http import urls
from ..scopes import parse_option
from ..tools.simulation import PROFILES, Simulation, Step, open_sandbox
from . import oauth2
from .base import find_issuer, json_option, one_line, print_json

_NOTHING_SAVED = (
    "The simulation runs in this process with your settings, views and pages, on a store in memory that is "
    "discarded. It calls no grantsetter or tokensetter and sends no signals."
)


@oauth2.command("simulate", short_help="Simulate a client of the application.")
@click.argument("profile", type=click.Choice(list(PROFILES)))
@click.option("--user", default="simulated", metavar="ID", show_default=True, help="User who is signed in.")
@click.option("--path", metavar="PATH", help="Path to call. Default: the MCP server, or the first guarded view.")
@click.option("--scope", metavar="SCOPE", help='Scope to request: "a b". Default: the scope that the path requires.')
@json_option
def simulate(profile: str, user: str, path: str | None, scope: str | None, as_json: bool) -> None:
    """Simulate a client of this application, and report where a real client would fail and why.

    mcp is an MCP client that only knows a URL, spa a page of another site, cli a program on the user's own machine (and
    a device, if the provider supports devices), server the server of another site.

    Each step is a request that such a client sends. Your own settings, views, guards and pages answer it in this
    process. A store in memory replaces yours, so nothing is saved. The simulation sends no signals, and calls no
    callback that reads or writes codes and tokens. Your views do run, with all their effects.

    If the application has several issuers, name one: flask oauth2 --issuer URL simulate PROFILE.

    The simulation needs a signed-in user. If a view looks up its user, name an existing user with --user.

    Exit code: 0 if the client succeeds, 1 if a real client would fail.
    """
    _check(path, scope)
    with open_sandbox(web.current_app(), user, find_issuer()) as sandbox:
        simulation = PROFILES[profile](sandbox, path, scope)
        if as_json:
            steps = list(simulation.play())
            print_json({"profile": profile, "subject": simulation.subject, **_describe(steps)})
        else:
            steps = list(_print(simulation))
    if steps[-1].stop is not None:
        sys.exit(1)


def _check(path: str | None, scope: str | None) -> None:
    if path is not None and not (path.startswith("/") or urls.is_web(path)):
        raise click.BadParameter("must start with a slash, like a path of the application", param_hint="--path")
    try:
        parse_option(scope or ())
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--scope") from None


def _print(simulation: Simulation) -> Iterator[Step]:
    """Print each step when it is done."""
    click.echo(f"Simulating {simulation.description} with {one_line(simulation.subject)}.")
    click.echo(f"{_NOTHING_SAVED}\n")
    number = 0
    for number, step in enumerate(simulation.play(), 1):
        requests = ", ".join(exchange.line for exchange in step.exchanges)
        said = "; ".join(filter(None, [requests, one_line(step.learnt)]))
        click.echo(f"{number:2}. {step.title}: {said}")
        for note in step.notes:
            click.echo(f"    note: {one_line(note)}")
        if step.stop is not None:
            click.echo(f"    a real client fails here: {one_line(step.stop.reason)}")
            click.echo(f"    rule: {step.stop.rule}")
            if step.stop.hint:
                click.echo(f"    hint: {one_line(step.stop.hint)}")
        yield step
        if step.stop is not None:
            return
    click.echo(f"\nThe client completed all {number} steps.")


def _describe(steps: list[Step]) -> dict[str, Any]:
    described = []
    for number, step in enumerate(steps, 1):
        stop = step.stop
        described.append(
            {
                "number": number,
                "title": step.title,
                "requests": [
                    {"method": exchange.method, "path": exchange.path, "status": exchange.status}
                    for exchange in step.exchanges
                ],
                "learnt": step.learnt,
                "notes": list(step.notes),
                "stop": stop and {"reason": stop.reason, "rule": stop.rule, "hint": stop.hint},
            }
        )
    return {"passed": steps[-1].stop is None, "steps": described}
