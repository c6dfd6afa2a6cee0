"""Addresses of the Jobs table. Include them in your site's urls: ``path("", include("jobsapi.web.urls"))``."""

from django.urls import path

from jobsapi.web import logs, parts, results, views

app_name = "jobsapi"
urlpatterns = [
    path("jobs/", views.jobs, name="jobs"),
    path("jobs/<int:job_id>/logs/", logs.job_logs, name="job-logs"),
    path("jobs/<int:job_id>/traceback/", views.job_traceback, name="job-traceback"),
    path("jobs/<int:job_id>/result/", results.job_result, name="job-result"),
    path("jobs/<int:job_id>/result/download/", results.download_result, name="job-result-download"),
    path("jobs/<int:job_id>/outputs/<str:name>/", results.download_output, name="job-output"),
    path("jobs/<int:job_id>/parts/", parts.job_parts, name="job-parts"),
    path("jobs/<int:job_id>/parts/stop/", parts.act_on_part, {"command": "stop"}, name="part-stop"),
    path("jobs/<int:job_id>/parts/pause/", parts.act_on_part, {"command": "pause"}, name="part-pause"),
    path("jobs/<int:job_id>/parts/resume/", parts.act_on_part, {"command": "resume"}, name="part-resume"),
    path("jobs/<int:job_id>/stop/", views.act, {"command": "stop"}, name="job-stop"),
    path("jobs/<int:job_id>/pause/", views.act, {"command": "pause"}, name="job-pause"),
    path("jobs/<int:job_id>/resume/", views.act, {"command": "resume"}, name="job-resume"),
    path("jobs/<int:job_id>/resubmit/", views.act, {"command": "resubmit"}, name="job-resubmit"),
    path("jobs/<int:job_id>/delete/", views.act, {"command": "delete"}, name="job-delete"),
    path("update-job-status/<int:job_id>/", views.update_job_status, name="update-job-status"),
]
