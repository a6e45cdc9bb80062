"""Sphinx: MyST pages, and the public API from its docstrings."""

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

from oban_pro import __version__

project = "oban-workflows"
author = "The oban-workflows contributors"
release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "adr/0000-template.md", "explanation/performance-figures.md"]
nitpicky = False

html_theme = "alabaster"
html_static_path = ["_static"]
html_theme_options = {
    "description": "Durable workflows for Python on PostgreSQL",
    # Wide enough for code.
    "page_width": "1160px",
    "body_max_width": "none",
}

# Notebooks are stored with their output; a test runs them again.
nb_execution_mode = "off"
# The drawing is also in the page as Markdown.
nb_mime_priority_overrides = [("*", "text/vnd.mermaid", None)]
suppress_warnings = ["mystnb.unknown_mime_type"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
# Docstrings write `name` for code, without a role of Sphinx.
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False


def setup(app: Sphinx) -> None:
    """Take blocks in languages that Pygments does not know as text."""
    app.add_lexer("mermaid", TextLexer)
