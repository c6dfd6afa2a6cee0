"""The job type that this app adds. jobsapi imports this module by its name."""

from jobsapi.models import DaskJob, spec_property


class FloodJob(DaskJob):
    """A flood model of one river."""

    job_type, aliases = "FLOOD", ("HYDRO",)

    river = spec_property("")
    gauges = spec_property(list)
    cell_size = spec_property(10.0, doc="In metres.")

    class Meta:
        proxy = True
