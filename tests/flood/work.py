"""Functions of another app's."""

from jobsapi.functions import job_function


@job_function
def registered(value):
    return value + 1


def unregistered(value):
    return value


class Model:
    @staticmethod
    @job_function
    def run(value):
        return value
