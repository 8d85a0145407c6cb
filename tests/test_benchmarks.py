"""The benchmarks run, what they compare refuses what it must, and does the same work. No time is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.contest import Contest
from benchmarks.contestants import bare, floor, provider
from benchmarks.probe import CHECKS, find_failures
from benchmarks.site import Place, Site
from benchmarks.statements import count
from benchmarks.works import WORKS

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> Contest:
    """The shortest form of the command."""
    results = tmp_path_factory.mktemp("results")
    only = ["--rounds", "1", "--requests", "5", "--only", "floor,bare,flask_oauth2", "--results", str(results)]
    command = [sys.executable, "-m", "benchmarks", *only]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("floor", "bare", "flask_oauth2", *(title for title, _ in WORKS.values())):
        assert name in done.stdout
    assert "All refuse what they must." in done.stdout
    return Contest.read(json.loads((results / "contest.json").read_text()))


def test_every_work_is_measured(contest: Contest) -> None:
    assert set(contest.results) == {"floor", "bare", "flask_oauth2"}
    for results in contest.results.values():
        assert set(results) == set(WORKS)
        assert all(0 < low <= middle <= high for low, middle, high in (one.quartiles for one in results.values()))
    assert contest.ratio("floor", "guard") == 1


@pytest.mark.parametrize("work", WORKS)
def test_the_floor_does_the_same_work(contest: Contest, work: str) -> None:
    ours, floor_, bare_ = (contest.results[name][work] for name in ("flask_oauth2", "floor", "bare"))
    assert (ours.statements, ours.commits) == (floor_.statements, floor_.commits)
    assert (bare_.statements, bare_.commits) == (0, 0)


@pytest.fixture(params=[floor, provider], ids=["floor", "flask_oauth2"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    opened: Site = request.param.open_site(Place(tmp_path))
    opened.sign_in()
    return opened


def test_the_probe_finds_nothing(site: Site) -> None:
    assert list(find_failures(site)) == []


def test_the_probe_finds_all(tmp_path: Path) -> None:
    assert list(find_failures(bare.open_site(Place(tmp_path)))) == list(CHECKS)


@pytest.mark.parametrize(
    ("statement", "without", "allowed"),
    [
        ("SPEND_CODE", " AND used_at IS NULL", "a used code"),
        ("SPEND_REFRESH", " AND used_at IS NULL", "a spent refresh token"),
        ("GET_ACCESS", "NOT EXISTS (SELECT 1 FROM revocation WHERE mark IN (family, client_id, consent_id, ?))", ""),
    ],
)
def test_the_probe_names_what_is_allowed(
    statement: str, without: str, allowed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = getattr(floor, statement)
    assert without in text
    monkeypatch.setattr(floor, statement, text.replace(without, "" if allowed else "? IS NOT NULL"))
    opened = floor.open_site(Place(tmp_path))
    opened.sign_in()
    assert list(find_failures(opened)) == [allowed or "a revoked token"]


def test_a_statement_that_stands_alone_is_a_commit() -> None:
    assert count(["SELECT 1", "INSERT INTO a VALUES (1)"]) == (2, 1)
    assert count(["BEGIN IMMEDIATE", "UPDATE a SET b = 1", "INSERT INTO a VALUES (1)", "COMMIT"]) == (2, 1)
    assert count(["BEGIN", "SELECT 1", "COMMIT"]) == (1, 0)
    assert count(["BEGIN", "UPDATE a SET b = 1", "ROLLBACK", "PRAGMA x"]) == (1, 0)
