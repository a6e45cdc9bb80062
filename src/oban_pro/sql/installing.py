"""What an installation sends to the database: the frames of this folder, filled."""

from __future__ import annotations

import re
from graphlib import TopologicalSorter
from hashlib import sha256
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from . import check_prefix, read, read_all, read_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

VERSION = len(read_all("migrations"))
"""The version of the tables that this package works with."""

OLDEST = 7
"""The oldest version of the tables whose nodes can still work with this one."""

_INSTALLED = "functions/read/installed_v1.sql"

# Oban's own installation locks its table of jobs, where it is there and another one is not.
_WITHOUT_OBAN = """
WHERE to_regclass('/* TEMPLATE: schema */.oban_leaders') IS NULL
  OR to_regclass('/* TEMPLATE: schema */.oban_producers') IS NULL"""

_PARSED = re.compile(r"^(RETURN|BEGIN ATOMIC)$", re.MULTILINE)
_CALLED = re.compile(r"\boban_workflow_(\w+)\(")

_LOCKS = re.compile(r"^-- Locks: (.+)$", re.MULTILINE)
_TRIGGER = re.compile(r"^CREATE OR REPLACE TRIGGER (\w+)\n\w+ \w+ ON (\w+)\n", re.MULTILINE)
_INDEX = re.compile(
    r"^CREATE INDEX IF NOT EXISTS (\w+)\nON oban_jobs .*?;\n", re.MULTILINE | re.DOTALL
)


class Trigger(NamedTuple):
    """A trigger, as it stands behind its function."""

    name: str
    relation: str
    statement: str

    @property
    def exists(self) -> str:
        """An expression that is true where just this trigger is there, and enabled.

        PostgreSQL spells a trigger as its file does, but for white space and ``OR REPLACE``.
        """
        words = " ".join(self.statement.split()).removesuffix(";")
        definition = words.replace("CREATE OR REPLACE", "CREATE", 1)

        return _fill(
            "frames/trigger_exists.sql",
            name=self.name,
            relation=self.relation,
            definition=definition,
        )

    @property
    def creation(self) -> str:
        """A statement that creates it where it does not exist."""
        return _fill("frames/trigger.sql", exists=self.exists, trigger=self.statement)


def install(
    prefix: str, package: str, oban: str, grants: Mapping[str, str], *, force: bool = False
) -> str:
    """Fill the frames of an installation.

    Args:
        prefix: PostgreSQL schema where oban's tables are, or will be.
        package: The version of this package.
        oban: The SQL that makes oban's own tables.
        grants: By kind of role the statements that grant it what it needs.
        force: Put these functions in place, whatever is there.

    Raises:
        ValueError: If the prefix is not a plain lower-case schema name.
    """
    release = ",".join(map(str, release_of(package)))
    versions = {
        "package": package,
        "release": f"{{{release}}}",
        "digest": digest(prefix),
        "oldest": str(OLDEST),
    }
    triggers = [*_triggers()]
    work = _fill(
        "frames/install.sql",
        oban=oban,
        migrations="\n".join(
            _fill("frames/migrate.sql", version=str(version), migration=migration)
            for version, migration in enumerate(read_all("migrations"), start=1)
        ),
        functions=_fill(
            "frames/functions.sql", functions="\n".join(_functions()), views="\n".join(_views())
        ),
        triggers="\n".join(one.creation for one in triggers),
        rights=_fill("frames/rights.sql", **grants),
        installed=_fill(_INSTALLED, **versions),
        catalog=read("frames/catalog.sql"),
        version=str(VERSION),
        force=str(force).lower(),
        **versions,
    )

    locks = [_lock_of("oban_jobs") + _WITHOUT_OBAN, *_locks_of_migrations()]

    return _lock(prefix, [*locks, *_locks_of_triggers(triggers)], work)


def uninstall(prefix: str) -> str:
    """Fill the frames of a removal.

    Raises:
        ValueError: If the prefix is not a plain lower-case schema name.
    """
    return _lock(prefix, [read("frames/uninstall_locks.sql")], read("frames/uninstall.sql"))


def digest(prefix: str) -> str:
    """Return what tells the functions and views of this package, in a schema, from others."""
    parts = [prefix, str(VERSION), str(OLDEST)]
    parts += [text for folder in ("functions", "views") for text in read_all(folder)]

    return sha256("\0".join(parts).encode()).hexdigest()


def release_of(package: str) -> list[int]:
    """Return the numbers of a version, which can be compared; what else is in it is left out."""
    match = re.match(r"\d+(?:\.\d+)*", package)

    return [int(number) for number in match[0].split(".")] if match else [0]


def versioned_functions() -> list[str]:
    """List the functions that statements of this package call."""
    names = (f"oban_workflow_{name}" for name, _ in read_named("functions"))

    return [name for name in names if _is_versioned(name)]


def indexes(prefix: str) -> dict[str, str]:
    """Return statements that build the indexes on `oban_jobs` without blocking writers, by name."""
    schema = check_prefix(prefix)

    return {
        match[1]: match[0]
        .replace("CREATE INDEX IF", "CREATE INDEX CONCURRENTLY IF")
        .replace("\nON ", f"\nON {schema}.")
        .rstrip(";\n")
        for migration in read_all("migrations")
        for match in _INDEX.finditer(migration)
    }


def _is_versioned(name: str) -> bool:
    return re.search(r"_v\d+$", name) is not None


def _functions() -> Iterator[str]:
    """Yield what creates or replaces each function.

    Nodes of older releases call the functions whose names end in a version, so these never change
    shape: a new shape is a new version. Any other function is called by functions alone, and is
    dropped first if its shape has changed.
    """
    texts = dict(read_named("functions"))

    for name in _in_order(texts):
        text = texts[name]

        # It is created last, as it returns a digest of the others.
        if name == PurePosixPath(_INSTALLED).stem:
            continue

        function = text[: match.start()] if (match := _TRIGGER.search(text)) else text

        if _is_versioned(name):
            yield function
        else:
            yield _fill("frames/replace.sql", name=f"oban_workflow_{name}", function=function)


def _in_order(texts: Mapping[str, str]) -> Iterable[str]:
    """Return the names of functions; one that is parsed when it is created follows those it calls.

    Any other function may be created before those that it calls.
    """
    calls = {
        name: [called for called in _CALLED.findall(text) if called != name]
        if _PARSED.search(text)
        else []
        for name, text in texts.items()
    }

    return TopologicalSorter(calls).static_order()


def _triggers() -> Iterator[Trigger]:
    for _, text in read_named("functions"):
        if match := _TRIGGER.search(text):
            yield Trigger(match[1], match[2], text[match.start() :])


def _views() -> Iterator[str]:
    for name, view in read_named("views"):
        following = view.replace(f"CREATE OR REPLACE VIEW {name}", f"CREATE VIEW {name}_next")
        yield _fill("frames/view.sql", name=name, next=following, view=view)


def _locks_of_migrations() -> Iterator[str]:
    """Yield the locks that each migration needs which is not applied yet."""
    for version, migration in enumerate(read_all("migrations"), start=1):
        for names in _LOCKS.findall(migration):
            for relation in names.split(", "):
                yield f"{_lock_of(relation)} WHERE v_version < {version}"


def _locks_of_triggers(triggers: list[Trigger]) -> Iterator[str]:
    """Yield the locks that triggers need which are missing or differ."""
    for trigger in triggers:
        yield f"{_lock_of(trigger.relation)} WHERE NOT {trigger.exists}"


def _lock_of(relation: str) -> str:
    """Select a lock. Tables of oban's, which others use too, come first, and are still read."""
    is_ours = relation.startswith("oban_workflow")
    mode = "ACCESS EXCLUSIVE" if is_ours else "SHARE ROW EXCLUSIVE"

    return f"SELECT '{relation}' AS relation, '{mode}' AS mode"


def _lock(prefix: str, locks: list[str], work: str) -> str:
    return _fill(
        "frames/locked.sql", locks="\nUNION\n".join(locks), work=work, schema=check_prefix(prefix)
    )


def _fill(path: str, **values: str) -> str:
    filled = read(path)

    for name, value in values.items():
        filled = filled.replace(f"/* TEMPLATE: {name} */", value)

    return filled
