"""One refresh costs the same however many jobs there are: commands, connections and statements are counted."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobsapi import lifecycle
from jobsapi.backends.condor.transport import transport_of
from jobsapi.models import CondorWorkflow, CondorWorkflowJobNode, Job

TALK = ("connect", "run", "read", "tails", "stage", "bring", "remove")
"""What goes over the line, of all that a transport counts."""


@pytest.fixture
def many(place, manager, user, execute, worker, script, scripts):
    """1,000 jobs under way: most of them parts of the queue only as rows and ads, which is what a refresh works on."""

    def make(count):
        first = execute(place, script("wait.sh", "sleep 600"), name="first")
        workflow = manager.create_job("flow", user, job_type="CONDORWORKFLOW", scheduler=place)
        workflow.save()
        CondorWorkflowJobNode(
            name="A",
            workflow=workflow,
            attributes={"executable": "wait.sh"},
            condorpy_template_name="vanilla_transfer_files",
            remote_input_files=[str(scripts / "wait.sh")],
        ).save()
        workflow.execute()
        running = worker.until(first, "Running")
        worker.until(workflow, "Running")
        rows = []
        for number in range(count - 2):
            row = manager.create_job(f"job {number}", user, job_type="CONDOR", scheduler=place)
            row.submission_id, row.native_id = row.uid, str(1_000_000 + number)
            row._status, row.execute_time, row.creation_time = "RUN", timezone.now(), timezone.now()
            row.backend_state = {**running.backend_state}
            rows.append(row)
        Job._base_manager.bulk_create(rows)
        return place

    return make


@pytest.mark.timeout(180)
def test_a_refresh_of_a_thousand_jobs_takes_three_commands_one_connection_and_a_few_statements(many, worker):
    scheduler = many(1_000)
    transport = transport_of(scheduler)
    lifecycle.refresh(scheduler.pk)  # the others are missing from now on, and looked for in the history
    before = dict(transport.exchanges)

    with CaptureQueriesContext(connection) as queries:
        lifecycle.refresh(scheduler.pk)

    done = {what: transport.exchanges[what] - before.get(what, 0) for what in TALK}
    assert done["connect"] == 0
    assert sum(done.values()) <= 3
    assert len(queries) <= 30
    assert transport.exchanges["connect"] <= 1
    for job in [Job.objects.order_by("pk").first(), CondorWorkflow.objects.get()]:
        assert job.cached_status == "Running"
        job.stop()
        worker.ended(job)
