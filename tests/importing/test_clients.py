"""Import of clients: each client is saved once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from importing.tables import SECRET, Old, fill, old_client, old_token, read

from flask_oauth2 import signals
from oauth_site import Site

Import = Callable[..., Any]


def test_a_client_id_with_spaces_around_it_is_the_same_without(sql_site: Site, old: str, run_import: Import) -> None:
    fill(old, Old, old_client("web   "), old_token(client_id="web   ", user_id=None))
    for taken in (1, 0):
        report = run_import(sql_site, "flask-oauthlib")
        assert (report["clients"]["taken"], report["clients"]["already_there"]) == (taken, 1 - taken)
        if taken:
            assert sql_site.token("client_credentials", ("web", SECRET)).status_code == 200
        rotated = sql_site.app.test_cli_runner().invoke(args=["oauth2", "client", "rotate-secret", "web", "--json"])
        assert rotated.exit_code == 0, rotated.output
        assert sql_site.token("client_credentials", ("web", SECRET)).status_code == 401
    assert sql_site.is_alive("live-access")
    assert read(old, "SELECT client_id FROM client") == [("web   ",)], "theirs stays as it is"


def test_two_rows_that_spaces_tell_apart_are_one_client(sql_site: Site, old: str, run_import: Import) -> None:
    fill(old, Old, old_client("web", name="First"), old_client("web ", name="Second"), old_client("two words"))
    clients = run_import(sql_site, "flask-oauthlib")["clients"]
    assert (clients["taken"], clients["already_there"]) == (2, 1)
    assert sql_site.store.get_client("web").name == "First"
    assert sql_site.store.get_client("two words") is not None


def test_imported_clients_send_the_signal(sql_site: Site, old: str, run_import: Import) -> None:
    """A receiver can name each documented argument of the signal."""
    received = []

    def on_signal(sender: Any, client_id: str, registered_by: str, issuer: str) -> None:
        received.append((client_id, registered_by, issuer))

    fill(old, Old, old_client())
    with signals.client_created.connected_to(on_signal, sql_site.app):
        run_import(sql_site, "flask-oauthlib")
    assert received == [("web", "", "https://login.example")]
