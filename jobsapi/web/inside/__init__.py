"""What is inside a job: the graph of a workflow, the tasks of a Dask job by name, the parts of a job of many."""
