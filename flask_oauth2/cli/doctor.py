"""The command ``flask oauth2 doctor``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
import flask
from flask.cli import ScriptInfo

from . import oauth2
from .base import find_issuer, json_option, one_line, print_json

if TYPE_CHECKING:
    from ..tools.doctor import Finding


def _check_url(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise click.BadParameter("must be scheme, host and port, such as http://127.0.0.1:8000")
    return value


@oauth2.command("doctor", with_appcontext=False, short_help="Diagnose the application.")
@click.option("--url", callback=_check_url, help="URL at which the application listens, if not OAUTH2_ISSUER.")
@click.option("--offline", is_flag=True, help="Send no requests to the running application.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Time limit for all requests together. Each may take a sixth of it.",
)
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@json_option
@click.pass_context
def doctor(context: click.Context, url: str | None, offline: bool, timeout: float, strict: bool, as_json: bool) -> None:
    """Diagnose the application: its settings, data, views, and public URL.

    The command requests the metadata documents under the public URL, as clients do. It changes nothing. The exit code
    is 1 if there are errors. If the application has several issuers, name one: flask oauth2 --issuer URL doctor.
    """
    from ..tools.doctor import broken, diagnose

    try:
        app: flask.Flask = context.ensure_object(ScriptInfo).load_app()
        findings = diagnose(app, issuer=find_issuer(), url=url, offline=offline, timeout=timeout)
    except click.ClickException:  # Flask found no such application
        raise
    except Exception as reason:  # the application cannot start, so there is nothing else to check
        findings = [broken("settings.start", reason)]
    counts = {level: sum(finding.level == level for finding in findings) for level in ("error", "warning", "note")}
    if as_json:
        print_json({"findings": list(map(asdict, findings)), "errors": counts["error"], "warnings": counts["warning"]})
    else:
        _print(findings, counts)
    if counts["error"] or (strict and counts["warning"]):
        raise SystemExit(1)


def _print(findings: list[Finding], counts: dict[str, int]) -> None:
    field = ""
    for finding in findings:
        if finding.check.partition(".")[0] != field:
            field = finding.check.partition(".")[0]
            click.echo(field.replace("_", "-").capitalize())
        click.echo(f"  {finding.level:<8} {one_line(finding)}")
    if not findings:
        click.echo("No problems found.")
        return
    said = [f"{count} {level}{'' if count == 1 else 's'}" for level, count in counts.items() if count]
    click.echo(f"\n{', '.join(said)}.")
