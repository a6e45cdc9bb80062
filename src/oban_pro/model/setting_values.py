"""What settings may hold, and how variables of the environment spell it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from oban_pro.errors import InvalidArgumentError, InvalidOptionError, SettingsError

from .durations import check_duration
from .links import TRACE_ID


def _check_modules(value: object, place: str, setting: str = "modules") -> tuple[str, ...]:
    names: list[Any] = []

    if isinstance(value, Iterable) and not isinstance(value, str | Mapping):
        names.extend(value)

    if not names or not all(map(_is_module, names)):
        raise SettingsError(
            f'{setting} in {place} must be a list of module names, as in ["shop"], got {value!r}'
        )

    return tuple(names)


def _is_module(name: object) -> bool:
    return isinstance(name, str) and all(part.isidentifier() for part in name.split("."))


def _check_dsn(value: object, place: str) -> str:
    # The value is not repeated, as it may hold a password.
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(f"notify_dsn in {place} must be a connection string")

    return value


def _check_switch(value: object, place: str) -> bool:
    if not isinstance(value, bool):
        raise SettingsError(f"prepared_statements in {place} must be true or false, got {value!r}")

    return value


def _check_store_above(value: object, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise SettingsError(f"store_above in {place} must be a number of bytes, got {value!r}")

    return value


def check_renamed(value: object, place: str) -> dict[str, str]:
    """Return new paths of code by old ones.

    Raises:
        SettingsError: If they are not a table of paths.
    """
    if not isinstance(value, Mapping):
        raise SettingsError(
            f"renamed in {place} must have new paths by old ones,"
            f' as in {{"shop.old:charge": "shop.new:charge"}}, got {value!r}'
        )

    return {
        dotted(_check_path(old, place)): _check_path(_path_of(new), place)
        for old, new in value.items()
    }


def _path_of(new: Any) -> Any:
    is_code = isinstance(new, type) or inspect.isfunction(new)

    return f"{new.__module__}:{new.__qualname__}" if is_code else new


def _check_path(path: object, place: str) -> str:
    """Return a path with the colon that those of functions have."""
    if isinstance(path, str) and path.count(":") < 2:
        parts = dotted(path)

        if "." in parts and _is_module(parts.replace(".<locals>.", ".")):
            return path if ":" in path else ":".join(path.rsplit(".", 1))

    raise SettingsError(
        f"renamed in {place} must have paths like shop.payments:charge"
        f" or shop.payments.Charge, got {path!r}"
    )


def dotted(path: str) -> str:
    """Spell the paths of functions and workers alike."""
    return path.replace(":", ".")


def _check_url(value: object, place: str, setting: str = "web_url") -> str:
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
    except ValueError:
        parts = None

    if parts is None or parts.scheme not in ("http", "https") or not parts.netloc:
        raise SettingsError(f"{setting} in {place} must be an address with http, got {value!r}")

    return parts.geturl()


def _check_trace_url(value: object, place: str) -> str:
    url = _check_url(value, place, "trace_url")

    if TRACE_ID not in url:
        raise SettingsError(f"trace_url in {place} must have {TRACE_ID} in it, got {value!r}")

    return url


def check_unknown_for(value: object, place: str) -> timedelta:
    """Return how long a job is left to other nodes.

    Raises:
        SettingsError: If that is no duration.
    """
    try:
        return check_duration(f"unknown_for in {place}", value, zero=True)
    except (InvalidArgumentError, InvalidOptionError) as error:
        raise SettingsError(str(error)) from None


def _read_list(text: str) -> object:
    return [part.strip() for part in text.split(",")]


def _read_pairs(text: str) -> object:
    pairs = [part.partition("=") for part in text.split(",")]

    return {old.strip(): new.strip() for old, _, new in pairs}


def read_seconds(text: str) -> object:
    """Read seconds; return other text as it is, so that it is refused by its own words."""
    try:
        return float(text)
    except ValueError:
        return text


def _read_int(text: str) -> object:
    try:
        return int(text)
    except ValueError:
        return text


def _read_switch(text: str) -> object:
    return {"true": True, "false": False}.get(text.strip().lower(), text)


CHECKS: Final[dict[str, Callable[[object, str], Any]]] = {
    "modules": _check_modules,
    "notify_dsn": _check_dsn,
    "prepared_statements": _check_switch,
    "renamed": check_renamed,
    "schedules": partial(_check_modules, setting="schedules"),
    "store_above": _check_store_above,
    "trace_url": _check_trace_url,
    "unknown_for": check_unknown_for,
    "web_url": _check_url,
}

READERS: Final[dict[str, Callable[[str], object]]] = {
    "modules": _read_list,
    "notify_dsn": str,
    "prepared_statements": _read_switch,
    "renamed": _read_pairs,
    "schedules": _read_list,
    "store_above": _read_int,
    "trace_url": str,
    "unknown_for": read_seconds,
    "web_url": str,
}
"""How a variable of the environment is read."""
