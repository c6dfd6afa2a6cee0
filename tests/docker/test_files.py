"""What the Compose file and the Dockerfile say, before anything runs."""

from __future__ import annotations

import re
import stat
import subprocess
import sys

import pytest

from jobsapi.portal.demo import ROOT
from tests.docker.files import BIN, FOLDER, compose, ends, image_variables, services

SERVICES = services()
LONG_RUNNING = sorted(name for name, service in SERVICES.items() if not ends(service))


def test_compose_takes_the_file_and_asks_for_the_one_setting_that_has_no_default(tmp_path):
    assert compose("config", "--quiet").returncode == 0
    nothing = tmp_path / "env"
    nothing.touch()
    refused = compose("--env-file", str(nothing), "config", "--quiet", env={"ALLOWED_HOSTS": ""})
    assert refused.returncode != 0
    assert "Say in docker/.env by which names the site is reached" in refused.stderr


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.app"])
def test_the_linter_finds_nothing_in_the_dockerfiles(name):
    answer = subprocess.run([BIN / "hadolint", FOLDER / name], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (0, "")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_each_service_has_only_the_rights_that_it_needs(name):
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"]
    assert service.get("user", "") in {"", "postgres", "valkey"}  # our own image says which
    assert not service.get("privileged")


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_each_service_that_stays_is_watched_and_bounded_and_comes_back(name):
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"]
    assert int(service["deploy"]["resources"]["limits"]["memory"]) > 0


def test_services_start_when_what_they_need_is_ready():
    needs = {
        name: {other: on["condition"] for other, on in service.get("depends_on", {}).items()}
        for name, service in SERVICES.items()
    }
    well, done = "service_healthy", "service_completed_successfully"
    assert needs["migrate"] == {"postgres": well}
    assert needs["web"] == {"migrate": done, "static": done, "valkey": well}
    for name in ("control", "work", "beat"):
        assert needs[name] == {"migrate": done, "valkey": well}
    assert needs["flower"] == {"valkey": well}
    assert needs["dask-worker"] == {"dask-scheduler": well}


def test_only_the_site_and_flower_can_be_reached_and_only_from_this_server():
    published = {name: service["ports"] for name, service in SERVICES.items() if service.get("ports")}
    assert set(published) == {"web", "flower"}
    assert {port["host_ip"] for ports in published.values() for port in ports} == {"127.0.0.1"}


def test_what_runs_the_code_of_users_reaches_no_secret_and_no_store():
    worker = SERVICES["dask-worker"]
    assert "secrets" not in worker
    assert "environment" not in worker
    assert "volumes" not in worker
    for store in ("postgres", "valkey"):
        for dask in ("dask-worker", "dask-scheduler"):
            assert not set(SERVICES[dask]["networks"]) & set(SERVICES[store]["networks"])


def test_web_and_workers_share_one_folder_and_only_one_container_makes_the_clock_tick():
    for name in ("web", "control", "work"):
        assert "var" in {volume["source"] for volume in SERVICES[name]["volumes"]}
    assert SERVICES["beat"]["container_name"] == "jobsapi-beat"  # what has a name, Compose refuses to scale
    assert SERVICES["beat"]["deploy"]["replicas"] == 1


def test_every_image_has_an_exact_version():
    files = "".join(path.read_text() for path in FOLDER.glob("Dockerfile*"))
    bases = re.findall(r"^ARG (?:PYTHON|PORTAL)=(\S+)$", files, re.M)
    assert len(bases) == len(re.findall(r"^FROM \$", files, re.M)) - 1  # the first is there in two stages
    images = {service["image"] for service in SERVICES.values()}
    for image in (*bases, *images):
        assert re.search(r":\d+\.\d+(\.\d+)?(-[\w.-]+)?$", image), image


def test_the_volumes_of_the_portal_are_folders_that_its_image_gives_to_its_user():
    made = (FOLDER / "Dockerfile").read_text().partition("install --directory")[2].partition("\nCOPY")[0].split()
    own = [service for service in SERVICES.values() if service["image"].startswith("jobsapi:")]
    targets = {volume["target"] for service in own for volume in service.get("volumes", ())}
    assert targets <= set(made)
    assert {image_variables()["JOBSAPI_VAR"], image_variables()["JOBSAPI_STATIC"]} <= targets


def test_only_what_the_image_is_made_of_is_sent_to_the_builder():
    ignore = (ROOT / ".dockerignore").read_text().split("\n")
    sent = {line[1:] for line in ignore if line.startswith("!")}
    lines = re.findall(r"^COPY (?!--from)(.*)$", (FOLDER / "Dockerfile").read_text(), re.M)
    copied = {word for line in lines for word in line.split()[:-1]}
    assert ignore[1] == "*"
    assert sent == copied


def test_secrets_are_made_once_for_their_owner_to_enter_and_for_containers_to_read(tmp_path):
    folder = tmp_path / "secrets"
    script = [FOLDER / "make-secrets", folder]
    said = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    first = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(first) == {secret["source"] for service in SERVICES.values() for secret in service.get("secrets", ())}
    assert len(set(first.values())) == len(first)
    assert not any(secret.strip() in said for secret in first.values())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o444}
    (folder / "secret_key").unlink()
    subprocess.run(script, capture_output=True, check=True)
    second = {path.name: path.read_text() for path in folder.iterdir()}
    assert {name for name in first if first[name] != second[name]} == {"secret_key"}


def test_no_secret_and_no_settings_of_a_server_can_be_committed():
    assert (FOLDER / ".gitignore").read_text().split() == ["/.env", "/secrets/"]


def test_the_example_names_only_variables_that_the_compose_file_reads():
    named = re.findall(r"^#?([A-Z_]+)=", (FOLDER / ".env.example").read_text(), re.M)
    read = (FOLDER / "compose.yaml").read_text()
    assert [name for name in named if "${" + name not in read] == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/healthz", "nonsense"])
def test_the_probe_says_what_is_wrong_when_nothing_answers(address):
    probe = [sys.executable, "-m", "jobsapi.portal.probe", address]
    answer = subprocess.run(probe, capture_output=True, text=True, check=False, cwd=ROOT)
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"{address}: ")
