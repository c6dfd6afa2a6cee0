"""The values of ``JOBSAPI``: types and ranges."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from jobsapi import conf, retention
from jobsapi.app import installed
from jobsapi.shown import shown

INPUT_LIMIT = 512 * 1024**2
"""Bytes. An input lies in a row; SQLite takes 1 GB there, PostgreSQL as well, and both need it twice in memory."""
WRONG_TYPE = "jobsapi.E005"
LONGEST_TOKEN = 3_660
"""Days that a token of a job may be good for: ten years."""
SHORT = 32
"""Characters of a key that are too few."""


class Kind(NamedTuple):
    """What a value must be, as a test and in words."""

    fits: Callable[[Any], bool]
    words: str


def _number(value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return (whole and abs(value) < 2**63) or (isinstance(value, float) and math.isfinite(value))


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_site(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
    except ValueError:
        return False


POSITIVE = Kind(lambda value: _number(value) and value > 0, "a number, more than 0")
NOT_NEGATIVE = Kind(lambda value: _number(value) and value >= 0, "a number, 0 or more")
COUNT = Kind(lambda value: _whole(value) and value >= 1, "a whole number, 1 or more")
TEXT = Kind(_text, "text that is not empty")
PATH = Kind(lambda value: _text(value) or isinstance(value, os.PathLike), "a path")
WORDS = Kind(
    lambda value: isinstance(value, list | tuple) and all(_text(each) for each in value),
    "a list or tuple of texts that are not empty; one alone is written as (key,)",
)
NAMES = Kind(
    lambda value: isinstance(value, dict) and all(_text(each) for pair in value.items() for each in pair),
    "a dict of texts",
)
DICT = Kind(lambda value: isinstance(value, dict), "a dict")
ADDRESS = Kind(
    lambda value: isinstance(value, str) and (not value or value.startswith(("http://", "https://", "/"))),
    "an address that begins with http://, https:// or /, or empty",
)
SITE = Kind(
    lambda value: isinstance(value, str) and (not value or _is_site(value)),
    "the address of this site, as https://jobs.example.org, or empty",
)

BY_TYPE = {float: POSITIVE, int: COUNT, str: TEXT, tuple: WORDS, dict: DICT}
"""What the type of a default asks for, unless ``BY_NAME`` says more."""
BY_NAME = {
    "BACKENDS": NAMES,
    "WORKSPACE_ROOT": PATH,
    "RESULT_ROOT": PATH,
    "LOST_GRACE": NOT_NEGATIVE,
    "RECONCILE_INTERVAL": NOT_NEGATIVE,
    "TASK_RESULT_DAYS": NOT_NEGATIVE,
    "FLOWER_URL": ADDRESS,
    "PUBLIC_URL": SITE,
    "REPORT_TOKEN_DAYS": Kind(
        lambda value: _number(value) and 0 < value <= LONGEST_TOKEN,
        f"a number of days, more than 0, {LONGEST_TOKEN:,} at most",
    ),
    "INPUT_MAX_BYTES": Kind(
        lambda value: _whole(value) and 1 <= value <= INPUT_LIMIT,
        f"a whole number from 1 to {INPUT_LIMIT:,}: inputs lie in the database",
    ),
}


def check() -> Iterator[CheckMessage]:
    """What no part of the settings' user could work with."""
    configured = getattr(settings, "JOBSAPI", {})
    if not isinstance(configured, dict):
        yield Error(f"JOBSAPI is a {type(configured).__name__}.", hint="Make it a dict.", id=WRONG_TYPE)
        return
    for name in sorted(set(configured) - set(conf.DEFAULTS), key=str):
        hint = f"Known are {', '.join(conf.DEFAULTS)}."
        yield Error(f'JOBSAPI["{name}"] is not a setting.', hint=hint, id="jobsapi.E001")
    for name, default in conf.DEFAULTS.items():
        kind = BY_NAME.get(name) or BY_TYPE[type(default)]
        if name in configured and not kind.fits(configured[name]):
            told = "" if name == "SEALING_KEYS" else f" is {shown(configured[name])}, and"
            yield Error(f'JOBSAPI["{name}"]{told} must be {kind.words}.', hint=_default(name), id=WRONG_TYPE)
    policy = configured.get("RETENTION", {})
    for problem in retention.problems(policy) if isinstance(policy, dict) else ():
        hint = "Nothing is removed before this is right. docs/operations.md has an example."
        yield Error(f'JOBSAPI["RETENTION"]: {problem}', hint=hint, id="jobsapi.E006")


def _default(name: str) -> str:
    return f"The default is {conf.DEFAULTS[name]!r}; docs/settings.md says what it means."


def doubts() -> Iterator[CheckMessage]:
    """What can be worked with, and is hardly meant so."""
    keys = conf.get("SEALING_KEYS")
    for position, key in enumerate(keys):
        if len(key) < SHORT or len(set(key)) < SHORT // 4 or key.startswith("django-insecure-"):
            hint = "python -c 'import secrets; print(secrets.token_urlsafe(48))' makes a good one."
            message = f'JOBSAPI["SEALING_KEYS"][{position}] is weak: shorter than {SHORT} characters, or easy to guess.'
            yield Warning(message, hint=hint, id="jobsapi.W004")
        if key in keys[:position]:
            hint = "Remove one: a key that is there twice was hardly meant to be."
            yield Warning(f'JOBSAPI["SEALING_KEYS"][{position}] is there twice.', hint=hint, id="jobsapi.W004")
    address = urlsplit(conf.get("PUBLIC_URL"))
    if address.scheme == "http" and address.hostname not in ("localhost", "127.0.0.1", "::1"):
        hint = "Use https://: with a token that was read on the way somebody can report in a job's name."
        yield Warning('JOBSAPI["PUBLIC_URL"] has jobs send their tokens unencrypted.', hint=hint, id="jobsapi.W009")
    known = {app.package for app in installed()}
    known |= {name for app in apps.get_app_configs() for name in (app.label, app.name)}
    for app in sorted({app for app in conf.get("RETENTION") if isinstance(app, str)} - known - {retention.ANY}):
        hint = "Use the package that the app's JobsApp names: it is the label of its jobs."
        yield Warning(f'JOBSAPI["RETENTION"] names “{app}”, and no app is called so.', hint=hint, id="jobsapi.W005")
