"""Addresses of the portal, and those of the apps that the environment adds to it."""

from collections.abc import Collection, Iterator

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.shortcuts import redirect
from django.templatetags.static import static
from django.urls import URLResolver, include, path
from django.utils.module_loading import module_has_submodule
from django.views.generic import RedirectView


def addresses_of(names: Collection[str]) -> Iterator[URLResolver]:
    """The addresses of each of these apps that has a module ``urls``; the app itself says where they begin."""
    for app in apps.get_app_configs():
        names_of_app = {app.name, f"{type(app).__module__}.{type(app).__qualname__}"}
        if names_of_app.intersection(names) and app.module and module_has_submodule(app.module, "urls"):
            yield path("", include(f"{app.name}.urls"))


urlpatterns = [
    path("", include("jobsapi.web.urls")),
    path("favicon.ico", lambda request: redirect(static("jobsapi/icon.svg"))),  # pages of the admin name none
    path("accounts/", include("django.contrib.auth.urls")),
    path("admin/", admin.site.urls),
    *addresses_of(settings.PORTAL_APPS),
    path("", RedirectView.as_view(pattern_name="jobsapi:jobs"), name="home"),  # unless an app has a page there
]
