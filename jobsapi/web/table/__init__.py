"""JobsTable: a table of jobs for the pages of any app. ``jobsapi.gizmos`` is its door."""
