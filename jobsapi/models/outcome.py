"""What has come of a job: its result as files, and the files that it left in its workspace."""

from __future__ import annotations

import json
import pickle
from typing import IO, Any

from jobsapi.exceptions import InvalidJob
from jobsapi.models.blobs import JobBlob, Purpose
from jobsapi.models.logs import Logs
from jobsapi.models.outputs import Output, check_outputs, look_for, open_output
from jobsapi.models.spec import spec_property


class Outcome(Logs):
    """For apps, pages and scripts. Nothing but ``result`` unpickles anything."""

    outputs = spec_property(
        dict,
        doc="""Files that the job leaves in its workspace, as names and relative paths.

    ``create_job(..., outputs={"report": "out/report.pdf"})``. Pages offer them by name once they are there.
    """,
    )

    class Meta:
        abstract = True

    @property
    def result(self) -> Any:
        """What was computed, or what the processing function made of it. None while there is none, and with ``forget``.

        A list for a list of Dask leaves; in it None for a part that failed. Raises ``SealBroken``.
        """
        if self.pk is None or self.submission_id is None:
            return None
        kept = JobBlob.of(self, Purpose.RESULT)
        if kept is None:
            return None
        with kept.open() as file:
            return pickle.load(file)  # noqa: S301  (every byte is verified before it gets here)

    @property
    def result_file(self) -> JobBlob | None:
        """The result in a format that everybody can read, or None: ``name``, ``size``, ``sha256``, ``open()``.

        ``.npy`` for an array, ``.npz`` for several, ``.parquet`` or ``.csv`` for a table, ``.txt`` for text, ``.bin``
        for bytes, ``.zip`` for a mixture, ``.json`` for all else that JSON can say (NaN and infinity become null).
        """
        return JobBlob.of(self, Purpose.FILE) if self.submission_id else None

    @property
    def result_preview(self) -> dict[str, Any] | None:
        """What pages show of the result, or None. ``jobsapi.previews.preview`` says what is in it."""
        kept = JobBlob.find(self, Purpose.PREVIEW) if self.submission_id else None
        return None if kept is None else json.loads(kept)

    def find_outputs(self) -> list[Output]:
        """The named outputs, as their files are now: ``name``, ``path``, ``size``, ``modified``, ``problem``."""
        return look_for(self.workspace, self.outputs) if self.outputs else []

    def open_output(self, name: str) -> IO[bytes]:
        """The file of a named output.

        Raises ``KeyError`` for a name that the job does not have, ``FileNotFoundError`` as long as there is no file,
        and ``OutputNotAllowed`` for what leaves the workspace or is no plain file.
        """
        return open_output(self.workspace, self.outputs[name])

    def validate(self) -> None:
        """Raises a subclass of ``InvalidJob`` when the job could not be stored or run as it is described."""
        super().validate()
        if named := self.spec.get("outputs"):
            check_outputs(named)
            if not self.workspace:
                raise InvalidJob("A job with outputs needs a workspace that they lie in.")
