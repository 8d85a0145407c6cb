"""A person's browser, as far as a flow needs one: cookies, forms and redirects."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import requests


@dataclass
class Form:
    """A form of a page: where it goes, its fields, and the name and value of each button by its text."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, tuple[str | None, str]] = field(default_factory=dict)


class Page(HTMLParser):
    """What a browser shows, or the URL to which it leaves the site."""

    def __init__(self, url: str, status: int, html: str, visited: set[str]) -> None:
        super().__init__()
        self.url = url
        self.status = status
        self.visited = visited
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.text = ""
        self._open: dict[str, dict[str, str | None]] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "form":
            action = urljoin(self.url, attributes.get("action") or self.url)
            self.forms.append(Form(action, attributes.get("method") or "get"))
        elif tag == "input":
            self.forms[-1].fields[attributes.get("name") or ""] = attributes.get("value") or ""
        elif tag in ("a", "button"):
            self._open[tag] = attributes

    def handle_endtag(self, tag: str) -> None:
        self._open.pop(tag, None)

    def handle_data(self, data: str) -> None:
        self.text += data
        if "a" in self._open:
            self.links[data.strip()] = urljoin(self.url, self._open["a"].get("href"))
        elif "button" in self._open:
            attributes = self._open["button"]
            self.forms[-1].buttons[data.strip()] = attributes.get("name"), attributes.get("value") or ""


_FORM = {"Sec-Fetch-Site": "same-origin"}
"""What browsers say of a form that a page of the site sends to it."""


class Browser:
    """Follows redirects within the site that it was opened on, and stops where one leads elsewhere."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.trust_env = False

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def open(self, url: str, form: dict[str, str] | None = None) -> Page:
        """Visit a URL, or send a form there."""
        site, visited = urlsplit(url).netloc, {url}
        while True:
            method, headers = ("GET", None) if form is None else ("POST", _FORM)
            response = self._session.request(method, url, data=form, headers=headers, allow_redirects=False)
            if "Location" not in response.headers:
                return Page(url, response.status_code, response.text, visited)
            url, form = urljoin(url, response.headers["Location"]), None
            visited.add(url)
            if urlsplit(url).netloc != site:
                return Page(url, response.status_code, "", visited)

    def press(self, page: Page, button: str, **fields: str) -> Page:
        """Fill in the form that has the button, and press it."""
        form = next(form for form in page.forms if button in form.buttons)
        name, value = form.buttons[button]
        pressed = {name: value} if name else {}
        return self.open(form.action, {**form.fields, **fields, **pressed})

    def authorize(self, url: str, decision: str = "Allow", **credentials: str) -> str:
        """Sign in where asked, decide where asked: the URL at which the client gets its answer."""
        page = self.open(url)
        if any("Sign in" in form.buttons for form in page.forms):
            page = self.press(page, "Sign in", **credentials)
        if any(decision in form.buttons for form in page.forms):
            page = self.press(page, decision)
        return page.url
