"""``flask oauth2 keys``: rotate, retire, import, export, and encrypt again after a change of SECRET_KEY."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from keys.tokens import key_of

from flask_oauth2 import ConfigurationError, MemoryStore
from flask_oauth2.errors import TemporarilyUnavailable
from flask_oauth2.keys import changes, states
from flask_oauth2.keys.jwk import generate_key
from flask_oauth2.keys.signing import StoredKeys
from flask_oauth2.keys.states import PUBLISHED_AFTER, PUBLISHED_AHEAD
from flask_oauth2.settings import Settings
from oauth_site import NOW, Site

Run = Callable[..., Result]
Runs = Callable[..., tuple[Site, Run]]


@pytest.fixture
def runs(new_site: Any) -> Runs:
    """Return an application and its commands, which succeed unless a test says otherwise."""

    def start(**config: Any) -> tuple[Site, Run]:
        site = new_site(**{"OAUTH2_SIGNING_ALGORITHMS": ["ES256"], **config})
        site.server  # noqa: B018  gives it the clock of the tests

        def run(*arguments: str, ends: int = 0, **options: Any) -> Result:
            result: Result = site.app.test_cli_runner().invoke(args=["oauth2", "keys", *arguments], **options)
            assert result.exit_code == ends, result.output
            assert result.exception is None or isinstance(result.exception, SystemExit)
            assert "Traceback" not in result.output
            return result

        return site, run

    return start


def listed(run: Run) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("list", "--json").stdout)
    return found


def set_of(site: Site) -> list[str]:
    site.server.keys.forget()
    return [jwk["kid"] for jwk in json.loads(site.server.keys.find_published(site.clock.now).body)["keys"]]


def signing(site: Site) -> str:
    site.server.keys.forget()
    kid: str = site.server.keys.find_signer(site.clock.now).kid
    return kid


def test_the_list_shows_states_and_the_progress_of_a_rotation(runs: Runs) -> None:
    site, run = runs()
    assert listed(run) == []
    assert run("list").stdout == "There are no signing keys yet. They are created on first use.\n"
    kid = signing(site)
    (first,) = listed(run)
    assert first == {
        "kid": kid,
        "algorithm": "ES256",
        "state": "active",
        "created_at": NOW,
        "signs_from": NOW,
        "signs_until": None,
        "published_until": None,
    }
    shown = run("list").stdout
    assert "2027-01-15 08:00 UTC" in shown
    assert "signs from" not in shown
    rotated = run("rotate").stdout
    second = listed(run)[1]
    assert rotated == f"ES256: key {second['kid']} is published and signs from 2027-01-15 09:00 UTC.\n"
    assert second["state"] == "published"
    assert (
        f"ES256: {second['kid']} signs from 2027-01-15 09:00 UTC; {first['kid']} signs until then."
        in run("list").stdout
    )
    site.clock.forward(PUBLISHED_AHEAD)
    assert signing(site) == second["kid"]
    assert [entry["state"] for entry in listed(run)] == ["retired", "active"]
    assert "signs until then" not in run("list").stdout


def test_a_rotation_in_progress_is_not_begun_again(runs: Runs) -> None:
    site, run = runs(OAUTH2_SIGNING_ALGORITHMS=["ES256", "EdDSA"])
    once = json.loads(run("rotate", "--json").stdout)
    assert [entry["algorithm"] for entry in once] == ["ES256", "EdDSA"]
    assert json.loads(run("rotate", "--json").stdout) == once
    assert json.loads(run("rotate", "--algorithm", "EdDSA", "--json").stdout) == once[1:]
    assert len(set_of(site)) == 4
    assert "OAUTH2_SIGNING_ALGORITHMS" in run("rotate", "--algorithm", "RS256", ends=1).stderr


def test_a_key_retires_when_the_next_one_signs(runs: Runs) -> None:
    site, run = runs()
    first = signing(site)
    assert first in run("retire", first).stdout
    assert signing(site) == first
    _, second = set_of(site)
    assert listed(run)[0]["signs_until"] == listed(run)[1]["signs_from"] == NOW + PUBLISHED_AHEAD
    site.clock.forward(PUBLISHED_AHEAD)
    assert signing(site) == second
    assert "is retired already" in run("retire", first, ends=1).stderr
    site.clock.forward(PUBLISHED_AFTER)
    assert set_of(site) == [second]


def test_a_published_key_can_be_withdrawn(runs: Runs) -> None:
    site, run = runs()
    first = signing(site)
    (second,) = json.loads(run("rotate", "--json").stdout)
    assert json.loads(run("retire", second["kid"], "--json").stdout)["successor"] == first
    site.clock.forward(PUBLISHED_AHEAD + 60)
    assert signing(site) == first


def test_an_older_key_may_be_retired_at_any_time(runs: Runs) -> None:
    site, run = runs()
    first = signing(site)
    run("rotate")
    site.clock.forward(PUBLISHED_AHEAD)
    keys = site.server.keys
    rows = states.keys_only(keys.store.list_keys())
    assert rows[0].retires_at is None  # no worker has noticed yet
    assert json.loads(run("retire", first, "--json").stdout)["signs_until"] == site.clock.now


def test_a_disclosed_key_is_removed_at_once(runs: Runs) -> None:
    site, run = runs()
    first = signing(site)
    assert "Aborted" in run("retire", first, "--now", input="n\n", ends=1).output
    assert set_of(site) == [first]
    result = run("retire", first, "--now", input="y\n")
    assert "is removed" in result.stdout
    assert "Nothing can be signed with ES256 until then." in result.stderr
    (second,) = set_of(site)
    assert second != first
    with pytest.raises(TemporarilyUnavailable):
        signing(site)
    site.clock.forward(PUBLISHED_AHEAD)
    assert signing(site) == second
    assert f"there is no signing key {first}. Known keys: {second}" in run("retire", first, ends=1).stderr


def test_nothing_is_missing_if_the_next_key_is_published_already(runs: Runs) -> None:
    site, run = runs()
    first = signing(site)
    run("rotate")
    site.clock.forward(PUBLISHED_AHEAD)
    result = run("retire", first, "--now", "--yes")
    assert result.stderr == ""
    assert signing(site) == set_of(site)[0] != first


@pytest.mark.parametrize("form", ["pem", "jwk"])
def test_a_key_is_imported_as_the_next_one(runs: Runs, tmp_path: Path, form: str) -> None:
    site, run = runs()
    first, key = signing(site), key_of("ES256", 4)
    file = tmp_path / "key"
    file.write_bytes(key.native.as_pem(private=True) if form == "pem" else json.dumps(key.jwk).encode())
    assert "is imported and signs from 2027-01-15 09:00 UTC" in run("import", str(file)).stdout
    assert "is stored already" in run("import", str(file), ends=1).stderr
    assert set_of(site) == [first, key.kid]
    site.clock.forward(PUBLISHED_AHEAD)
    assert signing(site) == key.kid


def test_a_key_is_imported_into_an_empty_store_and_signs_at_once(runs: Runs) -> None:
    site, run = runs()
    pem = key_of("ES256", 4).native.as_pem(private=True)
    entry = json.loads(run("import", "-", "--json", input=pem).stdout)
    assert (entry["state"], entry["kid"]) == ("active", signing(site))
    assert set_of(site) == [entry["kid"]]


def test_the_algorithm_of_an_imported_key(runs: Runs) -> None:
    _, run = runs(OAUTH2_SIGNING_ALGORITHMS=["PS256", "ES256"])
    pem = key_of("RS256").native.as_pem(private=True)
    assert json.loads(run("import", "-", "--json", input=pem).stdout)["algorithm"] == "PS256"
    other = generate_key("RS256").native.as_pem(private=True)
    result = run("import", "-", "--algorithm", "RS512", input=other)
    assert "OAUTH2_SIGNING_ALGORITHMS does not name RS512, so nothing uses it." in result.stderr
    assert "does not fit ES256" in run("import", "-", "--algorithm", "ES256", input=other, ends=1).stderr


def test_other_files_are_not_imported(runs: Runs) -> None:
    _, run = runs()
    for content in (b"text", b"{", b'{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}'):
        assert "the key cannot be imported" in run("import", "-", input=content, ends=1).stderr
    public = key_of("ES256").native.as_pem()
    assert "a private key is needed" in run("import", "-", input=public, ends=1).stderr


def test_private_keys_are_exported_only_on_request(runs: Runs) -> None:
    site, run = runs()
    first = signing(site)
    public = json.loads(run("export").stdout)
    assert public == json.loads(site.server.keys.find_published(NOW).body)
    assert "d" not in public["keys"][0]
    result = run("export", "--private")
    assert "Everyone who sees them can sign" in result.stderr
    (private,) = json.loads(result.stdout)["keys"]
    assert (private["kid"], "d" in private) == (first, True)
    run("retire", first, "--now", "--yes")
    assert first not in run("export", "--private").stdout


def test_a_new_secret_key_encrypts_again(runs: Runs) -> None:
    store, algorithms = MemoryStore(), ["ES256", "EdDSA"]
    site, run = runs(store=store, SECRET_KEY="old", OAUTH2_SIGNING_ALGORITHMS=algorithms)
    first = signing(site)
    assert json.loads(run("reencrypt", "--json").stdout) == {"reencrypted": 0}
    _, run = runs(store=store, SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"], OAUTH2_SIGNING_ALGORITHMS=algorithms)
    assert run("reencrypt").stdout == "Encrypted 2 keys with the current SECRET_KEY.\n"
    assert run("reencrypt").stdout == "Encrypted 0 keys with the current SECRET_KEY.\n"
    site, run = runs(store=store, SECRET_KEY="new", OAUTH2_SIGNING_ALGORITHMS=algorithms)
    assert signing(site) == first
    _, run = runs(store=store, SECRET_KEY="old", OAUTH2_SIGNING_ALGORITHMS=algorithms)
    assert f"flask oauth2 keys retire --now {first}" in run("reencrypt", ends=1).stderr


def secrets(*keys: str) -> Settings:
    return Settings.load(
        {
            "SECRET_KEY": keys[-1],
            "SECRET_KEY_FALLBACKS": keys[:-1],
            "OAUTH2_SIGNING_ALGORITHMS": ["ES256", "EdDSA"],
        }
    )


def test_a_lost_secret_key_is_survived() -> None:
    """The sentence names the fix, and the fix works."""
    store = MemoryStore()
    lost = StoredKeys(secrets("lost"), lambda: store).find_signer(NOW).kid
    keys = StoredKeys(secrets("new"), lambda: store)
    with pytest.raises(ConfigurationError, match=f"flask oauth2 keys retire --now {lost}"):
        keys.find_signer(NOW)
    with pytest.raises(ConfigurationError, match="no SECRET_KEY opens"):
        changes.reencrypt(keys)
    for row in states.keys_only(store.list_keys()):
        changes.retire(keys, row.id, NOW, at_once=True)
    assert keys.find_signer(NOW + PUBLISHED_AHEAD).kid != lost


def test_keys_of_the_application_are_not_changed_here(runs: Runs) -> None:
    _, run = runs(OAUTH2_SIGNING_ALGORITHMS=None, OAUTH2_SIGNING_KEYS=[key_of("ES256").jwk])
    assert listed(run) == [{"kid": key_of("ES256").kid, "algorithm": "ES256"}]
    assert "so none is stored" in run("list").stdout
    assert json.loads(run("export").stdout)["keys"] == [key_of("ES256").public_jwk]
    for command in (["rotate"], ["retire", "x"], ["import", "-"], ["export", "--private"], ["reencrypt"]):
        assert "so none is stored" in run(*command, ends=1).stderr


def test_a_key_that_others_change_all_the_time() -> None:
    class Busy(MemoryStore):
        is_busy = False

        def change_key(self, key: Any, before: Any) -> bool:
            return not self.is_busy and super().change_key(key, before)

        def add_key(self, key: Any) -> bool:
            return not self.is_busy and super().add_key(key)

    store = Busy()
    keys = StoredKeys(secrets("old", "new"), lambda: store)
    row = StoredKeys(secrets("old"), lambda: store).read_rows(NOW)[0]
    store.is_busy = True
    for change in (
        lambda: changes.rotate(keys, "ES256", NOW),
        lambda: changes.retire(keys, row.id, NOW, at_once=True),
        lambda: changes.import_key(keys, key_of("ES256", 5), NOW),
        lambda: changes.reencrypt(keys),
    ):
        with pytest.raises(TemporarilyUnavailable, match="other processes change"):
            change()


def test_a_key_without_a_successor_is_told(runs: Runs) -> None:
    """Its algorithm is not configured any more."""
    store = MemoryStore()
    both = StoredKeys(secrets("new"), lambda: store)
    row = both.find_signer(NOW, "EdDSA")
    settings = replace(secrets("new"), signing_algorithms=("ES256",))
    done = changes.retire(StoredKeys(settings, lambda: store), row.kid, NOW, at_once=True)
    assert done.successor is None
    _, run = runs()
    run("import", "-", "--algorithm", "EdDSA", input=key_of("EdDSA").native.as_pem(private=True))
    kid = key_of("EdDSA").kid or ""
    assert run("retire", kid, "--now", "--yes").output.count("\n") == 1
