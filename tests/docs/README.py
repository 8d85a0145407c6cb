"""The companion of README.rst."""

from __future__ import annotations

import requests
from doc_page import ROOT, Block, Page
from interop.browser import Browser
from servers import PATIENCE


def run_quickstart(page: Page, block: Block) -> None:
    """tests/test_examples.py runs it and walks through it."""
    assert block.code.endswith(".venv/bin/flask --app examples/quickstart/app.py run\n")


def run_tests(page: Page, block: Block) -> None:
    """The gate runs the command that readers see."""
    assert f"\ntests='{block.code.strip()}'\n" in (ROOT / ".ci/run").read_text()


def run_docs(page: Page, block: Block) -> None:
    """The gate runs the command that readers see."""
    assert f"\ndocs='{block.code.strip()}'\n" in (ROOT / ".ci/run").read_text()


def answer(page: Page, prompt: str) -> str:
    """The person who is asked to open a URL."""
    with Browser() as browser:
        return browser.authorize(prompt.split()[1], name="ada")


def check(page: Page) -> None:
    """Without a token there is no answer, and the login page leads nowhere else."""
    assert requests.get(f"{page.address()}/api/me", timeout=PATIENCE).status_code == 401
    login = f"{page.address()}/login?next=//evil.example"
    assert requests.post(login, {"name": "ada"}, allow_redirects=False, timeout=PATIENCE).headers["Location"] == "/"
