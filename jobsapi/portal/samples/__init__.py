"""A sample app: three jobs, run as any app of yours would run them. Read it to learn the API."""
