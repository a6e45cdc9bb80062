"""Settings of this package, for which oban's own configuration has no place.

A setting comes from the first of three places that has it: a call of `configure`, a variable
``OBAN_WORKFLOWS_<NAME>`` of the environment, the file ``workflows.toml`` beside the ``oban.toml``
in use. They are read once, when the first one is needed.

`renamed` adds to the setting of that name.
"""

from __future__ import annotations

import inspect
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, Never

from .errors import ForbiddenCodeError, InvalidArgumentError, InvalidOptionError, SettingsError
from .model.absence import absent_code
from .model.durations import check_duration

FILE: Final = "workflows.toml"
VARIABLE: Final = "OBAN_WORKFLOWS_"

UNKNOWN_FOR: Final = "OBAN_UNKNOWN_FOR"
"""The setting ``unknown_for`` without the prefix, in seconds."""

_UNKNOWN_FOR: Final = timedelta(minutes=15)
_STORE_ABOVE: Final = 1_000_000
_UNCHANGED: Any = object()


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings.

    Args:
        modules: Modules whose code rows may name, with all that is below them; None for any.
        notify_dsn: Where notifications are listened for; None for where everything else goes.
        prepared_statements: Whether connections of Oban's pools prepare statements; None for all
            that lead to the server itself.
        renamed: By the path that code had, where it is now.
        schedules: Modules with schedules.
        store_above: Bytes above which recorded values go to the store of their workflow; None for
            1,000,000.
        unknown_for: How long a job waits whose code a node does not have; None for 15 minutes.
    """

    modules: tuple[str, ...] | None = None
    # A connection string may hold a password.
    notify_dsn: str | None = field(default=None, repr=False)
    prepared_statements: bool | None = None
    renamed: Mapping[str, str] | None = None
    schedules: tuple[str, ...] | None = None
    store_above: int | None = None
    unknown_for: timedelta | None = None


KNOWN: Final = tuple(one.name for one in fields(Settings))


def configure(
    *,
    modules: Iterable[str] | None = _UNCHANGED,
    notify_dsn: str | None = _UNCHANGED,
    prepared_statements: bool | None = _UNCHANGED,
    renamed: Mapping[str, object] | None = _UNCHANGED,
    schedules: Iterable[str] | None = _UNCHANGED,
    store_above: int | None = _UNCHANGED,
    unknown_for: timedelta | float | None = _UNCHANGED,
    **unknown: Never,
) -> None:
    """Set settings in code; they take precedence over the environment and `workflows.toml`.

    What is left out stays as it is; None goes back to the environment and the file.

    Args:
        modules: Modules whose functions and workers rows of the database may name, with all that
            is below them.
        notify_dsn: Where to listen for notifications, if not where everything else goes: the
            server itself, or a pooler in session mode.
        prepared_statements: Whether connections of Oban's pools prepare statements. By default
            those do that lead to the server itself, and those through a pooler do not.
        renamed: Where code is now that rows name by an old path: ``module:function`` or
            ``module.Worker``, as a string or the function or class itself.
        schedules: Modules with schedules, which nodes import.
        store_above: How many bytes a recorded value, or the payload of a signal, may take in the
            database where its workflow has a store. By default 1,000,000.
        unknown_for: How long a job is left to other nodes whose function or worker this node does
            not have: a timedelta or seconds; 0 lets it fail at once. By default 15 minutes.
        unknown: There are no others.

    Raises:
        SettingsError: If there is no such setting, or it has a value that cannot be used.

    Example:
        >>> oban_pro.configure(modules=["shop", "billing.jobs"])
    """
    _check_known(unknown, "configure()")

    given = {
        "modules": modules,
        "notify_dsn": notify_dsn,
        "prepared_statements": prepared_statements,
        "renamed": renamed,
        "schedules": schedules,
        "store_above": store_above,
        "unknown_for": unknown_for,
    }
    given = {name: value for name, value in given.items() if value is not _UNCHANGED}
    checked = {
        name: None if value is None else _CHECKS[name](value, "configure()")
        for name, value in given.items()
    }

    for name, value in checked.items():
        if value is None:
            _sources.called.pop(name, None)
        else:
            _sources.called[name] = value

    _sources.forget()


def renamed(old: str, new: object) -> None:
    """Tell where code has moved that stored jobs name by an old path.

    Code that still exists at the old path is used. Call it where every node imports it: the package
    that the old module was in is a good place, as looking for that module imports it.

    Args:
        old: The path that rows have: ``module:function``, or ``module.Worker``.
        new: The function or the worker, or its path.

    Raises:
        SettingsError: If the old path is none, or the new one leads nowhere that could be imported.

    Example:
        >>> oban_pro.renamed("shop.old:charge", charge)
    """
    _sources.renamed |= _check_renamed({old: new}, "renamed()")


def current() -> Settings:
    """Return the settings, read where they have not been.

    Raises:
        SettingsError: If a source has a setting that there is not, or that cannot be used.
    """
    return _sources.settings


def why_forbidden(module: str) -> str | None:
    """Return why rows may not name what is in a module, or None where they may.

    Raises:
        SettingsError: If the settings cannot be read.
    """
    modules = current().modules

    if modules is None or any(
        module == permitted or module.startswith(f"{permitted}.") for permitted in modules
    ):
        return None

    return f"the setting modules permits only {', '.join(modules)}; got module {module!r}"


def unknown_for() -> timedelta:
    """Return how long a job is left to other nodes whose code this node does not have.

    Raises:
        SettingsError: If the settings cannot be read.
    """
    found = current().unknown_for

    if found is None and (text := os.environ.get(UNKNOWN_FOR)) is not None:
        found = _check_unknown_for(_read_seconds(text), UNKNOWN_FOR)

    return _UNKNOWN_FOR if found is None else found


def store_above() -> int:
    """Return how many bytes a value may take in the database where its workflow has a store.

    Raises:
        SettingsError: If the settings cannot be read.
    """
    found = current().store_above

    return _STORE_ABOVE if found is None else found


def names_of(path: str) -> list[str]:
    """Return a path that a row has, and where its code may be now, the oldest path first.

    Raises:
        SettingsError: If the settings cannot be read.
    """
    known = {**(current().renamed or {}), **_sources.renamed}
    names = [path]

    # Code may be renamed several times, and back.
    while known and (new := known.get(_dotted(names[-1]))) is not None and new not in names:
        names.append(new)

    return names


def find_code[Found](path: str, find: Callable[[str], Found]) -> Found:
    """Find code at the path that a row has, or where it is now.

    Args:
        path: ``module:function``, or ``module.Worker``.
        find: Finds it at a path, or raises.

    Raises:
        Exception: What `find` raised: for the path of the row if the code is nowhere.
    """
    reason: Exception | None = None

    for name in names_of(path):
        try:
            return find(name)
        except Exception as error:
            if absent_code(error) is None and not isinstance(error, ForbiddenCodeError):
                raise

            if reason is None:
                reason = error
            else:
                reason.add_note(f"It was renamed: {error}")

    assert reason is not None
    raise reason


def look_beside(config: str | os.PathLike[str]) -> None:
    """Look for the file beside a configuration of oban, and no more in the current directory."""
    _sources.folder = Path(config).absolute().parent
    _sources.forget()


def reset() -> None:
    """Forget everything, as if the process had just started."""
    _sources.folder = None
    _sources.called.clear()
    _sources.renamed.clear()
    _sources.forget()


class _Sources:
    """Where settings come from, and what was read there."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.called: dict[str, Any] = {}
        self.renamed: dict[str, str] = {}

    @cached_property
    def settings(self) -> Settings:
        return Settings(**{**_read_file(self.file), **_read_environment(), **self.called})

    @property
    def file(self) -> Path:
        return (self.folder or Path.cwd()) / FILE

    def forget(self) -> None:
        vars(self).pop("settings", None)


_sources = _Sources()


def _read_file(file: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot read {file}: {error}") from error

    _check_known(found, str(file))

    return {name: _CHECKS[name](value, str(file)) for name, value in found.items()}


def _read_environment() -> dict[str, Any]:
    found = {
        name.removeprefix(VARIABLE).lower(): value
        for name, value in os.environ.items()
        if name.startswith(VARIABLE)
    }
    _check_known(found, "the environment", VARIABLE)

    return {
        name: _CHECKS[name](_READERS[name](value), f"{VARIABLE}{name.upper()}")
        for name, value in found.items()
    }


def _check_known(found: Mapping[str, object], place: str, prefix: str = "") -> None:
    def spell(name: str) -> str:
        return f"{prefix}{name.upper()}" if prefix else name

    for name in found:
        if name not in KNOWN:
            known = ", ".join(map(spell, KNOWN))
            raise SettingsError(f"unknown setting {spell(name)} in {place}; known: {known}")


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
    # It is not repeated: it may hold a password.
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


def _check_renamed(value: object, place: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise SettingsError(
            f"renamed in {place} must have new paths by old ones,"
            f' as in {{"shop.old:charge": "shop.new:charge"}}, got {value!r}'
        )

    return {
        _dotted(_check_path(old, place)): _check_path(_path_of(new), place)
        for old, new in value.items()
    }


def _path_of(new: Any) -> Any:
    is_code = isinstance(new, type) or inspect.isfunction(new)

    return f"{new.__module__}:{new.__qualname__}" if is_code else new


def _check_path(path: object, place: str) -> str:
    """Return a path with the colon that those of functions have."""
    if isinstance(path, str) and path.count(":") < 2:
        parts = _dotted(path)

        if "." in parts and _is_module(parts.replace(".<locals>.", ".")):
            return path if ":" in path else ":".join(path.rsplit(".", 1))

    raise SettingsError(
        f"renamed in {place} must have paths like shop.payments:charge"
        f" or shop.payments.Charge, got {path!r}"
    )


def _dotted(path: str) -> str:
    """Spell the paths of functions and workers alike."""
    return path.replace(":", ".")


def _check_unknown_for(value: object, place: str) -> timedelta:
    try:
        return check_duration(f"unknown_for in {place}", value, zero=True)
    except (InvalidArgumentError, InvalidOptionError) as error:
        raise SettingsError(str(error)) from None


def _read_list(text: str) -> object:
    return [part.strip() for part in text.split(",")]


def _read_pairs(text: str) -> object:
    pairs = [part.partition("=") for part in text.split(",")]

    return {old.strip(): new.strip() for old, _, new in pairs}


def _read_seconds(text: str) -> object:
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


_CHECKS: Final[dict[str, Callable[[object, str], Any]]] = {
    "modules": _check_modules,
    "notify_dsn": _check_dsn,
    "prepared_statements": _check_switch,
    "renamed": _check_renamed,
    "schedules": partial(_check_modules, setting="schedules"),
    "store_above": _check_store_above,
    "unknown_for": _check_unknown_for,
}

_READERS: Final[dict[str, Callable[[str], object]]] = {
    "modules": _read_list,
    "notify_dsn": str,
    "prepared_statements": _read_switch,
    "renamed": _read_pairs,
    "schedules": _read_list,
    "store_above": _read_int,
    "unknown_for": _read_seconds,
}
"""How a variable of the environment is read."""
