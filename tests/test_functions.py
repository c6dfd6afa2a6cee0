"""Which functions a job may name."""

import functools
import os
import sys
from os import system  # noqa: F401  (a foreign function, re-exported by this module)

import pytest

from jobsapi import functions
from jobsapi.app import JobsApp
from jobsapi.exceptions import FunctionNotAllowed
from tests.flood import work

OWN = ["tests"]


def own(value):
    return value


class Own:
    @staticmethod
    def method(value):
        return value

    def __call__(self, value):
        return value


not_callable = 3
wrapped = functools.partial(os.system, "true")


def _private(value):
    return value


@pytest.mark.parametrize(("function", "path"), [(own, "own"), (Own.method, "Own.method"), (_private, "_private")])
def test_a_function_at_the_top_of_a_module_has_a_path(function, path):
    assert functions.path_of(function) == f"tests.test_functions.{path}"


def test_what_a_worker_could_not_find_again_has_no_path():
    def nested():
        pass

    for function in (lambda value: value, nested, wrapped, Own(), 3, None):
        with pytest.raises(FunctionNotAllowed, match="no lambda, no nested function, not __main__"):
            functions.path_of(function)


def test_a_function_of_the_main_script_has_no_path(monkeypatch):
    script = type(sys)("__main__")
    exec("def job(): pass", vars(script))
    monkeypatch.setitem(sys.modules, "__main__", script)

    with pytest.raises(FunctionNotAllowed):
        functions.path_of(script.job)


def test_a_function_whose_name_was_taken_by_another_has_no_path(monkeypatch):
    function = own
    monkeypatch.setattr(sys.modules[__name__], "own", print)

    with pytest.raises(FunctionNotAllowed):
        functions.path_of(function)


def test_the_apps_own_functions_are_found():
    assert functions.resolve("tests.test_functions.own", OWN) is own
    assert functions.resolve("tests.test_functions.Own.method", OWN) is Own.method


@pytest.mark.parametrize("name", ["system", "os.system", "wrapped", "sys.exit", "functools.reduce"])
def test_a_foreign_function_within_the_apps_own_module_is_refused(name):
    with pytest.raises(FunctionNotAllowed, match="job_function"):
        functions.resolve(f"tests.test_functions.{name}", OWN)


def test_a_function_of_another_app_is_allowed_when_registered_and_only_then():
    assert functions.resolve("tests.flood.work.registered", ["elsewhere"]) is work.registered
    assert functions.resolve("tests.flood.work.Model.run", ["elsewhere"])(4) == 4
    with pytest.raises(FunctionNotAllowed, match="Mark it with @"):
        functions.resolve("tests.flood.work.unregistered", ["elsewhere"])


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("tests.test_functions.absent", "has no public absent"),
        ("tests.test_functions._private", "has no public _private"),
        ("tests.test_functions.Own.__init__", "has no public __init__"),
        ("tests.test_functions.own.__globals__.clear", "has no public __globals__"),
        ("tests.no_such_module.function", "tests has no public no_such_module"),
        ("tests.test_functions", "is no function but a module"),
        ("tests.test_functions.not_callable", "is no function but a int"),
        ("tests", "does not import"),
        ("tests.", "does not import"),
        ("tests..own", "does not import"),
        ("tests.test functions.own", "does not import|has no public"),
    ],
)
def test_a_name_that_finds_no_function_is_refused_with_the_reason(path, reason):
    with pytest.raises(FunctionNotAllowed, match=reason):
        functions.resolve(path, OWN)


@pytest.fixture
def new_module(tmp_path, monkeypatch):
    """Write a module that nobody has imported yet."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made = []

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        made.append(name)

    yield write
    for name in made:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    "text", ["import no_such_package", "from os import no_such_name", "no_such_variable", "no such syntax"]
)
def test_a_module_of_the_app_that_does_not_import_says_why(new_module, text):
    new_module("broken_app", text)

    with pytest.raises(FunctionNotAllowed, match=r"does not import: .*no.such|invalid syntax"):
        functions.resolve("broken_app.function", ["broken_app"])


def test_a_module_outside_is_not_even_imported(new_module):
    new_module("outsider", "def function(): pass")

    with pytest.raises(FunctionNotAllowed, match="neither in the app's own package"):
        functions.resolve("outsider.function", OWN)
    assert "outsider" not in sys.modules

    assert functions.resolve("outsider.function", ["outsider"])
    assert "outsider" in sys.modules


@pytest.mark.parametrize("path", ["testsuite.function", "os.system", "builtins.eval", "", ".", "..os.system"])
def test_a_package_is_no_prefix_of_a_longer_name(path):
    with pytest.raises(FunctionNotAllowed):
        functions.resolve(path, [*OWN, ""])


def test_the_packages_of_an_app_are_what_is_installed_under_its_label_or_name():
    assert functions.packages_of("flood") == ["tests.flood"]
    assert functions.packages_of("tests.flood") == ["tests.flood"]


def test_a_label_that_no_app_has_gives_no_package():
    assert functions.packages_of("subprocess") == []


def test_an_app_that_describes_itself_may_use_functions_of_the_package_it_does_so_in():
    class Described(JobsApp):
        package = "described"

    assert functions.packages_of("described") == ["tests"]


def test_a_job_takes_a_function_or_its_name_for_its_results(make_job):
    job = make_job(process_results_function=own)
    assert job.process_results_function is own

    job.process_results_function = "tests.test_functions.Own.method"
    assert job.process_results_function is Own.method

    job.process_results_function = None
    assert job.process_results_function is None


def test_a_function_that_is_gone_reads_as_none(make_job):
    job = make_job()
    job.process_results_function = "tests.test_functions.absent"

    assert job.process_results_function is None
