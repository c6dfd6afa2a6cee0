"""The file by which the programs of a job learn where they can report how far it is, and with which token.

It is an input like any other, which only the account may read: the ad of a job, its arguments and its environment can
be read by every user of the pool.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jobsapi.backends.condor.transport.tree import tree
from jobsapi.htcondor.attributes import plain
from jobsapi.htcondor.names import REPORT_FILE

INPUTS = "transfer_input_files"
RUN_WHERE_SUBMITTED = {"local", "scheduler"}
"""Universes whose jobs find their files where they lie."""


def transferring(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The lines of a submit description, with the file among the inputs unless HTCondor is to transfer none."""
    given = {plain(name): value for name, value in attributes.items()}
    universe, transfer = (str(given.get(name) or "").lower() for name in ("universe", "should_transfer_files"))
    if universe in RUN_WHERE_SUBMITTED or transfer in ("no", "false"):
        return dict(attributes)
    name = next((each for each in attributes if plain(each) == INPUTS), INPUTS)
    inputs = attributes.get(name) or []
    with_it = [*inputs, REPORT_FILE] if isinstance(inputs, list | tuple) else f"{inputs}, {REPORT_FILE}"
    return {**attributes, name: with_it}


def access(job: Any) -> str:
    """What stands in the file. Raises ``InvalidJob`` when nobody has set ``PUBLIC_URL``."""
    return json.dumps({"url": job.report_url, "token": job.report_token}) + "\n"


def forget(folder: Path, names: Iterable[str]) -> None:
    """Remove the file from a folder of this machine, where it lies under these names."""
    with suppress(OSError), tree(folder) as own:
        for name in names:
            with suppress(OSError):
                own.unlink(name)
