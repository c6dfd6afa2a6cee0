"""The addresses of a project with jobs and the admin, and no page of its own to log in: LOGIN_URL = "admin:login"."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("jobsapi.portal.samples.urls")),
    path("", include("jobsapi.web.urls")),
]
