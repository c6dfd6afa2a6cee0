"""A third-party app with a job type of its own."""
