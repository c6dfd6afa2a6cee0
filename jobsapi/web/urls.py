"""Addresses of the Jobs table. Include them in your site's urls: ``path("", include("jobsapi.web.urls"))``."""

from django.urls import path

from jobsapi.models import CondorWorkflow
from jobsapi.web import callbacks, views
from jobsapi.web.inside import dashboard, fragment, parts
from jobsapi.web.job import files, following, logs, page, results, sharing
from jobsapi.web.table import views as table

app_name = "jobsapi"
urlpatterns = [
    path("jobs/", views.jobs, name="jobs"),
    path("jobs/table/changes/", table.changes, name="table-changes"),
    path("jobs/table/selected/", table.act_on_selected, name="table-selected"),
    path("jobs/table/alive/", table.alive, name="table-alive"),
    path("jobs/table/<int:index>/<int:job_id>/", table.act, name="table-act"),
    path("jobs/<int:job_id>/", page.job_page, name="job"),
    path("jobs/<int:job_id>/logs/", logs.job_logs, name="job-logs"),
    path("jobs/<int:job_id>/logs/follow/", following.follow, name="job-log-follow"),
    path("jobs/<int:job_id>/logs/download/", logs.download_log, name="job-log-download"),
    path("jobs/<int:job_id>/files/", files.job_files, name="job-files"),
    path("jobs/<int:job_id>/files/download/", files.download_file, name="job-file"),
    path("jobs/<int:job_id>/files/all/", files.download_all, name="job-files-all"),
    path("jobs/<int:job_id>/traceback/", views.job_traceback, name="job-traceback"),
    path("jobs/<int:job_id>/result/", results.job_result, name="job-result"),
    path("jobs/<int:job_id>/result/download/", results.download_result, name="job-result-download"),
    path("jobs/<int:job_id>/outputs/<str:name>/", results.download_output, name="job-output"),
    path("jobs/<int:job_id>/inside/", fragment.job_inside, name="job-inside"),
    path("jobs/<int:job_id>/dashboard/", dashboard.job_dashboard, name="job-dashboard"),
    path("jobs/<int:job_id>/parts/", parts.job_parts, name="job-parts"),
    path("jobs/<int:job_id>/parts/stop/", parts.act_on_part, {"command": "stop"}, name="part-stop"),
    path("jobs/<int:job_id>/parts/pause/", parts.act_on_part, {"command": "pause"}, name="part-pause"),
    path("jobs/<int:job_id>/parts/resume/", parts.act_on_part, {"command": "resume"}, name="part-resume"),
    path("jobs/<int:job_id>/run/", views.act, {"command": "execute"}, name="job-run"),
    path("jobs/<int:job_id>/stop/", views.act, {"command": "stop"}, name="job-stop"),
    path("jobs/<int:job_id>/pause/", views.act, {"command": "pause"}, name="job-pause"),
    path("jobs/<int:job_id>/resume/", views.act, {"command": "resume"}, name="job-resume"),
    path("jobs/<int:job_id>/resubmit/", views.act, {"command": "resubmit"}, name="job-resubmit"),
    path(
        "jobs/<int:job_id>/resubmit/all/",
        views.act,
        {"command": "resubmit", "type": CondorWorkflow, "options": {"from_start": True}},
        name="job-resubmit-all",
    ),
    path("jobs/<int:job_id>/delete/", views.act, {"command": "delete"}, name="job-delete"),
    path("jobs/<int:job_id>/share/", sharing.share, name="job-share"),
    path("update-job-status/<int:job_id>/", callbacks.update_job_status, name="update-job-status"),
    path("update-dask-job-status/<path:key>/", callbacks.update_dask_job_status, name="update-dask-job-status"),
    path("report-job-status/<int:job_id>/", callbacks.report_job_status, name="report-job-status"),
]
