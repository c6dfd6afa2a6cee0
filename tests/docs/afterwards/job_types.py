"""The job of the new type has run as what it is."""


def holds(page):
    from flood.job_types import FloodJob

    assert page.job.wait(60) == "Complete", page.job.status_message
    found = page.job_manager.list_jobs().last()
    assert (type(found), found.river, found.hours) == (FloodJob, "Rhine", 24)
    assert found.result.shape == (24,)
