"""Objects that an import path reaches, and that a node must not call although a row names them."""

import functools
import shutil
import subprocess
from collections import OrderedDict
from typing import Any

from tests.support.flows import one

__all__ = ["one", "shutil", "subprocess"]

called: list[Any] = []

password = "hunter2"
borrowed = one
nameless = lambda *anything: called.append(anything)  # noqa: E731
partial = functools.partial(called.append, "partial")


class Model:
    def delete(*anything: Any) -> None:
        called.append(anything)

    @classmethod
    def purge(cls, *anything: Any) -> None:
        called.append(anything)

    @property
    def secret(self) -> str:
        called.append("secret")
        return "secret"

    def __call__(self, *anything: Any) -> None:
        called.append(anything)


model = Model()
bound = model.delete


class Lazy(OrderedDict[str, Any]):
    def __getattr__(self, name: str) -> Any:
        called.append(name)
        return called.append


lazy = Lazy()


def make_nested() -> Any:
    def nested(*anything: Any) -> None:
        called.append(anything)

    return nested


nested = make_nested()


def too_many(item: Any, context: Any, more: Any, *, key: str = password) -> None:
    called.append(item)


async def harmless(context: Any) -> str:
    return "harmless"


async def harmless_item(item: Any, context: Any) -> Any:
    return item
