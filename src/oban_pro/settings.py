"""Settings of this package, for which oban's own configuration has no place.

A setting comes from the first of three places that has it: a call of `configure`, a variable
``OBAN_WORKFLOWS_<NAME>`` of the environment, the file ``workflows.toml`` beside the ``oban.toml``
in use. They are read once, when the first one is needed.

`renamed` adds to the setting of that name.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Never

from .errors import ForbiddenCodeError, SettingsError
from .model.absence import absent_code
from .model.setting_values import (
    CHECKS,
    READERS,
    check_renamed,
    check_unknown_for,
    dotted,
    read_seconds,
)

FILE: Final = "workflows.toml"
VARIABLE: Final = "OBAN_WORKFLOWS_"

UNKNOWN_FOR: Final = "OBAN_UNKNOWN_FOR"
"""The setting ``unknown_for`` without the prefix, in seconds."""

WEB_URL: Final = "OBAN_WEB_URL"
"""The setting ``web_url`` without the prefix."""

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
        trace_url: The address of the page of a trace, with ``{trace_id}`` in it.
        unknown_for: How long a job waits whose code a node does not have; None for 15 minutes.
        web_url: The address of the dashboard.
    """

    modules: tuple[str, ...] | None = None
    # A connection string may hold a password.
    notify_dsn: str | None = field(default=None, repr=False)
    prepared_statements: bool | None = None
    renamed: Mapping[str, str] | None = None
    schedules: tuple[str, ...] | None = None
    store_above: int | None = None
    trace_url: str | None = None
    unknown_for: timedelta | None = None
    web_url: str | None = None


KNOWN: Final = tuple(one.name for one in fields(Settings))


def configure(
    *,
    modules: Iterable[str] | None = _UNCHANGED,
    notify_dsn: str | None = _UNCHANGED,
    prepared_statements: bool | None = _UNCHANGED,
    renamed: Mapping[str, object] | None = _UNCHANGED,
    schedules: Iterable[str] | None = _UNCHANGED,
    store_above: int | None = _UNCHANGED,
    trace_url: str | None = _UNCHANGED,
    unknown_for: timedelta | float | None = _UNCHANGED,
    web_url: str | None = _UNCHANGED,
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
        trace_url: The address of the page of a trace, with ``{trace_id}`` where its id belongs. The
            dashboard links to it from each job that carries a trace.
        unknown_for: How long a job is left to other nodes whose function or worker this node does
            not have: a timedelta or seconds; 0 lets it fail at once. By default 15 minutes.
        web_url: The address of the dashboard, for links in the log and on the command line.
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
        "trace_url": trace_url,
        "unknown_for": unknown_for,
        "web_url": web_url,
    }
    given = {name: value for name, value in given.items() if value is not _UNCHANGED}
    checked = {
        name: None if value is None else CHECKS[name](value, "configure()")
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
    _sources.renamed |= check_renamed({old: new}, "renamed()")


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
        found = check_unknown_for(read_seconds(text), UNKNOWN_FOR)

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
    while known and (new := known.get(dotted(names[-1]))) is not None and new not in names:
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

    return {name: CHECKS[name](value, str(file)) for name, value in found.items()}


def _read_environment() -> dict[str, Any]:
    places = {
        name.removeprefix(VARIABLE).lower(): name
        for name in os.environ
        if name.startswith(VARIABLE)
    }
    _check_known(places, "the environment", VARIABLE)

    if WEB_URL in os.environ:
        places.setdefault("web_url", WEB_URL)

    return {
        name: CHECKS[name](READERS[name](os.environ[place]), place)
        for name, place in places.items()
    }


def _check_known(found: Mapping[str, object], place: str, prefix: str = "") -> None:
    def spell(name: str) -> str:
        return f"{prefix}{name.upper()}" if prefix else name

    for name in found:
        if name not in KNOWN:
            known = ", ".join(map(spell, KNOWN))
            raise SettingsError(f"unknown setting {spell(name)} in {place}; known: {known}")
