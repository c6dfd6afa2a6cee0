"""What the page says of its jobs holds of those, too, whose results it does not show."""

from jobsapi.models import Job


def holds(page):
    rhine = page.job_manager.list_jobs(filters={"extended_properties__river": "Rhine"})

    assert [found.pk for found in rhine] == [page.job.pk]
    assert page.squares.wait(60) == "Complete", page.squares.status_message
    assert page.squares.result[1000] == 1000**2
    assert not Job.objects.filter(pk=page.levels.pk).exists()
    assert page.report.cached_status == "Complete"
