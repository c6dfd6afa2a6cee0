"""Functions given by name: which of them a worker may call."""

import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, TypeVar

from django.apps import apps

from jobsapi.exceptions import FunctionNotAllowed

F = TypeVar("F", bound=Callable[..., Any])


def job_function(function: F) -> F:
    """Let jobs of every app call this function by name. Without it, only the app whose package it lies in may."""
    function.__jobsapi_registered__ = True  # type: ignore[attr-defined]
    return function


def path_of(function: Callable[..., Any]) -> str:
    """The dotted name that finds ``function`` again in another process. Raises ``FunctionNotAllowed`` if none does."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    found: Any = sys.modules.get(module or "")
    for part in name.split("."):
        found = getattr(found, part, None)
    if module in (None, "__main__") or not name or found is not function:
        raise FunctionNotAllowed(
            f"{function!r} cannot be found by a worker under its name. "
            "Give a function defined at the top of an importable module (no lambda, no nested function, not __main__)."
        )
    return f"{module}.{name}"


def resolve(path: str, packages: Iterable[str]) -> Callable[..., Any]:
    """The function named ``path``, if it lies in one of ``packages`` or is registered with ``@job_function``.

    Nothing is imported outside of ``packages`` and the installed apps. Raises ``FunctionNotAllowed`` with the reason.
    """
    own = any(_within(path, package) for package in packages)
    if not own and not any(_within(path, config.name) for config in apps.get_app_configs()):
        raise FunctionNotAllowed(
            f"{path} lies neither in the app's own package ({', '.join(packages)}) nor in an installed app."
        )
    function: Callable[..., Any] = _import(path)
    if not callable(function):
        raise FunctionNotAllowed(f"{path} is no function but a {type(function).__name__}.")
    home = getattr(function, "__module__", "") or ""
    if not getattr(function, "__jobsapi_registered__", False) and not (own and any(_within(home, p) for p in packages)):
        raise FunctionNotAllowed(
            f"{path} is not the app's own ({', '.join(packages)}). "
            "Mark it with @jobsapi.functions.job_function to let jobs call it."
        )
    return function


_DECLARED: dict[str, str] = {}


def declare(label: str, package: str) -> None:
    """Let ``package`` count as the own package of the app ``label``: where its ``JobsApp`` is defined."""
    _DECLARED[label] = package


def packages_of(label: str) -> list[str]:
    """Import packages that belong to the app ``label``: of the installed app of that label or name, and of its JobsApp.

    Never the bare label: it comes from a row, and would let whoever writes one choose what is imported.
    """
    installed = [config.name for config in apps.get_app_configs() if label in (config.label, config.name)]
    return [*dict.fromkeys([*installed, *([_DECLARED[label]] if label in _DECLARED else [])])]


def _within(path: str, package: str) -> bool:
    return bool(package) and (path == package or path.startswith(package + "."))


def _import(path: str) -> Any:
    """The object at ``path``: a module's attribute, or an attribute of a class in it."""
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:cut])
        try:
            found: Any = import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and _within(name, error.name):
                continue
            raise FunctionNotAllowed(f"{path} does not import: {error}") from error
        except Exception as error:  # whatever the module does when it is imported
            raise FunctionNotAllowed(f"{path} does not import: {type(error).__name__}: {error}") from error
        for part in parts[cut:]:
            if part.startswith("_") or not hasattr(found, part):
                raise FunctionNotAllowed(f"{path} does not import: {name} has no public {part}.")
            found = getattr(found, part)
        return found
    raise FunctionNotAllowed(f"{path} does not import: there is no module {parts[0]}.")
