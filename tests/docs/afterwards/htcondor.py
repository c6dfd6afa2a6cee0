"""Files lie where the page says, and its tables have every kind and every option of a node."""

import re

from jobsapi.models import CondorJob, CondorWorkflow, CondorWorkflowNode
from jobsapi.models.spec import spec_property
from tests.docs.blocks import DOCS


def holds(page):
    own = f"depth-{page.job.pk}"
    assert page.job.folder.name == own
    lying = {path.relative_to(page.job.folder).as_posix() for path in page.job.folder.rglob("*")}
    assert lying >= {"depth.sh", "levels.txt", f"{own}/{own}.job", f"{own}/depth.0.txt", f"{own}/logs"}
    assert [output.size for output in page.job.find_outputs()] == [4]
    assert "1 of 3 nodes failed: mouth: " in "\n".join(map(str, page.workflow.events.all()))
    assert "Job terminated" in page.piece.text
    assert CondorJob.objects.get(spec__num_jobs=4) == page.stations  # as the page on porting has it

    text = (DOCS / "htcondor.md").read_text()
    rows = "\n".join(line for line in text.splitlines() if line.startswith("| `"))
    named = set(re.findall(r"`(\w+)`", rows))
    assert options(CondorWorkflowNode) <= named
    assert {kind.__name__ for kind in CondorWorkflowNode.registry.values()} - {"CondorWorkflowNode"} <= named
    assert all(f"`{name}`" in text for name in ("max_jobs", "config")), options(CondorWorkflow)


def options(kind):
    """What can be said of it, kept in its ``spec``."""
    return {name for name, value in vars(kind).items() if isinstance(value, spec_property)}
