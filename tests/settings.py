"""The portal's settings, for tests. Without a DATABASE_URL: SQLite in a file, which subprocesses can share."""

import atexit
import json
import os
import shutil
import tempfile

os.environ.setdefault("SECRET_KEY", "tests-only-tests-only-tests-only-tests-only-tests-only")
os.environ.setdefault("JOBSAPI_HTTPS", "0")
os.environ.setdefault("JOBSAPI_APPS", "jobsapi.portal.samples")
if "JOBSAPI_VAR" not in os.environ:
    os.environ["JOBSAPI_VAR"] = tempfile.mkdtemp(prefix="jobsapi-tests-")
    atexit.register(shutil.rmtree, os.environ["JOBSAPI_VAR"], ignore_errors=True)

from jobsapi.portal.settings import *  # noqa: F403
from jobsapi.portal.settings import DATABASES, INSTALLED_APPS, JOBSAPI, VAR_DIR

INSTALLED_APPS = [
    *INSTALLED_APPS,
    "tests",  # the app that the jobs of the tests are of
    "tests.flood",
]
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}

JOBSAPI = {**JOBSAPI, **json.loads(os.environ.get("JOBSAPI_TEST_SETTINGS", "{}"))}
