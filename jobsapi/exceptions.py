"""Every error that jobsapi raises, named once. Each says what happened and what to do about it."""


class JobsApiError(Exception):
    """The root of all errors of jobsapi."""


class TransitionNotAllowed(JobsApiError):
    """Raised when a command does not fit the job's status; a retry helps only after the status has changed."""


class UnknownJobType(JobsApiError, ValueError):
    """Raised when ``job_type`` names no registered job type."""


class WorkerOwned(JobsApiError):
    """Raised by ``save()`` when a column that the worker owns was assigned; the text names the call to use instead."""


class SchedulerNotAssigned(JobsApiError):
    """Raised when an app's scheduler setting has no scheduler assigned yet; an administrator can assign one."""


class WaitTimeout(JobsApiError, TimeoutError):
    """Raised by ``job.wait(timeout)`` when the job has not ended in time; the job itself goes on."""


class InvalidReport(JobsApiError, ValueError):
    """Raised when what a job reports of itself cannot be understood; the text says what is wrong."""


class BackendError(JobsApiError):
    """The root of what goes wrong between a job and its scheduler."""


class BackendUnavailable(BackendError):
    """Raised when the scheduler cannot be reached; trying later may help."""


class HostKeyNotAccepted(BackendUnavailable):
    """Raised when a submit host shows a key that no administrator has accepted for it; nothing was sent to it.

    ``offered`` is the key that it shows, as text; ``fingerprint`` its SHA-256, as ``ssh-keygen -l`` prints it.
    """

    def __init__(self, message: str, offered: str, fingerprint: str) -> None:
        super().__init__(message)
        self.offered = offered
        self.fingerprint = fingerprint


class LoginFailed(BackendUnavailable):
    """Raised when a submit host answers and does not let us in: what it is shown is refused, or not to be had here."""


class SubmissionOver(BackendUnavailable):
    """Raised when a try to submit has surely ended, though not whether it arrived: it may be looked for at once."""


class TransferFailed(BackendError):
    """Raised when files of a job could not be brought, though its scheduler answers; trying later may help."""


class NoRoom(BackendError):
    """Raised when a scheduler answers and has as many jobs as it takes; nothing was handed over, and later may help."""


class NotReady(BackendError):
    """Raised when a result cannot be had now, though its scheduler is reachable; trying later may help."""


class NotSupported(BackendError, NotImplementedError):
    """Raised when this kind of scheduler or job cannot do what was asked; a retry never helps."""


class InvalidJob(BackendError, ValueError):
    """Raised when a job cannot be run as it is described; it must be changed first.

    ``detail`` is more than a line: a traceback.
    """

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class SchedulerMissing(InvalidJob):
    """Raised when a job needs a scheduler and has none, or one of another kind."""


class WorkNotPicklable(InvalidJob):
    """Raised when what ``execute()`` was given cannot be packed to be run later, somewhere else."""


class FunctionNotAllowed(InvalidJob):
    """Raised when a function given by name does not import, or is neither the app's own nor registered."""


class WorkspaceNotAllowed(InvalidJob):
    """Raised when a workspace lies outside the configured root."""


class OutputNotAllowed(InvalidJob):
    """Raised when the file of a named output is reached by a link, or is no plain file."""


class SealBroken(InvalidJob):
    """Raised when stored bytes are not what this portal sealed for this job, attempt and purpose."""


class ProcessingFailed(InvalidJob):
    """Raised when a function of the app's own has raised; ``detail`` has its traceback."""


class ResultTooLarge(InvalidJob):
    """Raised when a result is larger than ``RESULT_MAX_BYTES``."""


class DaskJobException(BackendUnavailable):
    """Raised when a Dask scheduler cannot be connected to (the name that ported apps catch)."""
