"""Settings of the portal, all from the environment; ``docs/settings.md`` lists them. Safe for production by default."""

import os
from pathlib import Path
from typing import Any

import dj_database_url


def flag(name: str, default: bool) -> bool:
    """Whether the environment switches ``name`` on; ``default`` when it is unset or empty."""
    text = os.environ.get(name, "").strip().lower()
    return text in {"1", "true", "yes", "on"} if text else default


def words(name: str) -> list[str]:
    """The words of ``name`` in the environment, parted by commas or blanks."""
    return os.environ.get(name, "").replace(",", " ").split()


BASE_DIR = Path(__file__).resolve().parents[2]
VAR_DIR = Path(os.environ.get("JOBSAPI_VAR", BASE_DIR / "var"))
"""What the portal writes: the SQLite database and the workspaces."""

# Django itself refuses an empty key as soon as something is signed, and commands that sign nothing run without one.
SECRET_KEY = os.environ.get("SECRET_KEY", "")
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

INSTALLED_APPS = [
    "jobsapi.portal.samples.apps.SamplesConfig",  # first: its templates go before jobsapi's own
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
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
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

if not os.environ.get("DATABASE_URL"):
    VAR_DIR.mkdir(parents=True, exist_ok=True)
DATABASE: dict[str, Any] = {**dj_database_url.config(default=f"sqlite:///{VAR_DIR / 'db.sqlite3'}")}
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
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = True  # runs without collectstatic; what that has collected is served first

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {"django": {"handlers": ["console"], "level": "INFO", "propagate": False}},
}

CELERY_BROKER_URL = os.environ.get("JOBSAPI_BROKER_URL", "redis://127.0.0.1:6379/0")

JOBSAPI: dict[str, Any] = {
    "WORKSPACE_ROOT": VAR_DIR / "workspaces",
    "REFRESH_INTERVAL": float(os.environ.get("JOBSAPI_REFRESH_INTERVAL", "10")),
    "SEALING_KEYS": tuple(words("JOBSAPI_SEALING_KEYS")),
}
