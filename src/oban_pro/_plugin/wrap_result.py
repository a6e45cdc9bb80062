"""``executor.wrap_result``: keep the results of jobs that run in place, without a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oban import Job, Record

from oban_pro.engine import inline

if TYPE_CHECKING:
    from collections.abc import Callable

type WrapResult = Callable[[Job, Any], Any]


def build(fallback: WrapResult) -> WrapResult:
    """Build the hook in front of another one."""

    def wrap_result(job: Job, result: Any) -> Any:
        wrapped = fallback(job, result)

        # An exception here would lose the ack of a job, so only jobs that get no ack go on.
        if isinstance(wrapped, Record) and inline.is_bound(job):
            inline.keep(job, wrapped)

        return wrapped

    return wrap_result


def unchanged(_job: Job, result: Any) -> Any:
    """Return the result as it is: what oban does by itself."""
    return result
