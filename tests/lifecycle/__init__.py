"""What a worker does to jobs, against the fake scheduler."""
