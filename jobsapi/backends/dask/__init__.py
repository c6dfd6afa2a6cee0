"""Jobs on a Dask scheduler. dask and distributed are imported here and nowhere else."""

from jobsapi.backends.dask.backend import DaskBackend

__all__ = ["DaskBackend"]
