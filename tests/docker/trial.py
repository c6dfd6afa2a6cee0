"""Runs the whole stack once and writes down what it saw: ``python -m tests.docker.trial FOLDER``.

In namespaces of the test's own. FOLDER has ``programs.json``; ``report.json`` is written there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

from jobsapi.portal.demo import ROOT
from jobsapi.portal.supervisor import Supervisor
from tests.docker.engine import Container, Engine

JOB = """
import django; django.setup()
from dask import delayed
from django.contrib.auth import get_user_model
from jobsapi.app import JobsApp
from jobsapi.models import DaskScheduler

class Trial(JobsApp):
    package = "trial"

user = get_user_model().objects.create_user("ada")
scheduler = DaskScheduler.objects.create(name="dask", host="tcp://dask-scheduler:8786")
job = Trial.get_job_manager().create_job(name="large", user=user, job_type="DASK", scheduler=scheduler)
job.execute(delayed(bytes)(3_000_000))  # large enough to be kept in a file that web and workers share
print(job.wait(30), len(job.result or b""), job.status_message)
"""
SITE, FLOWER = "http://127.0.0.1:8000", "http://127.0.0.1:5555"
BY_HTTPS = {"X-Forwarded-Proto": "https", "Host": "jobs.example.org"}


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> None:
        return None


def get(address: str, **headers: str) -> tuple[int, str, str]:
    """Status, Location and text of an answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirects)
    try:
        with opener.open(urllib.request.Request(address, headers=headers), timeout=10) as answer:
            return answer.status, "", answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Location", ""), error.read().decode(errors="replace")


def style_of(page: str) -> tuple[int, str]:
    """Whether the style sheet that a page names is there, and its address."""
    address = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
    return get(f"{SITE}{address}", **BY_HTTPS)[0], address


def seen(engine: Engine, secrets: dict[str, str]) -> dict[str, Any]:
    """What the running stack answers."""
    web, beat, valkey, worker = (engine.containers[name] for name in ("web", "beat", "valkey", "dask-worker"))
    job = web.enter("python", "-c", JOB)
    password = {"Authorization": "Basic " + b64encode(f"flower:{secrets['flower']}".encode()).decode()}
    shown = json.loads(get(f"{FLOWER}/workers?json=1", **password)[2])["data"]
    return {
        "job": job.stdout.strip() or job.stderr,
        "home by http": get(f"{SITE}/", Host="jobs.example.org")[:2],
        "home by https": get(f"{SITE}/", **BY_HTTPS)[:2],
        "stranger's name": get(f"{SITE}/jobs/", **{**BY_HTTPS, "Host": "elsewhere.example.org"})[0],
        "health by any name": get(f"{SITE}/healthz", Host="10.1.2.3"),
        "style": style_of(get(f"{SITE}/accounts/login/", **BY_HTTPS)[2]),
        "flower for all": get(FLOWER)[0],
        "flower with password": sorted(worker["hostname"] for worker in shown),
        "valkey without password": valkey.enter("valkey-cli", "PING").stdout.strip(),
        "valkey keeps": valkey.enter("sh", "-c", "ls /data/appendonlydir").stdout.split(),
        "written": [name for name, one in engine.containers.items() if one.process.alive and writes(one)],
        "secrets of dask-worker": worker.enter("sh", "-c", "ls /run/secrets; env | grep -c _FILE").stdout.split(),
        "secrets to be seen": sorted(name for name, secret in secrets.items() if secret in command_lines()),
        "beat that sends nothing": beat_at_rest(beat),
    }


def writes(container: Container) -> bool:
    """Whether it can write where no volume is."""
    return any(container.enter("touch", f"/{folder}/trace").returncode == 0 for folder in ("opt", "etc", "var/lib"))


def beat_at_rest(beat: Container) -> bool:
    """Whether its health check is content when it has sent nothing for two minutes."""
    os.killpg(beat.process.pid, signal.SIGSTOP)
    beat.enter("touch", "-d", "2 minutes ago", "/tmp/heartbeat")
    healthy = beat.check()
    os.killpg(beat.process.pid, signal.SIGCONT)
    return healthy


def command_lines() -> str:
    """What any user of a server can read of all its processes."""
    return "\n".join(path.read_text(errors="replace") for path in Path("/proc").glob("[0-9]*/cmdline"))


def main(folder: Path) -> int:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run([ROOT / "docker" / "make-secrets", folder / "secrets"], check=True, stdout=subprocess.DEVNULL)
    secrets = {path.name: path.read_text().strip() for path in (folder / "secrets").iterdir()}
    secrets["flower"] = secrets["flower"].partition("flower:")[2].partition("'")[0]
    with Supervisor(folder / "logs") as supervisor:
        engine = Engine(folder, supervisor, json.loads((folder / "programs.json").read_text()))
        engine.up()
        report = seen(engine, secrets)
        report["ends"] = {"postgres": engine.containers["postgres"].stop()}
        report["web without a database"] = engine.containers["web"].check(), get(f"{SITE}/healthz")
        report["ends"] |= engine.down()
    (folder / "report.json").write_text(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
