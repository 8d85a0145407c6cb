"""``flask oauth2 simulate``: a client is played against the application, and where a real one stops it says why."""

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
from .base import json_option, one_line, print_json

_NOTHING_STAYS = (
    "It is played in this process, on a store in memory: your settings, views and pages, and nothing of it is kept. No "
    "grantsetter or tokensetter of yours is called, and no signal is sent."
)


@oauth2.command("simulate", short_help="Play a client against the application.")
@click.argument("profile", type=click.Choice(list(PROFILES)))
@click.option("--user", default="simulated", metavar="ID", show_default=True, help="Who is signed in.")
@click.option("--path", metavar="PATH", help="What is called. Default: the MCP server, or the first view with a guard.")
@click.option("--scope", metavar="WORDS", help='What is asked for: "a b". Default: what is needed there.')
@json_option
def simulate(profile: str, user: str, path: str | None, scope: str | None, as_json: bool) -> None:
    """Play a client against this application, and say where a real one would stop, and why.

    mcp is an MCP client that has nothing but a URL, spa a page of another site, cli a program on somebody's own
    machine (and a device, where these are let in), server the server of another site.

    Each step is a request that such a client would send, answered in this process by your own settings, views, guards
    and pages. A store in memory stands in for yours, so nothing is kept; no signal is sent, and of your callbacks none
    that reads or writes codes and tokens is called. Your views do run: what they do when they are called, they do.

    Somebody has to be signed in: name one of your users by --user, where a view looks its user up.

    Ends with 0 when the client got through, with 1 where a real one stops.
    """
    _check(path, scope)
    with open_sandbox(web.current_app(), user) as sandbox:
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
        raise click.BadParameter("must begin with a slash, as a path of the application does", param_hint="--path")
    try:
        parse_option(scope or ())
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--scope") from None


def _print(simulation: Simulation) -> Iterator[Step]:
    """Each step as it is taken."""
    click.echo(f"{simulation.who[0].upper()}{simulation.who[1:]} meets {one_line(simulation.subject)}.")
    click.echo(f"{_NOTHING_STAYS}\n")
    number = 0
    for number, step in enumerate(simulation.play(), 1):
        requests = ", ".join(exchange.line for exchange in step.exchanges)
        said = "; ".join(filter(None, [requests, one_line(step.learnt)]))
        click.echo(f"{number:2}. {step.title}: {said}")
        for note in step.notes:
            click.echo(f"    note: {one_line(note)}")
        if step.stop is not None:
            click.echo(f"    a real client stops here: {one_line(step.stop.reason)}")
            click.echo(f"    rule: {step.stop.rule}")
            if step.stop.cure:
                click.echo(f"    cure: {one_line(step.stop.cure)}")
        yield step
        if step.stop is not None:
            return
    click.echo(f"\nThe client got through all {number} steps.")


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
                "stop": stop and {"reason": stop.reason, "rule": stop.rule, "cure": stop.cure},
            }
        )
    return {"passed": steps[-1].stop is None, "steps": described}
