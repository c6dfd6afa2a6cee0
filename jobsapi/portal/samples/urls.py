"""Addresses of the sample app."""

from django.urls import path

from jobsapi.portal.samples import views

urlpatterns = [
    path("", views.page, name="samples"),
    path("run/", views.run, name="samples-run"),
]
