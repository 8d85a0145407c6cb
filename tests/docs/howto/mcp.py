"""The companion of the page about MCP servers: a login page that leads nowhere else."""

from __future__ import annotations

from doc_page import Page


def check(page: Page) -> None:
    """Its users may come by the links of strangers; browsers take a slash, a tab and a slash for two slashes."""
    app = page.namespace["app"]
    http = app.test_client()
    below = {"SCRIPT_NAME": "/notes"}
    for target, location in {"/notes/oauth/authorize": "/notes/oauth/authorize", "/oauth/authorize": "/notes/"}.items():
        answer = http.post("/login", query_string={"next": target}, data={"name": "ada"}, environ_overrides=below)
        assert answer.location == location
    targets = {"/oauth/authorize?client_id=x": "/oauth/authorize?client_id=x"}
    targets |= dict.fromkeys(("https://evil.example/", "//evil.example/", "/\t/evil.example"), "/")
    for target, location in targets.items():
        assert http.post("/login", query_string={"next": target}, data={"name": "ada"}).location == location
