"""How Sphinx builds the documentation: ``make docs``."""

import sys
from pathlib import Path

import django
from django.conf import settings

sys.path.insert(0, str(Path(__file__).parents[1]))
settings.configure(INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "jobsapi"])
django.setup()

project = "jobsapi"
author = "the authors of jobsapi"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "jobsapi"
html_copy_source = False
html_show_copyright = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"

# Every reference to something of ours must be found. What is Python's, Django's or Dask's is not described here.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!jobsapi\b).*"), ("py:class", r"jobsapi\.functions\.F")]
