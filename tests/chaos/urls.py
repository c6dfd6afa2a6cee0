"""Where jobs are submitted over HTTP."""

from django.urls import path

from tests.chaos import views

urlpatterns = [
    path("chaos/run/", views.run, name="chaos-run"),
    path("chaos/act/", views.act, name="chaos-act"),
    path("chaos/<str:uid>/", views.done, name="chaos-done"),
]
