"""The app as Django sees it."""

from django.apps import AppConfig


class FloodConfig(AppConfig):
    """Its models are its job types alone."""

    name = "tests.flood"
    label = "flood"
