"""Pages in the user's language with Flask-Babel, and in English without."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from gettext import GNUTranslations
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from flask_babel import Babel
from markupsafe import Markup

from flask_oauth2.clients.metadata import MEMBERS
from flask_oauth2.pages import translations
from oauth_site import Site

PAGES = Path(translations.__file__).parent
WHEN = datetime(2026, 11, 25, 23, 30, tzinfo=UTC)

CATALOGS = sorted(translations.FOLDER.glob("*/LC_MESSAGES/flask_oauth2.po"))


def read_catalog(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=path.parts[-3], domain=translations.DOMAIN, abort_invalid=True)


def texts() -> set[str]:
    """Return the texts of the templates, and the labels of client metadata."""
    found = extract_from_dir(PAGES / "templates", method_map=[("**.html", "jinja2")], keywords={"t": None})
    labels = {member.label for member in MEMBERS if member.label}
    return {str(message) for _, _, message, _, _ in found} | labels | {"en"}


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parts[-3])
def test_a_catalog_has_every_text_and_no_other(path: Path) -> None:
    catalog = read_catalog(path)
    said = {message.id: message for message in catalog if message.id}
    assert set(said) == texts()
    for text, message in said.items():
        assert message.string, text
        assert not message.fuzzy, text
        assert sorted(variables(text)) == sorted(variables(str(message.string)))


def variables(text: str) -> list[str]:
    return re.findall(r"%\(\w+\)s", text)


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parts[-3])
def test_a_compiled_catalog_is_up_to_date(path: Path) -> None:
    compiled = BytesIO()
    write_mo(compiled, read_catalog(path))
    compiled.seek(0)
    with path.with_suffix(".mo").open("rb") as file:
        shipped = GNUTranslations(file)
    # but for the header, which names the release of Babel that has written it
    assert messages_of(shipped) == messages_of(GNUTranslations(compiled)), (
        f"pybabel compile -D {translations.DOMAIN} -d {translations.FOLDER}"
    )


def messages_of(catalog: GNUTranslations) -> dict[object, str]:
    said: dict[object, str] = vars(catalog)["_catalog"]
    return {text: message for text, message in said.items() if text}


def test_templates_say_nothing_untranslated() -> None:
    """Every text between tags is translatable. Texts for developers are marked as English."""
    for path in (PAGES / "templates" / "oauth2" / "default").glob("*.html"):
        template = re.sub(r"<section class=\"diagnosis\" lang=\"en\".*?</section>", "", path.read_text(), flags=re.S)
        shown = re.sub(r"\{[{%].*?[%}]\}", "", re.sub(r"<[^>]*>", "", re.sub(r"\{\{.*?\}\}", "", template)))
        assert not re.findall(r"\w+", shown), path.name


@pytest.fixture
def site_in(new_site: Any) -> Any:
    """Sites whose users have a language."""

    def site_in(language: str | None, *folders: Path, timezone: str = "UTC", **config: Any) -> Site:
        site: Site = new_site(**config)
        Babel(
            site.app,
            default_translation_directories=";".join(map(str, folders)) or "translations",
            locale_selector=lambda: language,
            timezone_selector=lambda: timezone,
        )
        site.add_client(name="Shop <1>")
        site.sign_in()
        return site

    return site_in


def test_pages_are_german_to_germans(site_in: Any) -> None:
    site = site_in("de_AT")
    page = site.ask()
    assert '<html lang="de">' in page.text
    assert "<h1>Shop &lt;1&gt; zulassen?</h1>" in page.text
    assert 'value="allow" class="primary">Zulassen</button>' in page.text
    site.allow(page)
    assert "Zugriff beenden" in site.browser.get("/oauth/applications").text
    assert "15. Jänner 2027" in site.browser.get("/oauth/applications").text
    error = site.ask(client_id="nobody").text
    assert 'Der Grund: <span lang="en">' in error


@pytest.mark.parametrize("language", ["en", "en_GB", "fr", None])
def test_others_read_english(site_in: Any, language: str | None) -> None:
    page = site_in(language).ask()
    assert '<html lang="en">' in page.text
    assert "<h1>Allow Shop &lt;1&gt;?</h1>" in page.text


def test_without_flask_babel_all_read_english(site: Site) -> None:
    site.add_client(name="Shop <1>")
    site.sign_in()
    page = site.browser.get(site.ask().request.full_path, headers={"Accept-Language": "de"})
    assert '<html lang="en">' in page.text
    assert "<h1>Allow Shop &lt;1&gt;?</h1>" in page.text


def test_an_application_adds_a_language_and_translates_its_scopes(site_in: Any, tmp_path: Path) -> None:
    for language, said in (
        ("fr", {"en": "fr", "Allow": "Autoriser", "See 100% of you": "Vous voir à 100%"}),
        ("de", {"Allow": "Erlauben", "See 100% of you": "100% von Ihnen sehen"}),
    ):
        folder = tmp_path / language / "LC_MESSAGES"
        folder.mkdir(parents=True)
        catalog = Catalog(locale=language)
        for text, translation in said.items():
            catalog.add(text, translation)
        with (folder / "flask_oauth2.mo").open("wb") as file:
            write_mo(file, catalog)
    scopes = {"profile": "See 100% of you"}
    french = site_in("fr", tmp_path, OAUTH2_SCOPES=scopes).ask(scope="profile").text
    assert '<html lang="fr">' in french
    assert ">Autoriser</button>" in french
    assert ">Deny</button>" in french
    assert "Vous voir à 100%" in french
    german = site_in("de", tmp_path, OAUTH2_SCOPES=scopes).ask(scope="profile").text
    assert ">Erlauben</button>" in german
    assert ">Ablehnen</button>" in german
    assert "100% von Ihnen sehen" in german


@pytest.mark.parametrize(
    ("language", "timezone", "day"),
    [
        ("de", "UTC", "25. November 2026"),
        ("de", "Europe/Berlin", "26. November 2026"),
        ("en_GB", "UTC", "25 November 2026"),
        ("en_US", "UTC", "November 25, 2026"),
        ("fr", "Europe/Paris", "25 November 2026"),
    ],
)
def test_days_are_written_as_the_reader_does(site_in: Any, language: str, timezone: str, day: str) -> None:
    with site_in(language, timezone=timezone).app.test_request_context():
        assert translations.format_date(WHEN) == day


def test_text_is_escaped_unless_it_is_html(site: Site) -> None:
    with site.app.test_request_context():
        assert translations.translate("<%(a)s> %(b)s", a="<b>", b=Markup("<i>")) == "&lt;&lt;b&gt;&gt; <i>"
        assert translations.translate("100% <") == "100% &lt;"


def test_the_translation_of_nothing_is_nothing(site_in: Any) -> None:
    with site_in("de").app.test_request_context():
        assert translations.translate("") == ""
