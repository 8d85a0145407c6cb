"""The benchmarks run, and the libraries pass the probe and do the same work. Times are not tested."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from servers import PATIENCE

from benchmarks import growth, keys, load
from benchmarks.comparison import Child, Comparison, Entry, compare
from benchmarks.libraries import LIBRARIES, Library, bare, baseline, baseline_sql, grown, provider
from benchmarks.operations import OPERATIONS
from benchmarks.postgresql import find_programs, serve
from benchmarks.probe import CHECKS, find_failures
from benchmarks.site import Place, Site
from benchmarks.statements import count

ROOT = Path(__file__).parent.parent


PAGE = ROOT / "docs" / "benchmarks.rst"
SMALL = [
    "--rounds",
    "1",
    "--requests",
    "8",
    "--only",
    "baseline,bare,flask_oauth2",
    "--sizes",
    "50,100",
    "--minutes",
    "0.1",
    "--rows",
    "400",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the results of the shortest run of all parts."""
    folder = tmp_path_factory.mktemp("benchmarks")
    into = ["--results", str(folder / "results"), "--docs", str(folder / "docs")]
    command = [sys.executable, "-m", "benchmarks", *SMALL, *into, "--write-docs"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("baseline", "bare", "flask_oauth2", "100 tokens", *(title for title, _ in OPERATIONS.values())):
        assert name in done.stdout
    assert "Every library passes the probe." in done.stdout
    return folder


def read(folder: Path, part: str) -> Any:
    return json.loads((folder / "results" / f"{part}.json").read_text())


@pytest.fixture(scope="module")
def comparison(folder: Path) -> Comparison:
    return Comparison.read(read(folder, "comparison"))


def test_every_operation_is_measured(comparison: Comparison) -> None:
    assert set(comparison.results) == {"baseline", "bare", "flask_oauth2"}
    for results in comparison.results.values():
        assert set(results) == set(OPERATIONS)
        assert all(0 < low <= middle <= high for low, middle, high in (one.quartiles for one in results.values()))
    assert comparison.ratio("baseline", "guard") == 1


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_baseline_does_the_same_work(comparison: Comparison, operation: str) -> None:
    ours, by_hand, bare_ = (comparison.results[name][operation] for name in ("flask_oauth2", "baseline", "bare"))
    assert (ours.statements, ours.commits) == (by_hand.statements, by_hand.commits)
    assert (bare_.statements, bare_.commits) == (0, 0)


@pytest.mark.parametrize("operation", ["client_credentials", "code", "refresh", "introspection", "revocation", "guard"])
def test_the_baseline_does_the_same_work_on_postgresql(postgresql_comparison: Comparison, operation: str) -> None:
    ours, by_hand = (
        postgresql_comparison.results[f"{name}-postgresql"][operation] for name in ("flask_oauth2", "baseline")
    )
    assert (ours.statements, ours.commits) == (by_hand.statements, by_hand.commits)
    assert by_hand.statements > 0


@pytest.fixture(scope="module")
def postgresql_comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    if find_programs() is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("there is no PostgreSQL server here")
    folder = tmp_path_factory.mktemp("places")
    libraries = {name: LIBRARIES[name] for name in ("baseline-postgresql", "flask_oauth2-postgresql")}
    with serve() as server:
        entries = {}
        for name, library in libraries.items():
            (folder / name).mkdir()
            entries[name] = Entry(library, Place(folder / name, server.make_database(name)))
        result = compare(entries, rounds=1, requests=2)
    assert result.failures == {name: [] for name in libraries}
    return result


def test_authlib_passes_the_probe_except_for_pkce(tmp_path: Path) -> None:
    """Use the environment of the tests, which has Authlib for the tests of the import."""
    child = Child("authlib", Entry(Library("authlib_site"), Place(tmp_path)))
    try:
        assert child.command(do="probe") == ["a request without PKCE"]
        assert set(OPERATIONS) - set(child.operations) == {"metadata"}
        assert [len(child.command(do="time", operation=operation, times=2)) for operation in child.operations] == [
            2
        ] * len(child.operations)
    finally:
        child.end()


def test_a_larger_database_is_compared_with_a_smaller(folder: Path) -> None:
    grown = Comparison.read(read(folder, "growth"))
    assert list(grown.results) == ["50 tokens", "100 tokens"]
    for results in grown.results.values():
        assert set(results) == set(OPERATIONS) - {"metadata"}
    assert grown.ratio("50 tokens", "refresh") == 1
    ratio = grown.ratio("100 tokens", "refresh")
    assert ratio is not None
    assert ratio > 0


def test_a_database_has_the_rows_that_the_store_writes(tmp_path: Path) -> None:
    growth.fill(tmp_path, 200)
    site = grown.open_site(Place(tmp_path, options=growth.OPTIONS))
    assert len({site.some_token() for _ in range(100)}) == 100
    assert site.send(site.call(site.some_token())).status == 200
    assert site.send(site.refresh(site.token_to_refresh())).status == 200
    revoked = site.token_to_revoke()
    assert site.send(site.client_post("revoke", {"token": revoked})).status == 200
    assert site.send(site.call(revoked)).status == 401


def test_spent_tokens_are_not_used_again(tmp_path: Path) -> None:
    growth.fill(tmp_path, 16)
    place = Place(tmp_path, options=growth.OPTIONS)
    first, second = grown.open_site(place), grown.open_site(place)
    spent = [first.token_to_refresh() for _ in range(2)]
    assert [first.send(first.refresh(token)).status for token in spent] == [200, 200]
    second.sign_in()
    later = [second.token_to_refresh() for _ in range(3)]  # two that are left, and a new one
    assert not set(later) & set(spent)
    assert [second.send(second.refresh(token)).status for token in later] == [200, 200, 200]


def test_requests_over_http(folder: Path) -> None:
    measured = read(folder, "http")
    assert {(one["name"], one["worker_class"], one["operation"]) for one in measured} == set(
        product(("baseline", "bare", "flask_oauth2"), load.WORKER_CLASSES, load.OPERATIONS)
    )
    for one in measured:
        low, middle, high = one["latencies"]
        assert 0 < low <= middle <= high
        assert one["rate"] > 0


def test_startup_is_measured(folder: Path) -> None:
    measured = {one["name"]: one for one in read(folder, "startup")}
    assert set(measured) == {"baseline", "bare", "flask_oauth2"}
    assert all(one["cpu"] > 0 for one in measured.values())
    assert measured["flask_oauth2"]["memory"] > measured["bare"]["memory"]  # it loads more modules


def test_full_load_is_measured(folder: Path) -> None:
    slices = read(folder, "soak")
    assert [one["name"] for one in slices] == ["flask_oauth2"] * 10
    assert [one["until"] for one in slices] == pytest.approx([0.01 * number for number in range(1, 11)])
    for one in slices:
        low, middle, high = one["latencies"]
        assert 0 < low <= middle <= high
        assert one["memory"] > 10
        assert one["files"] > 3
        assert one["connections"] is None


def test_keys_are_measured(folder: Path) -> None:
    measured = read(folder, "keys")
    assert [one["name"] for one in measured] == list(keys.OPERATIONS)
    for one in measured:
        for low, middle, high in (one["quartiles"], one["floor_quartiles"]):
            assert 0 < low <= middle <= high
        assert one["ratio"] > 0


def test_a_purge_is_measured(folder: Path) -> None:
    (purged,) = read(folder, "purge")
    assert (purged["name"], purged["size"]) == ("flask_oauth2", 400)
    assert 0 < purged["longest"] <= purged["seconds"]
    for waits in (purged["waits"], purged["alone"]):
        assert len(waits) == 3
        assert 0 < waits[0] <= waits[1] <= waits[2]


def test_the_page_includes_every_written_file(folder: Path) -> None:
    written = {path.name for path in (folder / "docs").iterdir()}
    shown = set(re.findall(r"^\.\. (?:include|image):: benchmarks/(\S+)$", PAGE.read_text(), re.M))
    kept = {path.name for path in PAGE.with_suffix("").iterdir()}
    assert written <= shown
    assert shown == kept
    assert shown - written == {name for name in shown if name.startswith("postgresql")}


def test_the_readme_has_the_measured_ratios() -> None:
    def rows(text: str, columns: tuple[str, ...]) -> dict[str, list[str]]:
        lines = text.splitlines()
        head = next(line for line in lines if line.startswith("\\") and "flask_oauth2" in line)
        names = head.split()[1:]
        found = {}
        for title, _ in OPERATIONS.values():
            line = next(line for line in lines if line.startswith(title))
            cells = dict(zip(names, line.removeprefix(title).split(), strict=True))
            found[title] = [cells[name] for name in columns]
        return found

    shown = ("flask_oauth2", "authlib", "django_oauth_toolkit")
    measured = (PAGE.with_suffix("") / "sqlite-ratios.rst").read_text()
    assert rows((ROOT / "README.rst").read_text(), shown) == rows(measured, shown)


def test_plots_are_valid_svg(folder: Path) -> None:
    for path in [*(folder / "docs").glob("*.svg"), *PAGE.with_suffix("").glob("*.svg")]:
        drawing = ElementTree.parse(path).getroot()
        assert drawing.tag.endswith("svg")
        width, height = float(drawing.attrib["width"]), float(drawing.attrib["height"])
        for bar in drawing.iter("{http://www.w3.org/2000/svg}rect"):
            assert float(bar.attrib["x"]) + float(bar.attrib["width"]) < width
            assert float(bar.attrib["y"]) < height


def test_unknown_names_are_rejected() -> None:
    command = [sys.executable, "-m", "benchmarks", "--only", "baseline,nobody"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert "unknown --only: nobody" in done.stderr


def test_a_library_that_fails_is_reported_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"nowhere ended with status 1\. Its log:\s[^§]*No module named"):
        Child("nowhere", Entry(Library("nowhere"), Place(tmp_path)))


@pytest.fixture(params=[baseline, provider], ids=["baseline", "flask_oauth2"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    opened: Site = request.param.open_site(Place(tmp_path))
    opened.sign_in()
    return opened


def test_the_probe_passes(site: Site) -> None:
    assert list(find_failures(site)) == []


def test_the_probe_finds_every_failure(tmp_path: Path) -> None:
    assert list(find_failures(bare.open_site(Place(tmp_path)))) == list(CHECKS)


@pytest.mark.parametrize(
    ("statement", "without", "allowed"),
    [
        ("SPEND_CODE", " AND used_at IS NULL", "a used code"),
        ("SPEND_REFRESH", " AND used_at IS NULL", "a spent refresh token"),
        ("GET_ACCESS", "NOT EXISTS (SELECT 1 FROM revocation WHERE mark IN (family, client_id, consent_id, ?))", ""),
    ],
)
def test_the_probe_names_the_failure(
    statement: str, without: str, allowed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = getattr(baseline_sql, statement)
    assert without in text
    monkeypatch.setattr(baseline_sql, statement, text.replace(without, "" if allowed else "? IS NOT NULL"))
    opened = baseline.open_site(Place(tmp_path))
    opened.sign_in()
    assert list(find_failures(opened)) == [allowed or "a revoked token"]


def test_a_write_outside_a_transaction_is_a_commit() -> None:
    assert count(["SELECT 1", "INSERT INTO a VALUES (1)"]) == (2, 1)
    assert count(["BEGIN IMMEDIATE", "UPDATE a SET b = 1", "INSERT INTO a VALUES (1)", "COMMIT"]) == (2, 1)
    assert count(["BEGIN", "SELECT 1", "COMMIT"]) == (1, 0)
    assert count(["BEGIN", "UPDATE a SET b = 1", "ROLLBACK", "PRAGMA x"]) == (1, 0)
