"""The examples run, and do what they say to whoever walks through them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from example_site import serve
from interop.browser import Browser, Page
from servers import PATIENCE

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the quickstart, started as README.rst says, in a folder of its own."""
    folder = tmp_path_factory.mktemp("clone")
    ignored = shutil.ignore_patterns("instance", "__pycache__")
    shutil.copytree(ROOT / "examples/quickstart", folder / "examples/quickstart", ignore=ignored)
    assert ".venv/bin/flask --app examples/quickstart/app.py run\n" in (ROOT / "README.rst").read_text()
    with serve(folder, "examples/quickstart/app.py") as url:
        yield url


@pytest.fixture
def browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


def connect(browser: Browser, url: str) -> Page:
    """From the home page to the consent page."""
    page = browser.open(browser.open(url).links["Connect"])
    assert "The demo account is demo with the password demo." in page.text
    return browser.press(page, "Sign in", name="demo", password="demo")


def test_the_whole_journey(quickstart: str, browser: Browser) -> None:
    page = connect(browser, quickstart)
    assert page.text.split("asks to:")[1].split()[:6] == ["See", "your", "name", "See", "your", "e-mail"]
    page = browser.press(page, "Allow")
    assert '"code": "oac_' in page.text
    page = browser.press(page, "Redeem the code")
    assert '"access_token": "oat_' in page.text
    page = browser.press(page, "Call the API")
    assert '"email": "demo@example.com"' in page.text
    page = browser.press(page, "Refresh the tokens")
    assert page.text.count('"access_token": "oat_') == 2
    page = browser.press(page, "Revoke")
    assert "401" not in page.text
    page = browser.press(page, "Call the API again")
    assert "401 UNAUTHORIZED" in page.text
    assert '"error": "invalid_token"' in page.text
    assert "The flow is complete." in page.text
    assert "Connect again" in page.links
    assert "Sign out" not in browser.press(page, "Sign out").text


def test_a_person_who_denies(quickstart: str, browser: Browser) -> None:
    page = browser.press(connect(browser, quickstart), "Deny")
    assert '"error": "access_denied"' in page.text
    assert "You denied access." in page.text
    assert "Redeem the code" not in page.text


def test_a_wrong_password(quickstart: str, browser: Browser) -> None:
    page = browser.open(f"{quickstart}/login")
    assert "is wrong" in browser.press(page, "Sign in", name="demo", password="guess").text
    assert "is wrong" in browser.press(page, "Sign in", name="nobody", password="demo").text


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "/\\evil.example/", "/\t/evil.example"])
def test_the_login_page_leads_nowhere_else(quickstart: str, browser: Browser, target: str) -> None:
    page = browser.open(requests.Request("GET", f"{quickstart}/login", params={"next": target}).prepare().url or "")
    assert browser.press(page, "Sign in", name="demo", password="demo").url == f"{quickstart}/"


def test_forms_of_other_sites_are_refused(quickstart: str) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Sec-Fetch-Site"] = "cross-site"
        for form in ("login", "logout"):
            assert session.post(f"{quickstart}/{form}").status_code == 403


def test_an_answer_that_nobody_asked_for_is_ignored(quickstart: str, browser: Browser) -> None:
    connect(browser, quickstart)
    page = browser.open(f"{quickstart}/connected?code=stolen&state=guessed&iss={quickstart}")
    assert "stolen" not in page.text
    assert "You left before you decided." in page.text


@pytest.fixture
def device_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of the provider that lets devices in; they may ask each second."""
    monkeypatch.setenv("FLASK_OAUTH2_DEVICE_INTERVAL", "1")
    shutil.copytree(ROOT / "examples/device", tmp_path / "device", ignore=shutil.ignore_patterns("__pycache__"))
    with serve(tmp_path, "device/app.py") as url:
        yield url


@pytest.mark.spec("rfc8628", "3")
@pytest.mark.parametrize(
    ("button", "said"),
    [("Allow", "Films of demo: Metropolis, M"), ("Deny", "Not connected: the user denied the request.")],
)
def test_a_television(device_provider: str, browser: Browser, button: str, said: str) -> None:
    command = [sys.executable, str(ROOT / "examples/device/tv.py"), device_provider]
    environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as device:  # type: ignore[call-overload]
        found = re.fullmatch(r"Open (\S+) on your phone and type (\S{9})\n", device.stdout.readline())
        assert found
        page = browser.press(browser.open(found[1]), "Sign in", name="demo", password="demo")
        page = browser.press(page, "Go on", user_code=found[2].lower())
        assert "Television in the living room" in page.text
        assert "Go back to your device" in browser.press(page, button).text
        assert device.communicate(timeout=PATIENCE)[0].strip() == said


def test_tenants_live_apart(tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    shutil.copytree(ROOT / "examples/tenants", folder / "examples/tenants")
    with serve(folder, "examples/tenants/app.py") as url:
        found = {}
        for name, lifetime in (("acme", 3600), ("umbrella", 600)):
            auth = ("robot", f"{name}-robot-secret-1234")
            form = {"grant_type": "client_credentials"}
            answer = requests.post(f"{url}/{name}/oauth/token", data=form, auth=auth, timeout=PATIENCE).json()
            assert answer["expires_in"] == lifetime
            found[name] = {"Authorization": f"Bearer {answer['access_token']}"}
        for name, other, status in [("acme", "acme", 200), ("acme", "umbrella", 401), ("umbrella", "acme", 401)]:
            answer = requests.get(f"{url}/{name}/api/notes", headers=found[other], timeout=PATIENCE)
            assert answer.status_code == status
