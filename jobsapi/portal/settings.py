"""Settings of the portal, all from the environment; ``docs/settings.md`` lists them. Safe for production by default."""

from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from jobsapi.portal import environment
from jobsapi.portal.environment import flag, seconds, text, words

BASE_DIR = Path(__file__).resolve().parents[2]
VAR_DIR = environment.folder("JOBSAPI_VAR", BASE_DIR / "var" if (BASE_DIR / "manage.py").exists() else None)
"""What the portal writes: the SQLite database, the workspaces and the results."""
if VAR_DIR is None:
    raise ImproperlyConfigured("JOBSAPI_VAR is not set. Name the folder that the portal shall write to.")

# Django itself refuses an empty key as soon as something is signed, and commands that sign nothing run without one.
SECRET_KEY = text("SECRET_KEY")
SECRET_KEY_FALLBACKS = words("SECRET_KEY_FALLBACKS")
DEBUG = flag("DEBUG", default=False)
ALLOWED_HOSTS = words("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = words("CSRF_TRUSTED_ORIGINS")

# Behind a proxy that ends TLS, uvicorn reads X-Forwarded-Proto from the addresses in FORWARDED_ALLOW_IPS.
HTTPS = flag("JOBSAPI_HTTPS", default=not DEBUG)
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
X_FRAME_OPTIONS = "DENY"
DEFAULT_EXCEPTION_REPORTER_FILTER = "jobsapi.portal.error_reports.WithoutPasswords"

OWN = ("script-src", "style-src", "img-src", "font-src", "connect-src", "form-action")
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        **{kind: ["'none'"] for kind in ("default-src", "base-uri", "frame-ancestors")},
        **{kind: ["'self'"] for kind in OWN},
        **environment.json_dict("JOBSAPI_CSP"),
    }
}
"""A browser takes nothing into our pages that is not our own, and runs no script that stands in a page."""

PORTAL_APPS = environment.apps("JOBSAPI_APPS")
"""The apps that make this portal a team's own. They come first, so that their templates go before all others."""

INSTALLED_APPS = [
    *PORTAL_APPS,
    "jobsapi.portal",
    "jobsapi",
    "django_htmx",
    "django_celery_results",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "jobsapi.portal.health.health",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "jobsapi.portal.threads.in_one_thread",
]

ROOT_URLCONF = "jobsapi.portal.urls"
ASGI_APPLICATION = "jobsapi.portal.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Without these, SQLite loses writes to "database is locked" when a web process and workers share it.
# https://docs.djangoproject.com/en/5.2/ref/databases/#sqlite-notes
SQLITE_OPTIONS = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}

DATABASE = environment.database(f"sqlite:///{VAR_DIR / 'db.sqlite3'}")
if DATABASE["NAME"] == str(VAR_DIR / "db.sqlite3"):
    VAR_DIR.mkdir(parents=True, exist_ok=True)
if DATABASE["ENGINE"] == "django.db.backends.sqlite3":
    DATABASE["OPTIONS"] = {**SQLITE_OPTIONS, **DATABASE.get("OPTIONS", {})}
DATABASES = {"default": DATABASE}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "/"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = environment.folder("JOBSAPI_STATIC")
"""Where ``collectstatic`` puts static files. Without it the apps' own are served, and nothing has to be collected."""
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if STATIC_ROOT
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"own_lines": {"()": "jobsapi.log_lines.OwnLines"}},
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["own_lines"]}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {"django": {"handlers": ["console"], "level": "INFO", "propagate": False}},
}

CELERY_BROKER_URL = environment.broker("redis://127.0.0.1:6379/0")

JOBSAPI: dict[str, Any] = {
    "WORKSPACE_ROOT": VAR_DIR / "workspaces",
    "RESULT_ROOT": VAR_DIR / "results",
    "REFRESH_INTERVAL": seconds("JOBSAPI_REFRESH_INTERVAL", 10),
    "SEALING_KEYS": tuple(words("JOBSAPI_SEALING_KEYS")),
    "RETENTION": environment.json_dict("JOBSAPI_RETENTION"),
    "FLOWER_URL": text("JOBSAPI_FLOWER_URL"),
    "PUBLIC_URL": text("JOBSAPI_PUBLIC_URL"),
    **environment.size("JOBSAPI_RESULT_MAX_BYTES", "RESULT_MAX_BYTES"),
}
