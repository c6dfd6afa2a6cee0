"""``python -m tests.chaos [--jobs 300] [--seed 7]``. The exit status is 1 if a promise was broken."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from jobsapi.portal.supervisor import StopRequested
from tests.chaos import table
from tests.chaos.stage import Stage


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10**6), help="of the plan: the same, the same plan"
    )
    parser.add_argument(
        "--faults", default="", help="words, parted by commas: only faults with one of them in the name"
    )
    parser.add_argument("--turns", type=int, help="how many faults; by default about one for each ten jobs")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--without-htcondor", action="store_true")
    parser.add_argument("--keep", type=Path, help="keep logs, database and notes in this folder, which is made")
    parser.add_argument("--write", type=Path, help="put the table into this page, between its marks")
    said = parser.parse_args()
    try:
        with folder(said.keep) as home:
            return campaign(home, said)
    except (pytest.skip.Exception, pytest.fail.Exception) as reason:
        print(f"Not run: {reason}", file=sys.stderr)
        return 2
    except StopRequested:
        return 130


def campaign(home: Path, said: argparse.Namespace) -> int:
    """Raise the stage, run, and tell."""
    began = time.monotonic()
    print(f"Seed {said.seed}, {said.jobs} jobs, {said.database}.", flush=True)
    words = [*filter(None, said.faults.split(","))]
    clocks = not words or any("clock" in word for word in words)
    with Stage(home, said.database, htcondor=not said.without_htcondor, clocks=clocks) as stage:
        from tests.chaos import faults, points, verdict
        from tests.chaos.campaign import Campaign
        from tests.chaos.cases import Case, Wrong
        from tests.chaos.plan import planned

        chosen = {fault.name: fault for fault in faults.chosen(words)}
        turns = said.turns if said.turns is not None else max(len(chosen), said.jobs // 10)
        run = Campaign(stage, planned(said.jobs, said.seed, [*chosen], stage.schedulers, turns), chosen)
        settled = run.run()
        found = list(verdict.cases(run))
        if not settled:
            found.append(Case(Wrong.LEFT, "Not everything had ended when nobody waited any longer."))
        for case in found:
            tell(case, run, said.seed)
        passed, killed = points.known(), points.killed()
        descendants = stage.descendants()
    for process in descendants:
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            found.append(Case(Wrong.LEFT, f"Process {process.pid} is left: {process.cmdline()}"))
            print(found[-1].text)
    lines = table.rows(run.injected, found, said.jobs)
    at = sum(1 for name in passed if killed[name])
    summary = (
        f"{said.jobs:,} jobs, seed {said.seed}, {said.database}, {(time.monotonic() - began) / 60:.0f} minutes. "
        f"A process was killed at {at} of the {len(passed)} named points that were passed, {killed.total()} times."
    )
    print(f"\n{summary}\n\n{table.text(lines)}\n")
    for name, reason in run.not_here.items():
        print(f"Not done: {name}. {reason}")
    if never := [name for name in passed if not killed[name]]:
        print(f"Nobody was killed at: {'; '.join(never)}")
    if said.write:
        table.write(said.write, table.markdown(lines), [summary])
    (home / "found.json").write_text(json.dumps([case.text for case in found]))
    print(f"{len(found)} promises broken. Seed {said.seed}." if found else "All promises were kept.")
    return int(bool(found))


def tell(case: object, run: object, seed: int) -> None:
    """A broken promise: the seed, the job, its history, and the faults that came while it was under way."""
    from jobsapi.models import JobEvent
    from tests.chaos.campaign import Campaign
    from tests.chaos.cases import Case

    assert isinstance(case, Case)
    assert isinstance(run, Campaign)
    print(f"\nBROKEN ({case.wrong}), seed {seed}: {case.text}")
    if case.job is None:
        return
    for event in JobEvent.objects.filter(job_id=case.job).order_by("pk"):
        print(f"    {event.time:%H:%M:%S.%f} {event.by} {event.get_status_display()} {event.attempt}: {event.message}")
    for each in run.injected:
        if case.job in each.under_way:
            print(f"    at {each.began:.1f} s: {each.fault}. {'; '.join(each.told)}")


@contextmanager
def folder(keep: Path | None) -> Iterator[Path]:
    """Where everything is written: ``keep``, or a folder that is gone afterwards. Jobs of HTCondor must get in."""
    if keep is not None:
        keep.mkdir(parents=True)
        keep.chmod(0o755)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="jobsapi-chaos-", dir="/tmp", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


if __name__ == "__main__":
    sys.exit(main())
