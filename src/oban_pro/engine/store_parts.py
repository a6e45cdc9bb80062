"""The statements of a `Store` that have modules of their own."""

from __future__ import annotations

from .context_statements import ContextStatements
from .end_statements import EndStatements
from .key_statements import KeyStatements
from .object_statements import ObjectStatements
from .reuse_statements import ReuseStatements
from .schedule_statements import ScheduleStatements
from .search_statements import SearchStatements
from .stat_statements import StatStatements
from .stream_statements import StreamStatements
from .timing_statements import TimingStatements
from .trace_statements import TraceStatements
from .wait_statements import WaitStatements


class StoreParts(
    ContextStatements,
    EndStatements,
    WaitStatements,
    KeyStatements,
    ObjectStatements,
    ReuseStatements,
    ScheduleStatements,
    SearchStatements,
    StatStatements,
    StreamStatements,
    TimingStatements,
    TraceStatements,
):
    """The parts of a `Store` that have modules of their own, together."""
