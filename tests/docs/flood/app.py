"""What the app tells about itself."""

from jobsapi.app import JobsApp, SchedulerSetting


class FloodApp(JobsApp):
    """Flood models for rivers."""

    package = "flood"

    def scheduler_settings(self):
        return [
            SchedulerSetting("cluster", "Runs the models", engine=SchedulerSetting.DASK, required=True),
            SchedulerSetting("pool", "Runs the programs", engine=SchedulerSetting.HTCONDOR),
        ]
