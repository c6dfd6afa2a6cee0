"""The portal, as Django sees it: the pages that a site needs around the app, the login among them."""

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """Templates of the site. An app in ``JOBSAPI_APPS`` may bring its own of the same names, which go before."""

    name = "jobsapi.portal"
    label = "jobsapi_portal"
    verbose_name = "Portal"
