"""Settings of the documentation site: `make docs` builds it into docs/_build/html, warnings being errors."""

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import generate  # noqa: E402
import members  # noqa: E402

import bqp  # noqa: E402

project = "bqp"
author = "The bqp developers"
copyright = author
release = version = bqp.__version__
language = "en"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "script_links",
]
root_doc = "index"
# the first suffix is that of the pages that autosummary writes
source_suffix = {
    ".rst": "restructuredtext",
    ".md": "myst-nb",
    ".ipynb": "myst-nb",
}
exclude_patterns = ["_build", "_ext", "_scripts", "_static", "_templates", "generated/*.inc", "**.ipynb_checkpoints"]
templates_path = ["_templates"]
default_role = "py:obj"
highlight_language = "text"

# The pages
myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_render_markdown_format = "myst"  # tables among the outputs
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# The reference
autosummary_generate = True
autosummary_context = {"own_methods": members.OwnMembers("methods"), "own_attributes": members.OwnMembers("properties")}
autodoc_typehints = "none"
autodoc_mock_imports = [name for name in ("torch", "safetensors", "dimod") if importlib.util.find_spec(name) is None]
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# The theme
html_theme = "pydata_sphinx_theme"
html_title = "bqp"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_domain_indices = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "bqp"},
    "header_links_before_dropdown": 6,
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"index": [], "choosing": [], "mathematics": []}


def setup(app):
    generate.everything(HERE)
    app.connect("autodoc-process-docstring", members.plain_bars)
