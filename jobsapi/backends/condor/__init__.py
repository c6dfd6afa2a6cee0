"""Jobs of HTCondor, on this machine or over SSH. condorpy and paramiko are imported here and nowhere else."""

from jobsapi.backends.condor.backend import CondorBackend

__all__ = ["CondorBackend"]
