"""The campaign as an app of the portal: its processes get points at which they can be killed."""

import os

from django.apps import AppConfig


class ChaosConfig(AppConfig):
    """Its jobs are those of ``tests.chaos.kinds``."""

    name = "tests.chaos"
    label = "chaos"

    def ready(self) -> None:
        if os.environ.get("JOBSAPI_CHAOS_POINTS"):
            from tests.chaos import wrapping

            wrapping.wrap_all()
