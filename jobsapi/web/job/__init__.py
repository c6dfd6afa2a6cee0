"""The pages of one job: everything about it, its logs, its results, its files."""
