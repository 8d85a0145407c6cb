"""What a request may cost: SQL statements, commits, and calls inside the package. Counts, so they do not flicker."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from budgets import BUDGETS, prepare_operations

import flask_oauth2
from oauth_site import Site, Statements

PACKAGE = os.path.dirname(flask_oauth2.__file__)


@pytest.fixture
def works(sql_site: Site) -> dict[str, Callable[[], Any]]:
    return prepare_operations(sql_site)


@pytest.mark.parametrize(("work", "most_statements", "most_commits"), BUDGETS)
def test_statements_and_commits(
    works: dict[str, Callable[[], Any]], statements: Statements, work: str, most_statements: int, most_commits: int
) -> None:
    works[work]()
    statements.clear()
    assert works[work]().status_code in (200, 204, 303)
    assert len(statements.work()) <= most_statements, statements
    assert statements.commits() == most_commits


JWT_BUDGETS = [budget for budget in BUDGETS if budget[0] not in ("authorize", "preflight", "page")]


@pytest.mark.parametrize(("work", "most_statements", "most_commits"), JWT_BUDGETS)
def test_json_web_tokens_need_no_more_statements(
    sql_site: Site, statements: Statements, work: str, most_statements: int, most_commits: int
) -> None:
    sql_site.app.config["OAUTH2_ACCESS_TOKEN_FORMAT"] = "jwt"
    works = prepare_operations(sql_site)
    works[work]()
    statements.clear()
    assert works[work]().status_code == 200
    assert len(statements.work()) <= most_statements, statements
    assert statements.commits() <= most_commits


@pytest.mark.parametrize(
    ("work", "most"),
    [
        ("client_credentials", 37),
        ("code", 43),
        ("refresh", 44),
        ("introspection", 38),
        ("revocation", 38),
        ("guard", 26),
        ("authorize", 101),
    ],
)
def test_calls_inside_the_package(works: dict[str, Callable[[], Any]], work: str, most: int) -> None:
    works[work]()
    calls: list[str] = []

    def count(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            calls.append(f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_code.co_name}")

    sys.setprofile(count)
    try:
        answer = works[work]()
    finally:
        sys.setprofile(None)
    assert answer.status_code in (200, 303)
    assert 0 < len(calls) <= most, "\n".join(calls)
