"""Addresses of the sample app. The portal includes those of each app in ``JOBSAPI_APPS`` at its root."""

from django.urls import path

from jobsapi.portal.samples import views

urlpatterns = [
    path("demo/", views.page, name="samples"),
    path("demo/run/", views.run, name="samples-run"),
    path("demo/run-htcondor/", views.run_on_htcondor, name="samples-run-htcondor"),
]
