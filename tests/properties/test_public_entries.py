"""Whatever an app gives: a job is stored as it was given, or refused with an error that names what is wrong."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import transaction
from hypothesis import example, given
from hypothesis import strategies as st

from jobsapi import conf, functions
from jobsapi.app import JobsApp
from jobsapi.backends.condor.layout import layout_of
from jobsapi.checks import values as checks
from jobsapi.exceptions import JobsApiError
from jobsapi.htcondor import attributes, names, options
from jobsapi.models import CondorJob, CondorWorkflow, CondorWorkflowJobNode, Job
from jobsapi.models.condor import rules
from tests.properties import a_part_of
from tests.properties.texts import HUGE, json_values, texts

HUGE_NUMBER = 10**5_000


class Unshowable:
    """Says nothing of itself."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # for Hypothesis, which asks this first
        printer.text("Unshowable()")


class Deep(list[Any]):
    """A list of lists of lists."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("nested(20_000)")


class App(JobsApp):
    """The app whose jobs they are."""

    package = "tests"


def nested(depth: int) -> list[Any]:
    found = Deep()
    for _ in range(depth):
        found = Deep([found])
    return found


circle: list[Any] = []
circle.append(circle)

odd = st.sampled_from(
    [Unshowable(), object(), b"\xff", 1j, nested(20_000), circle, HUGE_NUMBER, -HUGE_NUMBER, int, ...]
)
anything = json_values | odd | st.lists(texts | odd, max_size=2) | st.dictionaries(texts, texts | odd, max_size=2)

FIELDS = [
    "name",
    "description",
    "extended_properties",
    "priority",
    "process_results_function",
    "workspace",
    "outputs",
    "spec",
    "forget",
]
OF_CONDOR = ["attributes", "num_jobs", "remote_input_files", "condorpy_template_name", "submit_options"]
ATTRIBUTES = st.sampled_from(["executable", "arguments", "output", "transfer_input_files", "environment", "+My"])


@pytest.fixture
def maker(user):
    """Creates jobs of the user's, and stores them: in a transaction that leaves nothing."""

    def make(job_type, given):
        with transaction.atomic():
            try:
                job = App.get_job_manager().create_job(**{"name": "job", "user": user, "job_type": job_type, **given})
                job.save()
                return type(job).objects.get(pk=job.pk)
            finally:
                transaction.set_rollback(True)

    return make


@pytest.mark.django_db(transaction=True)
@a_part_of(0.6)
@given(given=st.dictionaries(st.sampled_from(FIELDS), anything, max_size=2))
@example(given={"priority": 2**31})
@example(given={"priority": Unshowable()})
@example(given={"extended_properties": {"a": nested(20_000)}})
@example(given={"name": "x" * 10_000_000})
@example(given={"outputs": {HUGE: Unshowable()}, "workspace": "a"})
@example(given={"outputs": {"a": 5}})
def test_a_job_is_stored_as_it_was_given_or_refused(maker, given):
    try:
        stored = maker("DASK", given)
    except JobsApiError as error:
        str(error).encode()
        return

    for name in given.keys() & {"name", "description", "priority", "extended_properties"}:
        assert getattr(stored, name) == given[name]


@pytest.mark.django_db(transaction=True)
@a_part_of(0.6)
@given(
    given=st.dictionaries(st.sampled_from(OF_CONDOR), anything, max_size=2),
    described=st.dictionaries(ATTRIBUTES | texts, anything, max_size=3),
)
@example(given={"num_jobs": HUGE_NUMBER}, described={})
@example(given={}, described={"arguments": HUGE_NUMBER})
@example(given={}, described={"arguments": [HUGE_NUMBER]})
@example(given={}, described={"environment": Unshowable()})
@example(given={"remote_input_files": 5}, described={})
@example(given={"attributes": 5}, described={})
def test_a_description_for_htcondor_is_written_or_refused(maker, given, described):
    try:
        job = maker("CONDORJOB", {"attributes": {"executable": "/bin/true", **described}, **given})
        layout_of(job)
    except JobsApiError as error:
        str(error).encode()


WORKFLOW = ["max_jobs", "config", "remote_input_files", "submit_options"]
NODE = [
    "name",
    "pre_script",
    "pre_script_args",
    "variables",
    "priority",
    "category",
    "retry",
    "abort_dag_on",
    "pre_skip",
    "abort_dag_on_return_value",
    "dir",
    "noop",
    "done",
    "remote_input_files",
    "attributes",
    "num_jobs",
]


@pytest.mark.django_db(transaction=True)
@a_part_of(0.6)
@given(
    flow=st.dictionaries(st.sampled_from(WORKFLOW), anything, max_size=2),
    node=st.dictionaries(st.sampled_from(NODE), anything, max_size=2),
)
@example(flow={"max_jobs": {"a": HUGE_NUMBER}}, node={})
@example(flow={}, node={"retry": HUGE_NUMBER})
@example(flow={}, node={"variables": {"a": Unshowable()}})
def test_a_workflow_is_written_or_refused(user, flow, node):
    with transaction.atomic():
        try:
            job = App.get_job_manager().create_job("flow", user, job_type="CONDORWORKFLOW", **flow)
            job.save()
            CondorWorkflowJobNode(
                **{"workflow": job, "name": "A", "attributes": {"executable": "/bin/true"}, **node}
            ).save()
            layout_of(CondorWorkflow.objects.get(pk=job.pk))
        except JobsApiError as error:
            str(error).encode()
        finally:
            transaction.set_rollback(True)


@given(anything)
def test_every_rule_for_a_description_refuses_in_words(value):
    for check in (
        *(names.check_name, names.check_node_name, names.check_files, names.last_name, rules.check_attributes),
        *(attributes.check_attribute_name, rules.check_max_jobs),
        lambda given: options.check_options(given, for_dag=True),
        lambda given: options.check_options([given, given], for_dag=False),
        lambda given: rules.check_count("num_jobs", given),
        lambda given: names.check_relative("dir", given),
        lambda given: attributes.line("arguments", given),
    ):
        try:
            check(value)
        except JobsApiError as error:
            str(error).encode("utf-8", "strict")


@given(texts)
@example("")
@example(".")
@example("os.system")
@example(f"os.{HUGE}")
@example("\x00.a")
def test_a_function_by_name_is_found_or_not_allowed(path):
    try:
        functions.resolve(path, ["tests"])
    except JobsApiError as error:
        str(error)


@a_part_of(0.5)
@given(st.dictionaries(st.sampled_from([*conf.DEFAULTS, "NO_SUCH", 5]), anything, max_size=3) | anything)
@example({"LEASE": HUGE_NUMBER})
@example({"RETENTION": {"*": {"days": HUGE_NUMBER}}})
@example({"SEALING_KEYS": [circle]})
@example({"PORTAL": Unshowable()})
def test_the_checks_tell_what_is_wrong_with_any_settings(configured):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "settings", SimpleNamespace(JOBSAPI=configured))
        found = list(checks.check())

    assert all(isinstance(each, CheckMessage) and str(each) for each in found)


@pytest.mark.django_db
@a_part_of(0.6)
@given(st.integers() | st.just(HUGE_NUMBER) | texts | st.none(), texts, json_values)
def test_jobs_are_looked_for_by_whatever_is_given(user, number, order, value):
    manager = App.get_job_manager()
    try:
        assert manager.get_job(number) is None
        list(manager.list_jobs(user=user, filters={"name": value}))
        list(manager.list_jobs(order_by=order or "id")[:1])
    except (JobsApiError, ValidationError, ValueError, TypeError, LookupError, ImproperlyConfigured):
        return  # what Django says of a lookup that makes no sense is the caller's to read
    except Exception as error:
        if type(error).__name__ != "FieldError":
            raise


def test_these_are_the_entries_that_there_are():
    """A job type with another attribute is fuzzed as well."""
    known = {name for cls in (Job, CondorJob, CondorWorkflow) for name in dir(cls)}

    assert {*FIELDS, *OF_CONDOR} - {"forget"} <= known
