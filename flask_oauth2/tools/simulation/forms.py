"""The forms of a page, as a person presses them, and whether a browser lets them through."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from .exchange import Exchange

_YES = re.compile(r"\b(allow|yes|accept|approve|authori[sz]e|agree|grant|confirm|continue)\b", re.IGNORECASE)
_NO = re.compile(r"\b(no|not|don.t|deny|reject|refuse|cancel)\b", re.IGNORECASE)


@dataclass(slots=True)
class Button:
    """What sends a form."""

    name: str
    value: str
    text: str = ""

    @property
    def says_yes(self) -> bool:
        """Whether it lets the client have what it asks for: by its value or, where that says nothing, by its text."""
        for said in (self.value, self.text):
            if _NO.search(said):
                return False
            if _YES.search(said):
                return True
        return False


@dataclass(slots=True)
class Form:
    """A form that is posted, with what its fields hold before anybody types."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[Button] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._form: Form | None = None
        self._button: Button | None = None
        self.forms: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            is_posted = given.get("method", "").lower() == "post"
            self._form = Form(urljoin(self._url, given.get("action") or self._url)) if is_posted else None
            if self._form is not None:
                self.forms.append(self._form)
        elif self._form is not None and tag in ("button", "input"):
            self._add(self._form, tag, given)

    def _add(self, form: Form, tag: str, given: dict[str, str]) -> None:
        kind = given.get("type", "submit" if tag == "button" else "text").lower()
        name, value = given.get("name", ""), given.get("value", "")
        if kind in ("submit", "image"):
            button = Button(name, value)
            form.buttons.append(button)
            self._button = button if tag == "button" else None
        elif kind == "radio":
            if name and ("checked" in given or name not in form.fields) and Button(name, value).says_yes:
                form.fields[name] = value
        elif kind == "checkbox":
            if name and ("checked" in given or "required" in given):
                form.fields[name] = given.get("value", "on")
        elif name and kind not in ("button", "reset", "file"):
            form.fields[name] = value

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "button":
            self._button = None

    def handle_data(self, data: str) -> None:
        if self._button is not None:
            self._button.text += data


def read_forms(page: Exchange) -> list[Form]:
    """The forms of a page that are posted."""
    reader = _Reader(page.url)
    reader.feed(page.text)
    reader.close()
    return reader.forms


def find_allow(page: Exchange) -> tuple[Form, Button] | None:
    """The button that lets the client have what it asks for, of a form that stays at this site."""
    here = urlsplit(page.url)[:2]
    for form in read_forms(page):
        for button in form.buttons:
            if urlsplit(form.action)[:2] == here and button.says_yes:
                return form, button
    return None


def find_obstacle(page: Exchange, target: str) -> str | None:
    """The content security policy that keeps a browser from following a form of the page to ``target``.

    None where none does; browsers hold ``form-action`` against the redirect that answers a form too.
    """
    for policy in _policies(page):
        for directive in filter(str.strip, policy.split(";")):
            name, *sources = directive.split()
            if name.lower() == "form-action":
                if not any(_allows(source, target, page.url) for source in sources):
                    return directive.strip()
                break
    return None


def _policies(page: Exchange) -> Iterator[str]:
    for header in page.headers.getlist("Content-Security-Policy"):
        yield from header.split(",")


def _allows(source: str, target: str, here: str) -> bool:
    """Whether a source of the policy covers a URL: by ``'self'``, a scheme, or a host with or without a port."""
    to = urlsplit(target)
    if source == "'self'":
        return to[:2] == urlsplit(here)[:2]
    if source == "*":
        return to.scheme in ("http", "https")
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:", source):
        return source[:-1].lower() == to.scheme
    scheme, _, rest = source.rpartition("://")
    host, _, path = rest.partition("/")
    name, _, port = host.partition(":")
    if scheme and scheme.lower() != to.scheme:
        return False
    named = to.hostname or ""
    is_host = name.lower() == named or (name.startswith("*.") and named.endswith(name[1:].lower()))
    default = {"http": 80, "https": 443}.get(to.scheme)
    is_port = port == "*" or (to.port or default) == (int(port) if port.isdigit() else default)
    return is_host and is_port and (not path or to.path.startswith(f"/{path}"))
