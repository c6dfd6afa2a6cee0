"""One module per kind of scheduler. Loaded by dotted path (``JOBSAPI["BACKENDS"]``), so that the app needs none of them."""
