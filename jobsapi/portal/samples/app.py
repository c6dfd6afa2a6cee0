"""What the app tells about itself: its name, and the schedulers it needs."""

from collections.abc import Sequence

from jobsapi.app import JobsApp, SchedulerSetting


class SampleApp(JobsApp):
    """Three sample jobs for Dask, and two for HTCondor."""

    package = "samples"

    def scheduler_settings(self) -> Sequence[SchedulerSetting]:
        """One of each kind. An administrator says which, under Scheduler assignments."""
        return (
            SchedulerSetting("dask", "Runs the sample jobs.", engine=SchedulerSetting.DASK, required=True),
            SchedulerSetting("htcondor", "Runs samples of its own.", engine=SchedulerSetting.HTCONDOR),
        )
