"""Clients that do what clients do, and keep account of what they were told while servers die."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from faults.site import CALLBACK

from oauth_site import CHALLENGE, VERIFIER

PATIENCE = 300
"""Seconds after which service that does not return fails the test."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def members(self) -> dict[str, Any]:
        """Of JSON, or of the query that a browser is sent on with."""
        if self.status == 303:
            query = parse_qs(urlsplit(self.headers["location"]).query)
            return {name: values[0] for name, values in query.items()}
        with suppress(ValueError):
            return dict(json.loads(self.text))
        return {}

    @property
    def is_absence(self) -> bool:
        """Whether it says, as it should, that a server is away."""
        if self.status == 303:
            return self.members.get("error") == "temporarily_unavailable"
        is_said = self.members.get("error") == "temporarily_unavailable" or "<html" in self.text
        return self.status == 503 and int(self.headers.get("retry-after", 0)) >= 1 and is_said


class Caller:
    """One connection to the site, opened anew when it breaks."""

    def __init__(self, port: int, client_id: str, secret: str) -> None:
        self._http = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self._basic = "Basic " + b64encode(f"{client_id}:{secret}".encode()).decode()

    def _send(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer | None:
        """None where the connection broke."""
        try:
            self._http.request(method, path, body, headers)
            response = self._http.getresponse()
            text = response.read().decode()
        except (OSError, HTTPException):
            self._http.close()
            return None
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, text)

    def post(self, path: str, **form: str) -> Answer | None:
        """An endpoint, as the client."""
        headers = {"Authorization": self._basic, "Content-Type": "application/x-www-form-urlencoded"}
        return self._send("POST", f"/oauth{path}", urlencode(form), headers)

    def redeem(self, code: str) -> Answer | None:
        """A code."""
        form = {"code": code, "code_verifier": VERIFIER, "redirect_uri": CALLBACK}
        return self.post("/token", grant_type="authorization_code", **form)

    def refresh(self, refresh_token: str) -> Answer | None:
        """A refresh token."""
        return self.post("/token", grant_type="refresh_token", refresh_token=refresh_token)

    def authorize(self, client_id: str) -> Answer | None:
        """The browser of somebody who is signed in and has allowed it before."""
        query = {"response_type": "code", "client_id": client_id, "redirect_uri": CALLBACK, "scope": "notes"}
        query |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
        return self._send("GET", f"/oauth/authorize?{urlencode(query)}", None, {"X-User": "ada"})

    def call(self, access_token: str) -> Answer | None:
        """A resource."""
        return self._send("GET", "/api/me", None, {"Authorization": f"Bearer {access_token}"})

    def close(self) -> None:
        """End the connection."""
        self._http.close()


@dataclass
class Ledger:
    """What clients were told. An answer that did not come, or that says "away", leaves what was asked in doubt."""

    alive: set[str] = field(default_factory=set)
    """Access tokens that must work."""
    revoked: set[str] = field(default_factory=set)
    """Those that must not."""
    codes: set[str] = field(default_factory=set)
    """Codes that nobody has used: each must be good."""
    spent: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often each code and refresh token that was used was answered with tokens."""
    answers: Counter[str] = field(default_factory=Counter)
    good: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, work: str, answer: Answer | None, refused_by: str = "") -> dict[str, Any] | None:
        """The members of a good answer; None where it is not one. ``refused_by`` is an error that is right as well."""
        with self.lock:
            self.answers[
                f"{work}: {'broken' if answer is None else 'away' if answer.is_absence else answer.status}"
            ] += 1
            if answer is None or answer.is_absence:
                return None
            if answer.status in (200, 303) and "error" not in answer.members:
                self.good[work] += 1
                return answer.members
            if not refused_by or answer.status not in (400, 401) or answer.members.get("error") != refused_by:
                self.wrong.append(f"{work}: {answer.status} {answer.headers} {answer.text[:500]}")
            return None

    def note_tokens(self, kind: str, value: str, answer: dict[str, Any] | None, counts: bool = True) -> None:
        """What was answered for a code or a refresh token."""
        with self.lock:
            self.spent[kind, value] += answer is not None
            if answer is not None and counts:
                self.alive.add(answer["access_token"])


@dataclass
class Load:
    """Clients in threads of their own, until they are told to end."""

    port: int
    client_id: str
    secret: str
    ledger: Ledger = field(default_factory=Ledger)
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)

    def start(self, work: Callable[[Caller], None], threads: int = 1) -> None:
        """Do a work again and again."""

        def go_on() -> None:
            caller = self.caller()
            try:
                while not self._ended.is_set():
                    work(caller)
            except BaseException as error:
                self.failures.append(error)
                raise
            finally:
                caller.close()

        for _ in range(threads):
            self._threads.append(threading.Thread(target=go_on))
            self._threads[-1].start()

    def end(self) -> None:
        """Let all come to an end."""
        self._ended.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        assert not self.failures, self.failures

    def caller(self) -> Caller:
        """A further client."""
        return Caller(self.port, self.client_id, self.secret)

    def await_works(self, *works: str) -> None:
        """Wait until each of these was done once."""
        self._await(lambda: all(self.ledger.good[work] for work in works), "the first of each")

    def await_service(self, times: int = 3) -> None:
        """Wait until each kind of work was done some times more."""
        with self.ledger.lock:
            wanted = {work: count + times for work, count in self.ledger.good.items()}
        self._await(lambda: all(self.ledger.good[work] >= count for work, count in wanted.items()), "service")

    def await_absence(self, times: int = 3) -> None:
        """Wait until some were told that a server is away."""
        before = self._absences()
        self._await(lambda: self._absences() >= before + times, "anybody to be told of an absence")

    def _absences(self) -> int:
        with self.ledger.lock:
            return sum(count for said, count in self.ledger.answers.items() if said.endswith("away"))

    def _await(self, is_so: Callable[[], bool], what: str) -> None:
        deadline = monotonic() + PATIENCE
        pause = threading.Event()
        while not is_so():
            assert not self.failures, self.failures
            assert monotonic() < deadline, f"waited in vain for {what}: {self.ledger.answers}"
            pause.wait(0.01)

    def credentials(self, caller: Caller) -> None:
        """A token for the client itself; every other one is revoked."""
        answer = self.ledger.note("client_credentials", caller.post("/token", grant_type="client_credentials"))
        if answer is None:
            return
        token = answer["access_token"]
        self.ledger.note("guard", caller.call(token))
        if self.ledger.good["client_credentials"] % 2:
            with self.ledger.lock:
                self.ledger.alive.add(token)
            return
        if self.ledger.note("revocation", caller.post("/revoke", token=token)) is not None:
            with self.ledger.lock:
                self.ledger.revoked.add(token)

    def new_code(self, caller: Caller) -> str | None:
        """A code that somebody allowed."""
        answer = self.ledger.note("authorize", caller.authorize(self.client_id))
        return None if answer is None else str(answer["code"])

    def flow(self, caller: Caller) -> None:
        """A code and a chain of refreshes, given up where one of them is in doubt; some codes are kept for the end."""
        code = self.new_code(caller)
        if code is None:
            return
        if self.ledger.good["authorize"] % 5 == 0:
            with self.ledger.lock:
                self.ledger.codes.add(code)
            return
        answer = self.ledger.note("code", caller.redeem(code))
        self.ledger.note_tokens("code", code, answer)
        for _ in range(3):
            if answer is None:
                return
            refresh_token = answer["refresh_token"]
            answer = self.ledger.note("refresh", caller.refresh(refresh_token))
            self.ledger.note_tokens("refresh", refresh_token, answer)

    def race(self, caller: Caller) -> None:
        """Two who use one code at once, or one refresh token."""
        code = self.new_code(caller)
        if code is None:
            return
        kind, value = "code", code
        if self.ledger.good["authorize"] % 2:
            answer = self.ledger.note("code", caller.redeem(code))
            self.ledger.note_tokens("code", code, answer, counts=False)
            if answer is None:
                return
            kind, value = "refresh", answer["refresh_token"]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: self._use(kind, value), range(2)))

    def _use(self, kind: str, value: str) -> None:
        caller = self.caller()
        sent = caller.redeem(value) if kind == "code" else caller.refresh(value)
        caller.close()
        answer = self.ledger.note(f"race for a {kind}", sent, "invalid_grant")
        self.ledger.note_tokens(kind, value, answer, counts=False)
