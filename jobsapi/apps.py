"""The Django app's entry: finds the job types of all installed apps and registers the system checks."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class JobsapiConfig(AppConfig):
    """Add ``"jobsapi"`` to ``INSTALLED_APPS``; other apps define job types in a module called ``job_types``."""

    name = "jobsapi"
    verbose_name = "Jobs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from jobsapi import checks  # noqa: F401  (registers itself)

        autodiscover_modules("job_types")
