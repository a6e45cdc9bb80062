"""Adding functions that take arguments: values, and placeholders of other jobs' results."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Concatenate, Unpack, cast, overload

from oban import Cancel, Snooze

from oban_pro.errors import InvalidArgumentError
from oban_pro.values.placeholder import Placeholder, Wire

from .adding_calls import (
    add_call,
    add_each,
    add_final,
    add_undo,
    add_up,
    check_final_options,
)
from .arguments import check_known_options
from .call_options import CallOptions, FinalOptions
from .calls import failures_of
from .names import check_text, find_wired

if TYPE_CHECKING:
    from oban_pro.model.outcome import Outcome

    from .ends import RunsOn
    from .members import Members

type Items[I] = Sequence[I] | AbstractSet[I] | Iterator[I]
"""Items of a fan-out whose results are a list: not any iterable, as a dict's keys are none."""

type Keyed[I] = Mapping[str, I] | Mapping[int, I]
"""Items of a fan-out whose results are a dict."""


class FinalCalls:
    """What `Workflow` and its views share: they add functions that are called at its end."""

    @abstractmethod
    def _wiring(self) -> tuple[Members, Mapping[str, Any]]:
        """Return the workflow that calls are added to, and the options that they have."""

    @overload
    def final[**P, R](
        self,
        func: Callable[Concatenate[Outcome, P], Coroutine[Any, Any, R | Snooze | Cancel]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R: ...

    @overload
    def final[**P, R](
        self,
        func: Callable[Concatenate[Outcome, P], R | Snooze | Cancel],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R: ...

    def final(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Add a function that is called when everything else has settled: see `add_final`.

        Args:
            func: As for `call`; its first parameter is the outcome of the workflow.
            args: What it is called with beside that: values, and placeholders of any member. For
                what recorded nothing the default of the parameter stands.
            kwargs: The same by name.

        Returns:
            A placeholder for what the function returns, for `result` and for other final jobs.

        Raises:
            InvalidFunctionError: If another process could not import the function.
            InvalidArgumentError: If it cannot be called so, a placeholder is of another workflow or
                of `failed`, or an option is none of final jobs.
            UnsupportedTypeError: If an argument is of a type that cannot be stored.

        Example:
            >>> workflow.final(release, machine)
            >>> workflow.options(on="failed").final(alert, "ops@example.com")
        """
        return add_final(self._wiring(), func, args, kwargs)


class Wiring(FinalCalls):
    """The part of `Workflow` that adds functions with arguments of their own."""

    @overload
    def call[**P, R](
        self,
        func: Callable[P, Coroutine[Any, Any, R | Snooze | Cancel]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R: ...

    @overload
    def call[**P, R](
        self, func: Callable[P, R | Snooze | Cancel], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...

    def call(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Add a function that is called with these arguments, and records what it returns.

        Returns a placeholder for that: a type checker takes it for the value. Passed to another
        call, at any depth in lists, tuples and dicts, it is a dependency, and the value when that
        call runs. Its items and attributes, as ``rows[0]`` and ``table.title``, are placeholders,
        too. Nothing else can be done with it while the workflow is built.

        The job has the function's name; the second one is ``clean_2``. See `options` for others.

        Args:
            func: A function of a module, ``async def`` or ``def``; a ``def`` runs in a thread.
            args: What it is called with: values that can be stored, and placeholders. For what
                recorded nothing, because it was skipped or its failure is ignored, the default of
                the parameter stands.
            kwargs: The same by name.

        Returns:
            A placeholder for what the function returns.

        Raises:
            InvalidFunctionError: If another process could not import the function.
            InvalidArgumentError: If it cannot be called so, or a placeholder is of another
                workflow.
            UnsupportedTypeError: If an argument is of a type that cannot be stored.

        Example:
            >>> rows = workflow.call(extract, "api")
            >>> table = workflow.call(clean, rows, strict=True)
        """
        return add_call(self._wiring(), func, args, kwargs)

    @overload
    def each[I, **P, R](
        self,
        func: Callable[Concatenate[I, P], Coroutine[Any, Any, R | Snooze | Cancel]],
        items: Keyed[I],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> dict[str, R]: ...

    @overload
    def each[I, **P, R](
        self,
        func: Callable[Concatenate[I, P], Coroutine[Any, Any, R | Snooze | Cancel]],
        items: Items[I],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> list[R]: ...

    @overload
    def each[I, **P, R](
        self,
        func: Callable[Concatenate[I, P], R | Snooze | Cancel],
        items: Keyed[I],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> dict[str, R]: ...

    @overload
    def each[I, **P, R](
        self,
        func: Callable[Concatenate[I, P], R | Snooze | Cancel],
        items: Items[I],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> list[R]: ...

    def each(self, func: Callable[..., Any], items: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Add a function that is called once for each item: a fan-out, whose jobs run in parallel.

        Args:
            func: As for `call`; its first parameter is the item.
            items: A list, a dict, or a placeholder for one that an upstream job records. Jobs of a
                list are named ``"0"``, ``"1"``, …, those of a dict by its keys. If these are the
                results of another `each` over known items, each job waits for the one of its name
                there, and for no other, unless `options` has ``batch``, ``need``, ``when``, or
                these results in ``deps``: then it waits for all of them.
            args: What the function is called with beside the item.
            kwargs: The same by name.

        Returns:
            A placeholder for the results: a list in the order of the items, or a dict by their
            keys. What recorded nothing is absent.

        Raises:
            InvalidFunctionError: If another process could not import the function.
            InvalidArgumentError: If it cannot be called so, the items are none, or a placeholder
                is of another workflow.
            UnsupportedTypeError: If an item or an argument is of a type that cannot be stored.

        Example:
            >>> thumbs = workflow.each(resize, paths, 640)
            >>> page = workflow.call(report, table, thumbs)
        """
        return add_each(self._wiring(), func, items, args, kwargs)

    @overload
    def options(self, *, batch: int, **options: Unpack[CallOptions]) -> BatchWiring: ...

    @overload
    def options(self, *, on: RunsOn, **options: Unpack[FinalOptions]) -> FinalWiring: ...

    @overload
    def options(self, **options: Unpack[CallOptions]) -> Wiring: ...

    def options(self, **options: Any) -> Any:
        """Return a view of this workflow whose calls have options.

        It may be kept and used for several calls. Options of options add up: later ones win, except
        that deps are joined, and ``meta`` key by key.

        Args:
            options: ``name``, ``deps``, and what `add_cascade` takes, except ``lazy``. A
                placeholder may stand in ``deps``. With ``batch=100`` the view has only `each`: its
                function gets up to 100 items at once, as a list, or a dict by key, and returns
                their results in the same shape. ``undo`` is a function ``(context)``, for `each`
                ``(item, context)``; what the call recorded is in the context, under its name.
                ``when`` is a function ``(context)``, or a placeholder. With ``on="failed"``, as for
                `add_final`, the view has only `final`.

        Raises:
            InvalidArgumentError: If an option is unknown.

        Example:
            >>> cpu = workflow.options(queue="cpu", max_attempts=3)
            >>> table = cpu.options(name="clean it").call(clean, rows)
            >>> vectors = workflow.options(batch=32).each(embed_all, texts)
        """
        owner, given = self._wiring()

        return _view(owner, given, options)

    def undo[**P](
        self, result: object, func: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Add what undoes a call, if the call completed and the workflow ends otherwise.

        It has the options of the call. In place of it, ``undo`` of `options` takes a function that
        reads a context, also for each item.

        Args:
            result: What `call` returned.
            func: As for `call`.
            args: What it is called with: values, and placeholders of the call and of what it
                depends on.
            kwargs: The same by name.

        Raises:
            InvalidFunctionError: If another process could not import the function.
            InvalidArgumentError: If that is no placeholder of a call, the function cannot be called
                so, or a placeholder is one of another job.
            UnsupportedTypeError: If an argument is of a type that cannot be stored.

        Example:
            >>> charged = workflow.call(charge, order)
            >>> workflow.undo(charged, refund, charged, reason="not delivered")
        """
        owner, _ = self._wiring()
        add_undo(owner, result, func, args, kwargs)

    def value[T](self, path: str, kind: type[T], /) -> T:
        """Return a placeholder for what any other member will have recorded.

        Args:
            path: The name of a job, or a path to a nested one, as in ``"notify/email"``; of a
                group: its results as a dict by name.
            kind: What a type checker takes it for; nothing checks it at run time.

        Raises:
            UnknownDependencyError: If there is no such member, and ``check_deps`` is on.

        Example:
            >>> approval = workflow.add_signal("approval").value("approval", dict)
            >>> workflow.call(publish, approval["choice"])
        """
        owner, _ = self._wiring()
        wired = find_wired(check_text(path, "path"), owner._members, check_deps=owner.check_deps)

        return cast("T", Placeholder(owner, Wire(wired)))

    def failed(self, results: list[Any] | dict[str, Any], /) -> dict[str, str]:
        """Return a placeholder for the failures of a fan-out, or of another dependency.

        It is for a call that runs although something failed: that fan-out has `tolerate`, or the
        call has ``ignore_discarded`` or ``need``. Like the results, it makes a dependency.

        Args:
            results: What `each` returned; for any other member, what `value` returned.

        Returns:
            A placeholder for a dict: by the name of each job that failed, its last error, as oban
            stores it. Jobs over a list are named ``"0"``, ``"1"``, …; a job that failed by itself
            goes by its own name. Where nothing failed, the dict is empty.

        Raises:
            InvalidArgumentError: If that is no placeholder of this workflow, or one of a part.

        Example:
            >>> scores = workflow.options(tolerate=0.05).each(score, documents)
            >>> workflow.call(report, scores, workflow.failed(scores))
        """
        owner, _ = self._wiring()

        return cast("dict[str, str]", failures_of(owner, results))


class _View(Wiring):
    """A view of a workflow whose calls have options."""

    def __init__(self, owner: Members, options: Mapping[str, Any]) -> None:
        self._owner = owner
        self._options = options

    def __repr__(self) -> str:
        return f"<options {dict(self._options)!r} of {self._owner!r}>"

    def _wiring(self) -> tuple[Members, Mapping[str, Any]]:
        return self._owner, self._options


class BatchWiring:
    """A view of a workflow that adds functions which take several items at once."""

    def __init__(self, owner: Members, options: Mapping[str, Any]) -> None:
        self._owner = owner
        self._options = options

    @overload
    def each[I, **P, R](
        self,
        func: Callable[
            Concatenate[dict[str, I], P], Coroutine[Any, Any, dict[str, R] | Snooze | Cancel]
        ],
        items: Keyed[I],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> dict[str, R]: ...

    @overload
    def each[I, **P, R](
        self,
        func: Callable[Concatenate[list[I], P], Coroutine[Any, Any, list[R] | Snooze | Cancel]],
        items: Items[I],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> list[R]: ...

    @overload
    def each[I, **P, R](
        self,
        func: Callable[Concatenate[dict[str, I], P], dict[str, R] | Snooze | Cancel],
        items: Keyed[I],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> dict[str, R]: ...

    @overload
    def each[I, **P, R](
        self,
        func: Callable[Concatenate[list[I], P], list[R] | Snooze | Cancel],
        items: Items[I],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> list[R]: ...

    def each(self, func: Callable[..., Any], items: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Add a function that is called once for each batch of items, as `Wiring.each` does."""
        return add_each((self._owner, self._options), func, items, args, kwargs)

    def options(self, **options: Unpack[CallOptions]) -> BatchWiring:
        """Return a view with further options; see `Wiring.options`."""
        view: BatchWiring = _view(self._owner, self._options, options)

        return view

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(f"options with batch are for each() alone, and have no {name}()")


class FinalWiring(FinalCalls):
    """A view of a workflow that adds functions which are called at its end."""

    def __init__(self, owner: Members, options: Mapping[str, Any]) -> None:
        self._owner = owner
        self._options = options

    def _wiring(self) -> tuple[Members, Mapping[str, Any]]:
        return self._owner, self._options

    def options(self, **options: Unpack[FinalOptions]) -> FinalWiring:
        """Return a view with further options; see `Wiring.options`."""
        view: FinalWiring = _view(self._owner, self._options, options)

        return view

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(f"options with on are for final() alone, and have no {name}()")


def _view(owner: Members, given: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    if "lazy" in options:
        raise InvalidArgumentError(
            "lazy must be given to add_cascade, whose function reads a context; a call gets values"
        )

    check_known_options("a call", options, [*CallOptions.__annotations__, "batch", "on"])
    added = add_up(given, options)

    if "on" in added:
        check_final_options(added)

        return FinalWiring(owner, added)

    return (_View if added.get("batch") is None else BatchWiring)(owner, added)
