"""Checking the limits over all nodes that a user gives to a queue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from oban_pro.errors import InvalidArgumentError, InvalidOptionError

from .durations import check_duration

OPTIONS = ("global_limit", "rate_limit", "partition")
"""Options of a queue beside those of oban: they hold over all nodes."""

FIELDS = ("args", "meta", "worker", "tags")
"""Fields that ``partition`` can divide jobs by."""

MAX_COUNT = 2**31 - 1
"""What the database can count."""


def check_queue(queue: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the limits of a queue over all nodes, as its producer announces them.

    Args:
        queue: Its name, for errors.
        options: Those that are not oban's: ``global_limit``, how many of its jobs may execute at
            once; ``rate_limit``, how many may start in a period, as in ``{"allowed": 60, "period":
            60}`` with seconds or a timedelta; ``partition``, which divides jobs into kinds, each
            with these limits for itself, as in ``{"fields": ["args"], "keys": ["customer"]}``.

    Returns:
        Those that are set, with a period in seconds.

    Raises:
        InvalidArgumentError: If there is no such option, or one has the wrong type.
        InvalidOptionError: If one has a value that it cannot have.
    """
    _check_known(f"queue {queue!r}", options, OPTIONS)
    limits: dict[str, Any] = {}

    if (most := options.get("global_limit")) is not None:
        limits["global_limit"] = _check_count(f"global_limit of queue {queue!r}", most)

    if (rate := options.get("rate_limit")) is not None:
        limits["rate_limit"] = _check_rate(f"rate_limit of queue {queue!r}", rate)

    if (partition := options.get("partition")) is not None:
        limits["partition"] = _check_partition(f"partition of queue {queue!r}", partition)

        if len(limits) == 1:
            raise InvalidArgumentError(
                f"partition of queue {queue!r} goes with a global_limit or a rate_limit"
            )

    return limits


def _check_rate(what: str, rate: object) -> dict[str, Any]:
    known = ("allowed", "period")

    if not isinstance(rate, Mapping) or not {*known} <= rate.keys():
        raise InvalidArgumentError(
            f'{what} must be as in {{"allowed": 60, "period": 60}}, got {rate!r}'
        )

    _check_known(what, rate, known)
    period = check_duration(f"period of {what}", rate["period"])

    return {
        "allowed": _check_count(f"allowed of {what}", rate["allowed"]),
        "period": period.total_seconds(),
    }


def _check_partition(what: str, partition: object) -> dict[str, Any]:
    if not isinstance(partition, Mapping) or "fields" not in partition:
        raise InvalidArgumentError(
            f'{what} must be as in {{"fields": ["args"], "keys": ["customer"]}}, got {partition!r}'
        )

    _check_known(what, partition, ("fields", "keys"))
    fields = _check_names(f"fields of {what}", partition["fields"])
    _check_known(f"fields of {what}", fields, FIELDS)
    checked: dict[str, Any] = {"fields": fields}

    if (keys := partition.get("keys")) is not None:
        if not {"args", "meta"} & {*fields}:
            raise InvalidArgumentError(f"keys of {what} go with the fields args and meta")

        checked["keys"] = _check_names(f"keys of {what}", keys)

    return checked


def _check_names(what: str, names: object) -> list[str]:
    listed = [names] if isinstance(names, str) else names

    if isinstance(listed, Mapping) or not isinstance(listed, Iterable):
        raise InvalidArgumentError(f"{what} must be a list of strings, got {names!r}")

    checked = [*listed]

    if not checked or not all(isinstance(name, str) and name for name in checked):
        raise InvalidArgumentError(f"{what} must be a list of strings, got {names!r}")

    return sorted({*checked})


def _check_count(what: str, count: object) -> int:
    if isinstance(count, bool) or not isinstance(count, int):
        raise InvalidArgumentError(f"{what} must be an int, got {count!r}")

    if not 1 <= count <= MAX_COUNT:
        raise InvalidOptionError(f"{what} must be from 1 to {MAX_COUNT:,}, got {count!r}")

    return count


def _check_known(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    for name in given:
        if name not in known:
            close = get_close_matches(str(name), [*known], n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InvalidArgumentError(
                f"{what} has no {name!r}, known are {', '.join(known)}{hint}"
            )
