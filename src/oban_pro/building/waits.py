"""Waits for signals, timers, deadlines and delays: members and clocks that no worker runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from oban import Job

from oban_pro.errors import (
    CodecError,
    InvalidArgumentError,
    InvalidSignalError,
    UnsupportedTypeError,
)
from oban_pro.model.durations import check_duration, check_moment
from oban_pro.model.wording import spell_duration
from oban_pro.values import codec

# Paths of the workers, as rows name them.
SIGNAL_WORKER = "oban_pro.workers.SignalWait"
TIMER_WORKER = "oban_pro.workers.TimerWait"

ON_TIMEOUT = {"cancel": "cancelled", "discard": "discarded", "complete": "completed"}
"""What a wait may do when its time is up, and the state it settles in then."""

# Bits of the rules that a root uses; see the migration that adds the column.
WAITS = 1
JOINS = 2
CONDITIONS = 4
CLOCKS = 8
TOLERANCES = 256

type Moment = timedelta | float | datetime
"""A duration, as a timedelta or in seconds; or the moment when it is over."""

type ClockKind = Literal["wait", "deadline", "inner", "delay", "pause"]


@dataclass(frozen=True, slots=True)
class Clock:
    """When a wait, a deadline, a delay or a pause ends: after some seconds, or at a moment."""

    kind: ClockKind
    seconds: float | None
    moment: datetime | None
    # the error of the jobs that it cancels
    error: str | None = None


@dataclass(frozen=True, slots=True)
class WaitSpec:
    """What a wait waits for, and how it settles when its time is up.

    ``fallback`` is the encoded value that it records then.
    """

    kind: Literal["signal", "timer"]
    wanted: int = 1
    choices: tuple[str, ...] | None = None
    on_timeout: str = "cancelled"
    fallback: str | None = None


def check_clock(kind: ClockKind, what: str, value: object, error: str | None = None) -> Clock:
    """Return a clock for a duration or a moment.

    Args:
        kind: What it is for.
        what: How an error calls it.
        value: A timedelta, seconds, or a datetime with a timezone.
        error: What the errors of jobs say when it is up, with ``{}`` for the duration or moment.

    Raises:
        InvalidArgumentError: If it is neither.
        InvalidOptionError: If the duration is not finite and positive.
    """
    if isinstance(value, datetime):
        moment = check_moment(what, value).astimezone(UTC)
        spelled = moment.isoformat(timespec="seconds")

        return Clock(kind, None, moment, error and error.format("until", spelled))

    if isinstance(value, bool) or not isinstance(value, timedelta | int | float):
        raise InvalidArgumentError(
            f"{what} must be a timedelta, seconds or a datetime, got {value!r}"
        )

    duration = check_duration(what, value)
    spelled = spell_duration(duration)

    return Clock(kind, duration.total_seconds(), None, error and error.format("within", spelled))


def check_deadline(owner: str, value: object, kind: ClockKind = "deadline") -> tuple[Clock, ...]:
    """Return the clock of a deadline, if there is one.

    Raises:
        InvalidArgumentError: If it is neither a duration nor a moment.
        InvalidOptionError: If the duration is not finite and positive.
    """
    if value is None:
        return ()

    error = "deadline {1} exceeded" if isinstance(value, datetime) else "deadline of {1} exceeded"

    return (check_clock(kind, f"deadline of {owner}", value, error),)


def check_delay(owner: str, value: object) -> tuple[Clock, ...]:
    """Return the clock of a delay, if there is one.

    Raises:
        InvalidArgumentError: If it is no duration.
        InvalidOptionError: If the duration is not finite and positive.
    """
    if value is None:
        return ()

    duration = check_duration(f"delay of {owner}", value)

    return (Clock("delay", duration.total_seconds(), None),)


def signal_wait(
    name: str,
    *,
    wait_for: object,
    on_timeout: str,
    default: object,
    count: object,
    choices: object,
) -> tuple[Job, WaitSpec, tuple[Clock, ...]]:
    """Check the arguments of a wait for signals, and build its job.

    Raises:
        InvalidArgumentError: If an argument has the wrong type, or goes with no other.
        InvalidOptionError: If the duration is not finite and positive.
        InvalidSignalError: If the default is none of the choices.
        UnsupportedTypeError: If the default cannot be stored.
    """
    settles = _check_on_timeout(name, on_timeout, wait_for, default)

    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise InvalidArgumentError(f"count of {name!r} must be an int from 1 on, got {count!r}")

    offered = _check_choices(name, choices)
    fallback = _fallback(name, default, offered) if settles == "completed" else None
    clocks: tuple[Clock, ...] = ()

    if wait_for is not None:
        what = f"wait_for of {name!r}"
        clocks = (check_clock("wait", what, wait_for, "no signal {} {}"),)

    shown = {
        **_shown(clocks),
        **({"count": count} if count > 1 else {}),
        **({"choices": [*offered]} if offered else {}),
    }
    spec = WaitSpec("signal", count, offered, settles, fallback)

    return Job(SIGNAL_WORKER, args=shown), spec, clocks


def _check_on_timeout(name: str, on_timeout: str, wait_for: object, default: object) -> str:
    if on_timeout not in ON_TIMEOUT:
        known = ", ".join(map(repr, ON_TIMEOUT))
        raise InvalidArgumentError(
            f"on_timeout of {name!r} must be one of {known}, got {on_timeout!r}"
        )

    settles = ON_TIMEOUT[on_timeout]

    if settles == "completed" and wait_for is None:
        raise InvalidArgumentError(f"on_timeout='complete' of {name!r} needs wait_for")

    if default is not None and settles != "completed":
        raise InvalidArgumentError(f"default of {name!r} needs on_timeout='complete'")

    return settles


def _fallback(name: str, default: object, offered: tuple[str, ...] | None) -> str:
    if default is not None and offered is not None and chosen_by(default) not in offered:
        raise InvalidSignalError(
            f"default of {name!r} must choose one of {', '.join(offered)}, got {default!r}"
        )

    return encode_payload(f"default of {name!r}", default)


def timer_wait(name: str, delay: object) -> tuple[Job, WaitSpec, tuple[Clock, ...]]:
    """Check the arguments of a timer, and build its job.

    Raises:
        InvalidArgumentError: If it is neither a duration nor a moment.
        InvalidOptionError: If the duration is not finite and positive.
    """
    clocks = (check_clock("wait", f"delay of {name!r}", delay),)

    return Job(TIMER_WORKER, args=_shown(clocks)), WaitSpec("timer", on_timeout="completed"), clocks


def _shown(clocks: Iterable[Clock]) -> dict[str, Any]:
    """Describe the clock of a wait for people who look at its row."""
    return {
        key: value
        for clock in clocks
        for key, value in (
            ("wait_for", clock.seconds),
            ("until", clock.moment and clock.moment.isoformat()),
        )
        if value is not None
    }


def _check_choices(name: str, choices: object) -> tuple[str, ...] | None:
    if choices is None:
        return None

    if isinstance(choices, str) or not isinstance(choices, Iterable):
        raise InvalidArgumentError(f"choices of {name!r} must be strings, got {choices!r}")

    offered = tuple(choices)

    if not offered or not all(isinstance(choice, str) and choice for choice in offered):
        raise InvalidArgumentError(
            f"choices of {name!r} must be non-empty strings, at least one, got {choices!r}"
        )

    if len({*offered}) < len(offered):
        raise InvalidArgumentError(f"choices of {name!r} must differ, got {choices!r}")

    return offered


def chosen_by(payload: object) -> str | None:
    """Return the choice in the payload of a signal: the payload itself, or its ``"choice"``."""
    chosen = payload.get("choice") if isinstance(payload, Mapping) else payload

    return chosen if isinstance(chosen, str) else None


def encode_payload(what: str, payload: object) -> str:
    """Encode the payload of a signal as recorded values are encoded.

    Raises:
        UnsupportedTypeError: If a part of it is of a type that cannot be stored.
        CodecError: If it nests too deeply.
    """
    try:
        return codec.encode(payload)
    except (UnsupportedTypeError, CodecError) as error:
        raise type(error)(f"{what} cannot be stored: {error}") from None
