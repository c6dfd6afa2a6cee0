"""Hand work that takes seconds to days from any Django app to HTCondor or Dask, and no request ever waits for it."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("jobsapi")
except PackageNotFoundError:  # run from a checkout that was not installed
    __version__ = "0"
