"""The site: `python -m sphinx -W doc build/site`.

With `-D plot_gallery=0`, in half a minute and without the pictures of the examples.
"""

import sys
from pathlib import Path

from docutils.nodes import SkipNode
from latex2mathml.converter import convert
from sklearn.experimental import (  # what examples import
    enable_halving_search_cv,  # noqa: F401
    enable_iterative_imputer,  # noqa: F401
)
from sphinx.errors import ExtensionError

import sklearn_daae

sys.path.insert(0, str(Path(__file__).parent))
import gallery

project = "sklearn-daae"
author = "The sklearn-daae developers"
copyright = author
version = release = sklearn_daae.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
]
# `guide/` and the like are pages; scripts and notebooks of the gallery are not.
exclude_patterns = [
    "auto_examples/*.ipynb",
    "auto_examples/*.py",
    "auto_examples/*.zip",
    "examples",
    "build",
]
templates_path = ["_templates"]
bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # a test runs the notebook, and stores what comes of it
copybutton_prompt_text = ">>> |... |\\$ "
copybutton_prompt_is_regexp = True

default_role = "literal"
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc's types say more
numpydoc_show_class_members = False

# The examples of the paper's data sets are run where these are at hand.
run = filter(gallery.can_run, gallery.ORDER)
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": "|".join(run).replace(".", r"\."),
    "within_subsection_order": "gallery.in_order",
    "reference_url": {"sklearn_daae": None},
    "backreferences_dir": "reference/examples",
    "doc_module": ("sklearn_daae",),
    "inspect_global_variables": False,
    "show_memory": False,
    "min_reported_time": float("inf"),
    "write_computation_times": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "first_notebook_cell": "%matplotlib inline",
    "show_signature": False,
}

html_theme = "pydata_sphinx_theme"
html_title = f"sklearn-daae {version}"
html_context = {"default_mode": "auto"}  # light or dark: as the system is
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {"index": [], "changelog": [], "references": []}
html_theme_options = {
    "github_url": "https://github.com/sklearn-daae/sklearn-daae",
    "header_links_before_dropdown": 5,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
}


def mathml(node, display):
    """Return a formula as MathML: browsers draw it with no script, and no network."""
    converted = convert(node.astext(), display=display)
    if "\\" in converted or "&<" in converted:
        raise ExtensionError(f"latex2mathml does not know all of {node.astext()}")
    return converted


def visit_math(self, node):
    """Write a formula within a line."""
    self.body.append(mathml(node, "inline"))
    raise SkipNode


def visit_displaymath(self, node):
    """Write a formula that has lines of its own."""
    self.body.append(f'<div class="formula">{mathml(node, "block")}</div>\n')
    raise SkipNode


def skip_requests(app, what, name, member, skip, options):
    """Leave out what scikit-learn adds to every class for metadata routing."""
    return True if name.startswith("set_") and name.endswith("_request") else None


def as_text(app, env, node, content):
    """Leave as text what docstrings of scikit-learn, which searches keep, refer to."""
    searches = "reference/sklearn_daae.model_selection."
    return content if node.get("refdoc", "").startswith(searches) else None


def setup(app):
    """Add what is ours."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_displaymath, None))
    app.config.html_math_renderer = "mathml"
    app.connect("autodoc-skip-member", skip_requests)
    app.connect("missing-reference", as_text)
