"""How Sphinx builds these pages. README.md says how to write one."""

from __future__ import annotations

import sys
from pathlib import Path

import flask_oauth2

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "flask_oauth2"
author = "the authors of flask_oauth2"
version = release = flask_oauth2.__version__

extensions = [
    "sphinx.ext.autodoc",
    "client_metadata",
    "commands_list",
    "options_list",
    "plain_fields",
    "short_names",
    "spec_page",
]
exclude_patterns = ["README.md", "benchmarks/*"]  # what benchmarks.rst includes
smartquotes = False  # options of commands begin with two hyphens
html_theme = "furo"
html_title = f"flask_oauth2 {release}"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}

# types in signatures that are not ours, or of no interest to readers; what the text names must be there
nitpick_ignore_regex = [("py:class", ".*"), ("py:mod", "blinker")]
