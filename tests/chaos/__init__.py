"""A fault campaign: jobs are submitted while everything that can break is broken. ``python -m tests.chaos --help``."""
