"""A sample app: three jobs for Dask and two for HTCondor, run as any app of yours would run them.

Read it to learn the API.
"""
