"""What is checked at ``save()`` and ``execute()``; each check raises ``InvalidJob`` with what to do."""

from jobsapi.htcondor.attributes import check_attributes
from jobsapi.htcondor.names import check_files, check_name, check_node_name, own_folder, slug, without_blanks
from jobsapi.htcondor.nodes import check_max_jobs, check_node_options
from jobsapi.htcondor.options import check_options
from jobsapi.htcondor.templates import TEMPLATES, check_template
from jobsapi.htcondor.values import check_count

__all__ = [
    "TEMPLATES",
    "check_attributes",
    "check_count",
    "check_files",
    "check_max_jobs",
    "check_name",
    "check_node_name",
    "check_node_options",
    "check_options",
    "check_template",
    "own_folder",
    "slug",
    "without_blanks",
]
