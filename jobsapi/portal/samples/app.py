"""What the app tells about itself: its name, and the schedulers it needs."""

from collections.abc import Sequence

from jobsapi.app import JobsApp, SchedulerSetting


class SampleApp(JobsApp):
    """Three sample jobs for Dask."""

    package = "samples"

    def scheduler_settings(self) -> Sequence[SchedulerSetting]:
        """One Dask scheduler. An administrator says which, under Scheduler assignments."""
        return (SchedulerSetting("dask", "Runs the sample jobs.", engine=SchedulerSetting.DASK, required=True),)
