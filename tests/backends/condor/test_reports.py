"""Where the file lies that tells a job of HTCondor how to report, and how it gets to where the job runs."""

from __future__ import annotations

import pytest

from jobsapi.backends.condor.description import describe
from jobsapi.backends.condor.layout import layout_of
from jobsapi.backends.condor.reports import INPUTS
from jobsapi.exceptions import InvalidJob
from jobsapi.htcondor.names import REPORT_FILE
from tests.backends.condor.stand_ins import NodeStandIn, StandIn, WorkflowStandIn

RUN = {"executable": "/bin/true"}


@pytest.mark.parametrize(
    ("attributes", "inputs"),
    [
        ({}, REPORT_FILE),
        ({"transfer_input_files": "../a, b"}, f"../a, b, {REPORT_FILE}"),
        ({"Transfer_Input_Files": ["../a", "b"]}, f"../a, b, {REPORT_FILE}"),
        ({"should_transfer_files": "NO"}, None),
        ({"universe": "local"}, None),
    ],
)
def test_it_is_one_of_the_inputs_where_htcondor_transfers_any(attributes, inputs):
    job = StandIn(attributes={**RUN, **attributes}, reports=True)
    assert describe(job).get(INPUTS) == inputs


def test_a_job_that_does_not_report_has_none(tmp_path):
    job = StandIn(attributes=RUN, workspace=str(tmp_path))
    assert describe(job).get(INPUTS) is None
    assert layout_of(job).report_files == ()


@pytest.mark.parametrize(
    ("attributes", "places"),
    [
        ({}, [REPORT_FILE]),
        ({"initialdir": "$(job_name)"}, [f"job/{REPORT_FILE}"]),
        ({"initialdir": "run/$(Process)"}, [f"run/{number}/{REPORT_FILE}" for number in range(3)]),
    ],
)
def test_it_lies_where_each_proc_begins_so_that_its_name_is_enough(tmp_path, attributes, places):
    job = StandIn(attributes={**RUN, **attributes}, num_jobs=3, workspace=str(tmp_path), reports=True)
    assert list(layout_of(job).report_files) == places
    assert REPORT_FILE not in str(layout_of(job).texts.keys())


def test_each_node_of_a_workflow_has_it_where_it_is_submitted(tmp_path):
    nodes = [NodeStandIn(name="A"), NodeStandIn(name="B", dir="down")]
    flow = WorkflowStandIn(nodes=nodes, workspace=str(tmp_path), reports=True)
    layout = layout_of(flow)
    assert list(layout.report_files) == [f"A/{REPORT_FILE}", f"down/B/{REPORT_FILE}"]
    assert all(REPORT_FILE in text for name, text in layout.texts.items() if name.endswith(".job"))
    assert not any("report" in word.lower() for word in layout.submit)


def test_a_file_of_the_users_of_that_name_is_refused(tmp_path):
    (tmp_path / REPORT_FILE).write_text("mine")
    job = StandIn(attributes=RUN, workspace=str(tmp_path), remote_input_files=[REPORT_FILE], reports=True)
    with pytest.raises(InvalidJob, match="Rename"):
        layout_of(job)
