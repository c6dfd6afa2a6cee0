"""What the portal reads from its environment, and what it refuses."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured
from kombu import Connection

from jobsapi.portal import environment

ODD = "p@ss:w/r#d?100%&+"


@pytest.fixture
def variables(monkeypatch):
    """An empty environment, to be filled."""
    found: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", found)
    return found


@pytest.fixture
def refused():
    """The words of a refusal, which must not repeat a secret."""

    def words(read, *arguments, **options) -> str:
        with pytest.raises(ImproperlyConfigured) as caught:
            read(*arguments, **options)
        assert ODD not in str(caught.value)
        return str(caught.value)

    return words


def test_any_variable_may_be_given_as_a_file(variables, tmp_path):
    (tmp_path / "key").write_text(f"  {ODD}\n")
    variables["SECRET_KEY_FILE"] = str(tmp_path / "key")
    assert environment.text("SECRET_KEY") == ODD
    (tmp_path / "keys").write_text("new,\nold\n")
    variables["SECRET_KEY_FALLBACKS_FILE"] = str(tmp_path / "keys")
    assert environment.words("SECRET_KEY_FALLBACKS") == ["new", "old"]


def test_a_variable_and_its_file_at_once_are_refused_but_an_empty_one_counts_as_not_given(variables, refused, tmp_path):
    (tmp_path / "key").write_text("in the file")
    variables |= {"SECRET_KEY": ODD, "SECRET_KEY_FILE": str(tmp_path / "key")}
    assert refused(environment.text, "SECRET_KEY") == "SECRET_KEY and SECRET_KEY_FILE are both set. Unset one of them."
    variables["SECRET_KEY"] = ""
    assert environment.text("SECRET_KEY") == "in the file"
    variables |= {"SECRET_KEY": ODD, "SECRET_KEY_FILE": ""}
    assert environment.text("SECRET_KEY") == ODD


def test_a_file_that_holds_nothing_or_is_not_there_is_refused_by_its_name(variables, refused, tmp_path):
    path = tmp_path / "key"
    variables["SECRET_KEY_FILE"] = str(path)
    assert str(path) in refused(environment.text, "SECRET_KEY")
    path.write_text("\n")
    assert refused(environment.text, "SECRET_KEY") == f"The file that SECRET_KEY_FILE names is empty: {path}"
    path.write_bytes(b"\xff")
    assert "SECRET_KEY_FILE" in refused(environment.text, "SECRET_KEY")


@pytest.mark.parametrize(
    ("said", "meant"), [("1", True), ("Yes", True), ("0", False), ("off", False), ("", True), (" ", True)]
)
def test_a_switch_is_on_or_off(variables, said, meant):
    variables["JOBSAPI_HTTPS"] = said
    assert environment.flag("JOBSAPI_HTTPS", default=True) is meant


def test_a_switch_that_says_neither_is_refused(variables, refused):
    variables["JOBSAPI_HTTPS"] = "ja"
    assert refused(environment.flag, "JOBSAPI_HTTPS", default=True).startswith("JOBSAPI_HTTPS is “ja”. Say one of 1, ")


@pytest.mark.parametrize("said", ["soon", "0", "-1", "nan", "inf"])
def test_a_time_is_a_number_of_seconds_and_more_than_nothing(variables, refused, said):
    assert environment.seconds("JOBSAPI_REFRESH_INTERVAL", 10) == 10
    variables["JOBSAPI_REFRESH_INTERVAL"] = "2.5"
    assert environment.seconds("JOBSAPI_REFRESH_INTERVAL", 10) == 2.5
    variables["JOBSAPI_REFRESH_INTERVAL"] = said
    assert said in refused(environment.seconds, "JOBSAPI_REFRESH_INTERVAL", 10)


def test_a_folder_is_the_same_for_processes_started_in_different_places(variables, refused):
    variables["JOBSAPI_VAR"] = "var"
    assert "whole path" in refused(environment.folder, "JOBSAPI_VAR")
    variables["JOBSAPI_VAR"] = "/srv/var"
    assert environment.folder("JOBSAPI_VAR") == Path("/srv/var")


def test_the_password_of_the_database_may_come_by_itself(variables, tmp_path):
    (tmp_path / "password").write_text(f"{ODD}\n")
    variables["DATABASE_URL"] = "postgres://jobsapi@postgres:5432/jobs?connect_timeout=5"
    variables["DATABASE_PASSWORD_FILE"] = str(tmp_path / "password")
    found = environment.database("sqlite://")
    assert (found["HOST"], found["NAME"], found["USER"], found["PASSWORD"]) == ("postgres", "jobs", "jobsapi", ODD)
    assert found["OPTIONS"] == {"connect_timeout": 5}


def test_two_passwords_of_the_database_and_an_address_that_is_none_are_refused(variables, refused):
    variables |= {"DATABASE_URL": "postgres://jobsapi:other@postgres/jobs", "DATABASE_PASSWORD": ODD}
    assert "DATABASE_PASSWORD is set too" in refused(environment.database, "sqlite://")
    variables["DATABASE_URL"] = f"nonsense://{ODD}"
    assert refused(environment.database, "sqlite://").startswith("DATABASE_URL is not understood. Write postgres://")


@pytest.mark.parametrize(("said", "user"), [("redis://valkey:6379/1", None), ("redis://jobs@valkey:6379/1", "jobs")])
def test_the_password_of_the_broker_is_put_into_its_address_whatever_characters_it_has(variables, said, user):
    variables |= {"JOBSAPI_BROKER_URL": said, "JOBSAPI_BROKER_PASSWORD": ODD}
    with Connection(environment.broker("redis://")) as celery:
        assert (celery.hostname, celery.port, celery.virtual_host) == ("valkey", 6379, "1")
        assert (celery.userid, celery.password) == (user, ODD)


def test_the_password_of_a_broker_on_a_socket_is_put_into_its_address_too(variables):
    variables |= {"JOBSAPI_BROKER_URL": "redis+socket:///run/valkey.sock", "JOBSAPI_BROKER_PASSWORD": ODD}
    parts = urlsplit(environment.broker("redis://"))
    assert (parts.scheme, parts.hostname, parts.path) == ("redis+socket", None, "/run/valkey.sock")
    assert unquote(parts.password) == ODD


def test_two_passwords_of_the_broker_and_an_address_that_is_none_are_refused(variables, refused):
    variables |= {"JOBSAPI_BROKER_URL": "redis://:other@valkey/0", "JOBSAPI_BROKER_PASSWORD": ODD}
    assert "JOBSAPI_BROKER_PASSWORD is set too" in refused(environment.broker, "redis://")
    for nonsense in ("valkey:6379", "valkey", "redis://[::1/0"):
        variables["JOBSAPI_BROKER_URL"] = nonsense
        assert "JOBSAPI_BROKER_URL is not understood" in refused(environment.broker, "redis://")


def test_an_app_that_is_not_installed_is_named(variables, refused):
    variables["JOBSAPI_APPS"] = "jobsapi.portal.samples, no_such_app.apps.Config"
    assert "there is no package “no_such_app”" in refused(environment.apps, "JOBSAPI_APPS")
    variables["JOBSAPI_APPS"] = "jobsapi.portal.samples -x"
    assert "“-x”" in refused(environment.apps, "JOBSAPI_APPS")


def test_sizes_and_json_are_read_and_what_is_neither_is_refused(variables, refused):
    assert environment.size("JOBSAPI_RESULT_MAX_BYTES", "RESULT_MAX_BYTES") == {}
    assert environment.json_dict("JOBSAPI_RETENTION") == {}
    variables |= {"JOBSAPI_RESULT_MAX_BYTES": "1000", "JOBSAPI_RETENTION": '{"*": {"*": {"results": 90}}}'}
    assert environment.size("JOBSAPI_RESULT_MAX_BYTES", "RESULT_MAX_BYTES") == {"RESULT_MAX_BYTES": 1000}
    assert environment.json_dict("JOBSAPI_RETENTION") == {"*": {"*": {"results": 90}}}
    for wrong in ("0", "-1", "1 GB", "1e9"):
        variables["JOBSAPI_RESULT_MAX_BYTES"] = wrong
        assert "number of bytes" in refused(environment.size, "JOBSAPI_RESULT_MAX_BYTES", "RESULT_MAX_BYTES")
    for wrong in ("90", "[]", "{'*': 1}"):
        variables["JOBSAPI_RETENTION"] = wrong
        assert "JSON" in refused(environment.json_dict, "JOBSAPI_RETENTION")
