"""Default options that a workflow gives to its functions, nested ones included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from oban_pro.errors import CodecError, InvalidArgumentError, UnsupportedTypeError
from oban_pro.values import codec

from .arguments import check_options
from .cascades import FUNCTION, cascade_job

if TYPE_CHECKING:
    from oban import Job

type Options = Mapping[str, Any]

# These two mean the same thing, so either of them replaces both of the outer workflow.
_START = frozenset({"scheduled_in", "scheduled_at"})


def check_defaults(defaults: object) -> Options | None:
    """Check and copy the defaults of a workflow; None if there are none.

    Raises:
        InvalidArgumentError: If it is not a dict, an option is unknown or has the wrong type.
        InvalidOptionError: If an option has a value that no job can have.
        UnsupportedTypeError: If a part of ``meta`` is of a type that cannot be stored.
    """
    if not defaults:
        return None

    if not isinstance(defaults, Mapping):
        raise InvalidArgumentError(f"defaults must be a dict of job options, got {defaults!r}")

    options = check_options("the defaults", defaults)

    try:
        to_json(options)
    except (UnsupportedTypeError, CodecError) as error:
        raise type(error)(f"defaults cannot be stored: {error}") from None

    return options


def merge(outer: Options | None, inner: Options | None) -> Options | None:
    """Return the inner options, and every outer option that they do not set.

    ``meta`` is merged key by key.
    """
    if not outer or not inner:
        return inner or outer

    hidden = _START if inner.keys() & _START else frozenset[str]()
    merged = {**{key: value for key, value in outer.items() if key not in hidden}, **inner}

    if "meta" in outer and "meta" in inner:
        merged["meta"] = {**outer["meta"], **inner["meta"]}

    return merged


def with_defaults(job: Job, own: Options, defaults: Options) -> Job:
    """Build the job of a function again, with defaults for the options that it does not set.

    Args:
        job: As it was built from its own options.
        own: These options.
        defaults: Of the workflows around it.
    """
    return cascade_job(job.worker, job.args.get(FUNCTION), job.args, merge(defaults, own) or {})


def to_json(defaults: Options) -> Any:
    """Encode defaults for a row."""
    return codec.to_json(dict(defaults))


def from_json(encoded: Any) -> Options | None:
    """Decode the defaults in a row; None if the row has no defaults."""
    decoded = None if encoded is None else codec.from_json(encoded)

    return decoded if isinstance(decoded, dict) else None
