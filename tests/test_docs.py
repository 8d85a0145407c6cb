"""The documentation holds: its pages run, and README.rst lists the options that there are."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from doc_page import COMPANIONS, ROOT, Page, PageError, find_pages, load_companion, page_id, read_blocks

from flask_oauth2.settings import OPTIONS, default


@pytest.mark.parametrize("path", [path for path in find_pages() if read_blocks(path)], ids=page_id)
def test_a_page_does_what_it_says(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    folder = tmp_path / "folder"
    folder.mkdir()
    Page(path, folder, load_companion(path)).run()


def test_every_companion_has_a_page() -> None:
    companions = {path.relative_to(COMPANIONS).with_suffix("").as_posix() for path in COMPANIONS.rglob("*.py")}
    assert companions <= {page_id(path) for path in find_pages()}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Like this::\n\n    x = 1\n", "this code does not run"),
        (".. code:: python\n\n    x = 1\n", "this code does not run"),
        (".. parsed-literal::\n\n    x = 1\n", "this code does not run"),
        (".. literalinclude:: ../tests/conftest.py\n", "this code does not run"),
        (".. literalinclude:: ../examples/nothing.py\n", "this code does not run"),
        (".. note::\n\n    >>> 1\n", "this code does not run"),
        (
            ".. code-block:: python\n    :caption: An application\n\n    x = 1\n",
            "the caption is not the name of a file",
        ),
        (".. code-block:: yaml\n\n    x: 1\n", "blocks of yaml are not supported"),
        (".. code-block::\n\n    x = 1\n", "blocks of no language are not supported"),
        (".. code-block:: ini\n    :caption: a.ini\n\n    x = 1\n", "needs a companion"),
        (
            ".. code-block:: python\n    :caption: a.py, continued\n\n    x = 1\n",
            "a.py does not exist and cannot be continued",
        ),
        (".. code-block:: text\n\n    x\n", "no block before this one has an output"),
        (".. code-block:: sh\n\n    echo a\n\n.. code-block:: text\n\n    b\n", "the output differs"),
        (".. code-block:: sh\n\n    false\n", "'false' failed"),
        (".. code-block:: sh\n\n    pip install no-such-thing\n", "is not installed"),
        (".. code-block:: sh\n\n    pip install 'flask_oauth2[nothing]'\n", "has no extra nothing"),
        (".. code-block:: sh\n\n    flask --app nothing run\n", "did not start"),
    ],
)
def test_a_page_that_breaks_the_rules(text: str, complaint: str, tmp_path: Path) -> None:
    path = new_page(tmp_path, text)
    with pytest.raises(PageError, match=complaint):
        Page(path, path.parent).run()


@pytest.mark.parametrize(
    "text",
    [
        ".. code-block:: python\n\n    assert 1 == 2\n",
        ".. hidden-code-block: python\n\n    assert 1 == 2\n",
        ".. code-block:: python\n    :caption: failing.py\n\n    assert 1 == 2\n",
        "* .. code-block:: python\n\n      assert 1 == 2\n",
    ],
)
def test_code_that_fails(text: str, tmp_path: Path) -> None:
    path = new_page(tmp_path, text)
    with pytest.raises(AssertionError):
        Page(path, path.parent).run()


def test_a_page_whose_blocks_work_together(tmp_path: Path) -> None:
    path = new_page(
        tmp_path,
        """
        .. code-block:: python
            :caption: greeting.py

            WORD = "hello"

        .. note::

            .. code-block:: python
                :caption: greeting.py, continued

                NAME = "world"

        .. code-block:: sh

            python3 -m venv .venv && . .venv/bin/activate && pip install flask 'flask_oauth2[login]'
            mkdir deep && cd deep && export NAME=Ada
            PYTHONPATH=.. python -c \\
                "import greeting; print(greeting.WORD, 'ada')"

        .. code-block:: text

            h…o ada

        .. code-block:: sh

            echo "$NAME in $(basename $PWD)"

        .. code-block:: text

            Ada in deep

        .. hidden-code-block: python

            page.replace["SECRET"] = "12345"

        .. code-block:: python

            import json
            from greeting import NAME
            print(json.dumps({"length": len("SECRET"), "name": NAME}))
            assert "page" not in globals()

        .. code-block:: json

            {"length": 5,
             "name": …}
        """,
    )
    Page(path, path.parent).run()


def new_page(folder: Path, text: str) -> Path:
    path = folder / "page.rst"
    path.write_text(dedent(text))
    return path


def describe_options() -> str:
    """The list of options, as README.rst must have it."""
    return "\n".join(
        f"``OAUTH2_{name.upper()}`` = ``{default(name)!r}``\n    {option.metadata['doc']}\n"
        for name, option in OPTIONS.items()
    )


def test_every_option_is_listed_with_its_default() -> None:
    listed = (ROOT / "README.rst").read_text().partition("Options\n-------\n")[2].strip()
    assert listed == describe_options().strip()
