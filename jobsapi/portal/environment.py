"""Reads the portal's settings from the environment. What cannot be right is refused, with the name of the variable.

Each variable ``NAME`` may be given as ``NAME_FILE`` instead, the path of a file that holds it: secrets belong there.
"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def text(name: str, default: str = "") -> str:
    """The value of ``name``, or the content of the file that ``name_FILE`` names, without blanks around it."""
    value, path = os.environ.get(name, "").strip(), os.environ.get(f"{name}_FILE", "").strip()
    if value and path:
        raise ImproperlyConfigured(f"{name} and {name}_FILE are both set. Unset one of them.")
    if path:
        try:
            value = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ImproperlyConfigured(f"The file that {name}_FILE names cannot be read: {error}") from error
        if not value:
            raise ImproperlyConfigured(f"The file that {name}_FILE names is empty: {path}")
    return value or default


def words(name: str) -> list[str]:
    """The words of ``name``, parted by commas or blanks."""
    return text(name).replace(",", " ").split()


def flag(name: str, default: bool) -> bool:
    """Whether ``name`` is switched on."""
    value = text(name)
    if not value:
        return default
    try:
        return SWITCH[value.lower()]
    except KeyError:
        raise ImproperlyConfigured(f"{name} is “{value}”. Say one of {', '.join(SWITCH)}.") from None


def seconds(name: str, default: float) -> float:
    """A time, more than nothing."""
    value = text(name, str(default))
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ImproperlyConfigured(f"{name} is “{value}”. Give a number of seconds, such as {default:g}.")
    return number


def size(name: str, setting: str) -> dict[str, int]:
    """A number of bytes, as the entry ``setting`` of a dict; no entry when ``name`` says nothing."""
    value = text(name)
    if not value:
        return {}
    if not value.isdecimal() or not int(value):
        raise ImproperlyConfigured(f"{name} is “{value}”. Give a number of bytes, such as 1000000000.")
    return {setting: int(value)}


def json_dict(name: str) -> dict[str, Any]:
    """What ``name`` says in JSON: an object. Nothing when it is not set."""
    value = text(name, "{}")
    try:
        found = json.loads(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ImproperlyConfigured(f"{name} is “{value}”. Give a JSON object, in braces.")
    return found


def folder(name: str, default: Path | None = None) -> Path | None:
    """The folder that ``name`` says. All processes must mean the same one, whatever folder they are started in."""
    path = text(name)
    if path and not Path(path).is_absolute():
        raise ImproperlyConfigured(f"{name} is “{path}”. Give the whole path, from / on.")
    return Path(path) if path else default


def database(default: str) -> dict[str, Any]:
    """The database of DATABASE_URL, with the password of DATABASE_PASSWORD unless the address has it."""
    try:
        found: dict[str, Any] = {**dj_database_url.parse(text("DATABASE_URL", default))}
    except ValueError as error:  # its text does not repeat the address, which may have a password
        raise ImproperlyConfigured(
            f"DATABASE_URL is not understood. Write postgres://user@host/name, or sqlite:////path. {error}"
        ) from None
    if password := text("DATABASE_PASSWORD"):
        if found.get("PASSWORD"):
            raise ImproperlyConfigured("DATABASE_URL has a password, and DATABASE_PASSWORD is set too. Remove one.")
        found["PASSWORD"] = password
    return found


def broker(default: str) -> str:
    """The address of JOBSAPI_BROKER_URL, with the password of JOBSAPI_BROKER_PASSWORD put in unless it has one."""
    url = text("JOBSAPI_BROKER_URL", default)
    try:
        parts = urlsplit(url)
        known = parts.password
    except ValueError:
        parts, known = urlsplit(""), None
    if not parts.scheme or "://" not in url:
        raise ImproperlyConfigured("JOBSAPI_BROKER_URL is not understood. Write redis://host:6379/0.")
    password = text("JOBSAPI_BROKER_PASSWORD")
    if not password:
        return url
    if known:
        raise ImproperlyConfigured("JOBSAPI_BROKER_URL has a password, and JOBSAPI_BROKER_PASSWORD is set too.")
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:{quote(password, safe='')}@{host}"))


def apps(name: str) -> list[str]:
    """The Django apps that ``name`` lists. Whether the first part of each can be imported is seen here."""
    found = words(name)
    for app in found:
        package = app.partition(".")[0]
        if not all(part.isidentifier() for part in app.split(".")) or importlib.util.find_spec(package) is None:
            raise ImproperlyConfigured(
                f"{name} names “{app}”, but there is no package “{package}”. Install it, or put it on PYTHONPATH."
            )
    return found
