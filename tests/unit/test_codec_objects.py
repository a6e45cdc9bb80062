"""Instances of classes come back as they were, and nothing of their classes runs for it."""

import collections
import dataclasses
import json
import sys
from datetime import UTC, date, datetime, time
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pydantic
import pytest

from oban_pro.errors import CodecError, UnsupportedTypeError
from oban_pro.values.codec import copy_of, decode, encode, from_json, to_json
from oban_pro.web.values import show_python


class Point(NamedTuple):
    x: int
    y: float = 0.0


class Named(collections.namedtuple("Base", "first last")):
    __slots__ = ()

    def __new__(cls, name: str) -> "Named":
        return super().__new__(cls, *name.split())


@dataclasses.dataclass
class Row:
    id: int
    at: datetime | None = None
    tags: list[str] = dataclasses.field(default_factory=list)
    kind: ClassVar[str] = "row"


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    name: str


@dataclasses.dataclass(kw_only=True)
class Page[T](Row):
    rows: list[T]
    seed: dataclasses.InitVar[int]
    total: int = dataclasses.field(init=False)

    def __post_init__(self, seed: int) -> None:
        self.total = seed + len(self.rows)

    @cached_property
    def first(self) -> T:
        return self.rows[0]


class Bag:
    @dataclasses.dataclass
    class Inner:
        what: Any


class Model(pydantic.BaseModel):
    id: int
    when: date = date(2026, 1, 1)
    parts: list["Model"] = []
    _secret: int = pydantic.PrivateAttr(default=7)


class Moment(pydantic.BaseModel):
    at: datetime
    offset: time


class Open(pydantic.BaseModel, extra="allow", frozen=True):
    name: str


class Root(pydantic.RootModel[list[int]]):
    pass


class Box[T](pydantic.BaseModel):
    content: T


IntBox = Box[int]


@pydantic.dataclasses.dataclass
class Checked:
    count: int


def lean(page: Page[Any]) -> Page[Any]:
    assert page.first
    return page


def secret(model: Model) -> Model:
    model._secret = 9
    return model


STORED: list[Any] = [
    Point(1),
    Point(1, 2.5),
    Named("Ada Lovelace"),
    Row(1, datetime(2026, 1, 31, tzinfo=UTC), ["a"]),
    Key("a"),
    {Key("a"): {Key("b")}},
    Page(id=1, rows=[Row(2), Key("x")], seed=3),
    Page[Key](id=1, rows=[Key("x")], seed=3),
    lean(Page(id=1, rows=[Row(2)], seed=3)),
    Bag.Inner({"deep": [(Row(1), Path("a"))]}),
    Bag.Inner({"__python__": "tuple", "value": []}),
    Model(id=1),
    secret(Model(id=2, when=date(2025, 1, 1), parts=[Model(id=3)])),
    Open.model_validate({"name": "a", "more": [1]}),
    Root([1, 2]),
    IntBox(content=3),
    Checked(3),
]


def via_json(value: Any) -> Any:
    return from_json(json.loads(json.dumps(to_json(value), allow_nan=False)))


UNKNOWN: Any = object()
ANY_PART = {"id": 3, "when": date(2026, 1, 1), "parts": []}


def _local() -> Any:
    @dataclasses.dataclass
    class Local:
        x: int = 1

    return Local()


@dataclasses.dataclass
class BrokenError(Exception):
    reason: str


@dataclasses.dataclass
class Shelf(dict):  # type: ignore[type-arg]
    name: str


@dataclasses.dataclass
class Unset:
    x: int = dataclasses.field(init=False)


class Watched:
    def __set_name__(self, _: type, name: str) -> None:
        self.name = f"_{name}"

    def __get__(self, instance: Any, _: type) -> Any:
        return 1 if instance is None else getattr(instance, self.name)

    def __set__(self, instance: Any, value: Any) -> None:
        pytest.fail("ran")


@dataclasses.dataclass
class Described:
    x: Watched | int = Watched()


def _with_extra() -> Row:
    row = Row(1)
    row.more = 1  # type: ignore[attr-defined]
    return row


ran: list[str] = []


class Meta(type):
    def __getattribute__(cls, name: str) -> Any:
        ran.append(name)
        return super().__getattribute__(name)


@dataclasses.dataclass
class Trap(metaclass=Meta):
    x: int

    def __new__(cls, *_: Any) -> "Trap":
        ran.append("new")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        ran.append("post_init")

    def __setattr__(self, name: str, value: Any) -> None:
        ran.append("setattr")
        object.__setattr__(self, name, value)

    def __getattribute__(self, name: str) -> Any:
        ran.append("getattribute")
        return object.__getattribute__(self, name)


class TrapTuple(collections.namedtuple("TrapBase", "x")):
    __slots__ = ()

    def __new__(cls, x: int) -> "TrapTuple":
        ran.append("new")
        return super().__new__(cls, x)


def note() -> list[str]:
    ran.append("factory")

    return []


class TrapModel(pydantic.BaseModel):
    x: int
    made: list[str] = pydantic.Field(default_factory=note)

    @pydantic.field_validator("x")
    @classmethod
    def check(cls, value: int) -> int:
        ran.append("validator")
        return value

    def model_post_init(self, _: Any) -> None:
        ran.append("post_init")


def stored_as(kind: str, cls: str, fields: Any, *more: Any) -> dict[str, Any]:
    return {"__python__": kind, "value": [f"{__name__}:{cls}", fields, *more]}


BESIDE = {"set": ["id"], "extra": None, "private": None}


class TestObjects:
    @pytest.mark.parametrize("back", [lambda value: decode(encode(value)), via_json, copy_of])
    @pytest.mark.parametrize("value", STORED, ids=lambda value: type(value).__name__)
    def test_comes_back_as_it_was(self, value: Any, back: Any) -> None:
        returned = back(value)

        assert returned == value
        assert type(returned) is type(value)
        assert repr(returned) == repr(value)

    def test_a_model_is_as_good_as_a_new_one(self) -> None:
        model = decode(encode(secret(Model(id=2, parts=[Model(id=3)]))))

        assert model._secret == 9
        assert model.model_fields_set == {"id", "parts"}
        assert model.model_dump() == {"id": 2, "when": date(2026, 1, 1), "parts": [ANY_PART]}
        assert decode(encode(Open.model_validate({"name": "a", "b": 1}))).b == 1

    def test_of_pydantic_keep_the_offsets_of_times_that_it_read(self) -> None:
        moment = Moment.model_validate({"at": "2026-01-31T12:00:00+05:30", "offset": "12:00:00Z"})
        back = decode(encode(moment))

        assert back == moment
        assert back.at.isoformat() == "2026-01-31T12:00:00+05:30"
        assert via_json(moment).offset.utcoffset() == moment.offset.utcoffset()

    def test_others_can_make_sense_of_it(self) -> None:
        assert to_json([Row(1), Point(2, 3.0)]) == [
            {
                "__python__": "dataclass",
                "value": [f"{__name__}:Row", {"id": 1, "at": None, "tags": []}],
            },
            {"__python__": "namedtuple", "value": [f"{__name__}:Point", {"x": 2, "y": 3.0}]},
        ]

    def test_a_copy_shares_nothing_that_can_change(self) -> None:
        rows = [Row(1, tags=["a"]), Model(id=1), Point(1)]
        copy = copy_of(rows)
        copy[0].tags.append("b")
        copy[1].parts.append(copy[1])

        assert rows == [Row(1, tags=["a"]), Model(id=1), Point(1)]

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (_local(), "value must be of a class that can be found by its module and name, got"),
            (BrokenError("x"), "be of a type that can be stored"),
            (Shelf("x"), "be of a type that can be stored"),
            (Unset(), "have a value in its field 'x', got"),
            (_with_extra(), "without the attribute 'more', got"),
            (object.__new__(Described), "not a descriptor as 'x', got"),
            (
                [Bag.Inner({"a": Row(1, tags=UNKNOWN)})],
                "value[0].what['a'].tags must be of a type",
            ),
            (Model.model_construct(id=object()), "value.id must be of a type"),
            (Row, "be of a type that can be stored"),
        ],
    )
    def test_is_refused_by_name(self, value: Any, message: str) -> None:
        for write in (encode, to_json):
            with pytest.raises(UnsupportedTypeError) as caught:
                write(value)

            assert message in str(caught.value)

    def test_refuses_one_that_contains_itself(self) -> None:
        bag = Bag.Inner(None)
        bag.what = [bag]

        with pytest.raises(CodecError, match="must nest at most 200 levels deep"):
            encode(bag)

    @pytest.mark.parametrize("value", [Trap(1), TrapTuple(1), TrapModel(x=1)], ids=type)
    def test_runs_nothing_of_the_class_to_fill_it_in(self, value: Any) -> None:
        encoded, stored = encode(value), to_json(value)
        ran.clear()

        back = [decode(encoded), from_json(stored)]

        assert ran == []
        assert [one.x for one in back] == [1, 1]

    def test_fields_that_came_and_went_do_no_harm(self) -> None:
        assert from_json(stored_as("dataclass", "Key", {"name": "a", "gone": 1})) == Key("a")
        assert from_json(stored_as("namedtuple", "Point", {"x": 1, "gone": 1})) == Point(1)
        assert from_json(
            stored_as("dataclass", "Row", {"id": 1, "tags": []}),
        ) == Row(1)
        model = from_json(stored_as("pydantic", "Model", {"id": 1, "gone": 2}, BESIDE))
        assert model == Model(id=1)
        model.parts.append(model)
        assert Model(id=1).parts == []

    @pytest.mark.parametrize(
        ("stored", "reason"),
        [
            (
                stored_as("dataclass", "Row", {"id": 1}),
                "Row has a new field 'tags' without a plain",
            ),
            (
                stored_as("dataclass", "Key", {}),
                "Key has a new field 'name' without a plain default",
            ),
            (
                stored_as("namedtuple", "Point", {"y": 1}),
                "Point has a new field 'x' without a plain",
            ),
            (
                stored_as("pydantic", "Model", {}, BESIDE),
                "Model has a new field 'id' without a plain",
            ),
            (
                stored_as("pydantic", "TrapModel", {"x": 1}, BESIDE),
                "TrapModel has a new field 'made'",
            ),
            (stored_as("dataclass", "Point", {"x": 1}), "Point is no dataclass"),
            (stored_as("dataclass", "Meta", {}), "Meta is no dataclass"),
            (stored_as("pydantic", "Row", {"id": 1}, BESIDE), "Row is no pydantic"),
            (stored_as("namedtuple", "Row", {"id": 1}), "Row is no namedtuple"),
            (
                stored_as("dataclass", "Described", {"x": 1}),
                "Described has a descriptor as its field",
            ),
            (stored_as("dataclass", "Gone", {}), "has no class Gone"),
            (stored_as("dataclass", "json", {}), "has no class json"),
            (stored_as("dataclass", "Key", [1]), "must hold a valid value"),
            (stored_as("dataclass", "Key", {"name": "a"}, 1), "must hold a valid value"),
            (stored_as("pydantic", "Model", {"id": 1}, {}), "must hold a valid value"),
            ({"__python__": "dataclass", "value": []}, "must hold a valid value"),
            ({"__python__": "dataclass", "value": [7, {}]}, "must hold a valid value"),
        ],
    )
    def test_what_no_longer_fits_names_class_and_field(self, stored: Any, reason: str) -> None:
        with pytest.raises(CodecError, match=reason):
            from_json([stored])

    def test_imports_nothing_to_find_a_class(self) -> None:
        sys.modules.pop("this", None)

        with pytest.raises(CodecError, match="module this is not imported"):
            from_json({"__python__": "dataclass", "value": ["this:Zen", {}]})

        assert "this" not in sys.modules

    def test_the_page_shows_it_as_python_does(self) -> None:
        assert show_python(Row(1, None, ["a"])) == "Row(id=1, at=None, tags=['a'])"
        assert show_python([Point(1)]) == "[Point(x=1, y=0.0)]"
        assert show_python(Model(id=1)).startswith("Model(id=1,")
        assert "more" in show_python(Row(1, tags=["a"] * 5_000))
