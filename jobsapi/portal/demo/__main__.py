"""``python -m jobsapi.portal.demo [--once] [--condor]``."""

from __future__ import annotations

import argparse
import importlib.util
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from jobsapi.portal.demo import ADMINISTRATOR, ROOT, USER, DemoError, pool, processes
from jobsapi.portal.demo.browser import submit_samples
from jobsapi.portal.demo.display import watch
from jobsapi.portal.demo.ground import addresses, environment, only_one, prepare_database, private_folder
from jobsapi.portal.ports import free_ports
from jobsapi.portal.supervisor import StopRequested, Supervisor, SupervisorError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo until a signal, or with ``--once`` until its jobs have ended. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="demo", description="The whole portal on this machine, until Ctrl-C.")
    parser.add_argument("--once", action="store_true", help="wait for the sample jobs, say how they ended, and stop")
    parser.add_argument("--condor", action="store_true", help="run samples on an HTCondor pool of our own, too")
    options = parser.parse_args(arguments)
    once: bool = options.once
    folder = ROOT / "var" / "demo"
    try:
        with only_one(folder), private_folder() as sockets, Supervisor(folder / "logs") as supervisor:
            supervisor.heed_signals()
            try:
                return run(supervisor, folder, Path(sockets), once=once, condor=options.condor)
            except StopRequested as request:
                say(f"{request}: stopping ...")
                return 1 if once else 0
    except (DemoError, SupervisorError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def run(supervisor: Supervisor, folder: Path, sockets: Path, *, once: bool, condor: bool) -> int:
    """Start everything, submit the sample jobs as a browser would, and show them."""
    say("Starting Valkey, Dask, Celery, Flower and the web server ...")
    os.environ.update(environment(folder))
    if condor:
        say("Bringing up an HTCondor pool, which is fetched first if this machine has none (about 10 seconds) ...")
        htcondor = pool.own_pool(supervisor)
    else:
        htcondor = pool_of_this_machine()
    if not os.environ.get("JOBSAPI_BROKER_URL"):
        path = sockets / "valkey.sock"
        os.environ["JOBSAPI_BROKER_URL"] = f"redis+socket://{path}"
        supervisor.wait_until(supervisor.start(processes.valkey(path)), lambda: processes.answers(path))
    dask_port, board_port, flower_port, web_port = free_ports(0, 0, 0, 8000)
    os.environ.update(addresses(web_port, flower_port))
    board = importlib.util.find_spec("bokeh") is not None
    scheduler = supervisor.start(processes.dask_scheduler(dask_port, board_port, dashboard=board))
    supervisor.run(processes.migrate())
    supervisor.wait_listening(scheduler, dask_port)
    supervisor.start(processes.dask_worker(dask_port, folder))
    workers = processes.celery(folder)
    if htcondor and pool.jobs_are_another_account_s():
        # Only then: that account has to read what workers write, and to write beside it.
        pool.open_workspaces(Path(os.environ["JOBSAPI_VAR"]))
        workers = pool.opened(workers)
    for command in workers:
        supervisor.start(command)
    flower = supervisor.start(processes.flower(flower_port, folder))
    web = supervisor.start(processes.web_server(web_port))

    import django

    django.setup()
    password = secrets.token_urlsafe(9)
    dashboard = f"http://127.0.0.1:{board_port}/status" if board else ""
    prepare_database(password, f"tcp://127.0.0.1:{dask_port}", dashboard, htcondor=bool(htcondor))
    supervisor.wait_listening(web, web_port)
    supervisor.wait_listening(flower, flower_port)

    site = f"http://127.0.0.1:{web_port}"
    jobs = submit_samples(site, password, htcondor=bool(htcondor))
    say(f"Site            {site}/  (user {USER}, password {password})")
    say(f"Administration  {site}/admin/  (user {ADMINISTRATOR}, the same password)")
    say(f"Flower          http://127.0.0.1:{flower_port}/")
    if board:
        say(f"Dask dashboard  {dashboard}")
    if htcondor:
        say(f"HTCondor        {htcondor}")
    say(f"Logs            {supervisor.logs}")
    return watch(supervisor, jobs, once=once)


def pool_of_this_machine() -> str:
    """What to say of the HTCondor pool whose tools are on the PATH; nothing when none can be used."""
    try:
        return pool.found_pool()
    except DemoError as error:
        say(f"{error} Going on without it.")
        return ""


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
