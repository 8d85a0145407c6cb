"""How Sphinx builds these pages. README.md says how to write one."""

from __future__ import annotations

import flask_oauth2

project = "flask_oauth2"
author = "the authors of flask_oauth2"
version = release = flask_oauth2.__version__

extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["README.md"]
html_theme = "furo"
html_title = f"flask_oauth2 {release}"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
