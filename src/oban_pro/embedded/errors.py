"""The error of the embedded server."""


class EmbeddedError(RuntimeError):
    """PostgreSQL cannot be run here; the message says what to do about it."""
