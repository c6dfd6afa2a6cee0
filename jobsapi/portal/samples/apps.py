"""The sample app, as Django sees it."""

from django.apps import AppConfig


class SamplesConfig(AppConfig):
    """Sample jobs of the portal."""

    name = "jobsapi.portal.samples"
    label = "samples"
    verbose_name = "Sample jobs"
