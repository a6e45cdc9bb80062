"""Values are encoded for others to read, decoded as they were, or refused with a reason."""

import base64
import collections
import enum
import json
import math
import shutil
import signal
import struct
import subprocess
import sys
import tracemalloc
import types
import zlib
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from textwrap import dedent
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from oban import Record

from oban_pro.errors import CodecError, UnsupportedTypeError
from oban_pro.values.codec import decode, encode, etf, from_json, record, to_json


class Status(enum.Enum):
    PAID = "paid"
    SETTLED = PAID


class Level(enum.IntEnum):
    HIGH = 3


class Colour(enum.StrEnum):
    RED = "red"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Outer:
    class Inner(enum.Enum):
        ONE = 1


class User:
    def __init__(self, name: str) -> None:
        self.name = name


class Elsewhere(tzinfo):
    def utcoffset(self, _: datetime | None) -> timedelta:
        return timedelta(0)

    dst = utcoffset

    def tzname(self, _: datetime | None) -> str:
        return "elsewhere"


VIENNA = ZoneInfo("Europe/Vienna")

PLAIN: list[Any] = [
    None,
    True,
    False,
    0,
    255,
    256,
    -1,
    2**31,
    2**64 - 1,
    -(2**63),
    0.1,
    5e-324,
    1.7976931348623157e308,
    1e16,
    "",
    "grüß 🎉",
    "NUL \0 inside",
    [],
    {},
    [[], {}, [None]],
    {"b": 1, "a": [1, 2.0, {"x": "y"}]},
]

TAGGED: list[Any] = [
    2**64,
    -(2**63) - 1,
    [10**5000],  # too many digits for decimal
    math.inf,
    -math.inf,
    "lone \ud800 surrogate",
    b"",
    b"\xff\x00text",
    (),
    (1, ("a", [b"b"])),
    set(),
    {1, "a", (2, None)},
    frozenset({frozenset({1})}),
    {1: "int", None: "none", 2.5: "float", (1, "a"): "tuple", b"k": "bytes", False: "bool"},
    {"key with \ud800": 1},
    {"__python__": "tuple", "value": [1]},
    {"__python__": None},
    date(1, 1, 1),
    datetime(2026, 1, 31, 12, 0, 0, 1),
    datetime(2026, 1, 31, 12, tzinfo=UTC),
    datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=-5, seconds=7))),
    datetime(2026, 10, 25, 2, 30, tzinfo=VIENNA),
    datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=VIENNA),
    datetime(2026, 10, 25, 2, 30, fold=1),
    time(23, 59, 59, 999999),
    time(12, tzinfo=UTC),
    time(12, fold=1, tzinfo=VIENNA),
    timedelta.max,
    timedelta.min,
    timedelta(microseconds=-1),
    Decimal("9.90"),
    Decimal("-0"),
    Decimal("1E+999"),
    Decimal("Infinity"),
    UUID(int=7),
    Status.PAID,
    Status.SETTLED,
    Level.HIGH,
    Colour.RED,
    Access.READ,
    Access.READ | Access.WRITE,
    Access(0),
    Outer.Inner.ONE,
    Path("/var/data/rows.csv"),
    Path(),
    Path("odd \udcff \n name"),
    PurePosixPath("a/b"),
    PureWindowsPath("C:\\data"),
]

REFUSED: list[Any] = [
    object(),
    User("ada"),
    collections.Counter("aab"),
    collections.OrderedDict(a=1),
    collections.defaultdict(list),
    types.SimpleNamespace(),
    bytearray(b"x"),
    1j,
    range(3),
    print,
    Status,
    type("Text", (str,), {})("x"),
    type("Number", (int,), {})(1),
    datetime(2026, 1, 1, tzinfo=Elsewhere()),
    time(12, tzinfo=timezone(timedelta(microseconds=1))),
    enum.Enum("Nowhere", ["A"]).A,  # type: ignore[attr-defined]
]


def via_json(value: Any) -> Any:
    return from_json(json.loads(json.dumps(to_json(value), allow_nan=False)))


def term(body: bytes) -> str:
    return base64.b64encode(b"\x83" + body).decode()


def compressed(body: bytes, *, size: int | None = None) -> str:
    declared = struct.pack(">I", len(body) if size is None else size)
    return term(b"P" + declared + zlib.compress(body))


def tagged(name: Any, *value: Any, **more: Any) -> dict[str, Any]:
    return {"__python__": name} | dict(zip(["value"], value, strict=False)) | more


class TestEncode:
    @pytest.mark.parametrize("value", PLAIN, ids=repr)
    def test_writes_plain_values_to_the_letter_as_oban_does(self, value: Any) -> None:
        assert encode(value) == Record(value).encoded

    @pytest.mark.parametrize("value", PLAIN + TAGGED)
    @pytest.mark.parametrize("there_and_back", [lambda value: decode(encode(value)), via_json])
    def test_brings_back_value_and_type(self, value: Any, there_and_back: Any) -> None:
        back = there_and_back(value)

        assert back == value
        assert type(back) is type(value)
        assert getattr(back, "tzinfo", None) == getattr(value, "tzinfo", None)
        assert getattr(back, "fold", None) == getattr(value, "fold", None)

    @pytest.mark.parametrize("there_and_back", [lambda value: decode(encode(value)), via_json])
    def test_brings_back_what_does_not_equal_itself(self, there_and_back: Any) -> None:
        number, signalling, zero, exact = there_and_back(
            [math.nan, Decimal("sNaN1"), -0.0, {True: 1.0}]
        )

        assert math.isnan(number)
        assert str(signalling) == "sNaN1"
        assert math.copysign(1, zero) == -1
        assert [(type(key), type(value)) for key, value in exact.items()] == [(bool, float)]

    def test_keeps_the_order_of_keys(self) -> None:
        assert list(decode(encode({"b": 1, "a": 2, "aa": 3}))) == ["b", "a", "aa"]

    def test_writes_tags_that_other_readers_understand(self) -> None:
        assert to_json({"at": datetime(2026, 1, 31, tzinfo=UTC), "who": (1, Status.PAID)}) == {
            "at": tagged("datetime", "2026-01-31T00:00:00+00:00"),
            "who": tagged("tuple", [1, tagged("enum", [f"{__name__}:Status", "PAID"])]),
        }

    @pytest.mark.parametrize("write", [encode, to_json, record])
    @pytest.mark.parametrize("value", REFUSED, ids=lambda value: type(value).__name__)
    def test_encoding_refuses_other_types(self, value: Any, write: Any) -> None:
        with pytest.raises(UnsupportedTypeError, match=type(value).__name__):
            write([value])

    @pytest.mark.parametrize(
        ("value", "path"),
        [
            (User("ada"), "value must"),
            ({"users": [1, 2, (3, User("ada"))]}, "value['users'][2][1] must"),
            ([{User: 1}], "a key of value[0] must"),
            ({"a": {10**5000: {User}}}, "an element of value['a'][a int too long to show] must"),
        ],
    )
    def test_says_where_the_refused_part_is(self, value: Any, path: str) -> None:
        with pytest.raises(UnsupportedTypeError) as caught:
            encode(value)

        assert str(caught.value).startswith(path)

    @pytest.mark.parametrize("write", [encode, to_json])
    def test_refuses_a_value_that_contains_itself(self, write: Any) -> None:
        value: dict[str, Any] = {}
        value["me"] = [value]

        with pytest.raises(CodecError, match="must nest at most 200 levels deep"):
            write(value)

    @pytest.mark.parametrize("write", [encode, to_json])
    @pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {1: v}])
    def test_refuses_10_000_levels(self, write: Any, wrap: Any) -> None:
        value: Any = None
        for _ in range(10_000):
            value = wrap(value)

        with pytest.raises(CodecError, match="must nest at most 200 levels deep"):
            write(value)

    def test_encoding_holds_200_levels_of_nesting(self) -> None:
        value: Any = datetime(2026, 1, 31, fold=1)
        for _ in range(200):
            value = [value]

        assert decode(encode(value)) == via_json(value) == value


class TestDecode:
    @pytest.mark.parametrize(
        ("body", "value"),
        [
            (b"s\x03nil", None),
            (b"w\x04true", True),
            (b"d\x00\x02ok", "ok"),
            (b"v\x00\x02\xc3\xa4", "ä"),
            (b"s\x01\xe4", "ä"),
            (b"h\x02w\x02oka\x01", ("ok", 1)),
            (b"i\x00\x00\x00\x01m\x00\x00\x00\x01a", ("a",)),
            (b"k\x00\x03abc", [97, 98, 99]),
            (b"n\x09\x01" + b"\x00" * 8 + b"\x01", -(2**64)),
            (b"o\x00\x00\x00\x01\x00\x07", 7),
            (b"t\x00\x00\x00\x01w\x02ida\x01", {"id": 1}),
            (b"m\x00\x00\x00\x01\xff", b"\xff"),
        ],
    )
    def test_reads_what_elixir_records(self, body: bytes, value: Any) -> None:
        assert decode(term(body)) == value
        assert decode(compressed(body)) == value

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (7, "must be base64 text, got int"),
            ("", "must start with byte 131"),
            ("not base64!", "base64|[Pp]adding|data"),
            ("g", "cannot decode"),
            ("gä", "ASCII"),
            (term(b""), "cut off"),
            (term(b"b\x00"), "cut off"),
            (term(b"F\x00"), "cut off"),
            (term(b"l\x00\x00\x00\x01a\x01"), "cut off"),
            *((term(tag + b"\x7f\xff\xff\xff\x00abc"), "cut off") for tag in [b"m", b"o"]),
            *(
                (term(tag + b"\x7f\xff\xff\xffjjjj"), "cut off|hashable")
                for tag in [b"l", b"i", b"t"]
            ),
            (term(b"d\xff\xffabc"), "cut off"),
            (term(b"k\xff\xffabc"), "cut off"),
            (term(b"a\x01a\x02"), "must end with the data"),
            (term(b"l\x00\x00\x00\x01a\x01a\x02"), "proper"),
            (term(b"t\x00\x00\x00\x01ja\x01"), "hashable"),
            (term(b"gw\x01a" + b"\x00" * 9), "tag 103"),
            (term(b"P\x00\x00\x00\x02nonsense"), "zlib"),
            (compressed(b"a\x01", size=1), "1 bytes it declares"),
            (compressed(b"a\x01", size=3), "3 bytes it declares"),
            (compressed(b"a\x01", size=2**32 - 1), "at most 64000000 bytes"),
            (term(b"l\x00\x00\x00\x01" * 100_000), "recursion"),
            (term(b"h\x01" * 100_000), "recursion"),
            (term(b"t\x00\x00\x00\x01a\x01" * 100_000), "recursion"),
        ],
    )
    def test_decoding_refuses_damaged_terms(self, text: Any, reason: str) -> None:
        with pytest.raises(CodecError, match=reason):
            decode(text)

    def test_allocates_only_for_bytes_that_are_there(self) -> None:
        bomb = zlib.compress(b"m" + struct.pack(">I", 63_000_000) + bytes(63_000_000), 9)
        lies = [term(b"l\xff\xff\xff\xffaa"), term(b"P" + struct.pack(">I", 1000) + bomb)]

        tracemalloc.start()
        for text in lies:
            with pytest.raises(CodecError):
                decode(text)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

        assert peak < 2_000_000

    @pytest.mark.parametrize(
        ("unit", "each"),
        [(b"j", 1), (b"h\x00", 1), (b"k\x00\x01a", 2), (b"h\x01j", 2), (b"t\0\0\0\x01a\1a\1", 3)],
    )
    def test_makes_no_more_values_of_a_compressed_term_than_it_may(
        self, unit: bytes, each: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(etf, "MAX_VALUES", 600)

        def many(count: int) -> bytes:
            return b"l" + struct.pack(">I", count) + count * unit + b"j"

        assert len(decode(compressed(many(600 // each)))) == 600 // each
        with pytest.raises(CodecError, match="a compressed term must hold at most 600 values"):
            decode(compressed(many(600 // each + 1)))
        assert len(decode(term(many(1000)))) == 1000

    def test_is_not_filled_by_a_small_compressed_term(self) -> None:
        bomb = compressed(b"l" + struct.pack(">I", 19_000_000) + 19_000_000 * b"j" + b"j")
        assert len(bomb) < 30_000

        tracemalloc.start()
        with pytest.raises(CodecError, match="a compressed term must hold at most 1000000 values"):
            decode(bomb)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

        assert peak < 50_000_000

    @pytest.mark.parametrize(
        "damaged",
        [
            tagged("unknown", 1),
            tagged(None, 1),
            tagged(["tuple"], 1),
            tagged("tuple"),
            tagged("tuple", [], more=1),
            tagged("tuple", "ab"),
            tagged("set", [[1]]),
            tagged("dict", [1]),
            tagged("dict", [[[], 1]]),
            tagged("int", "nine"),
            tagged("float", 1),
            tagged("str", "/w=="),
            tagged("bytes", "ä"),
            tagged("bytes", tagged("bytes", "AA==")),
            tagged("date", "2026-02-30"),
            tagged("datetime", "9" * 100_000),
            tagged("datetime", []),
            tagged("datetime", ["2026-01-31", "Nowhere/Land", 0]),
            tagged("datetime", ["2026-01-31", "../../etc/passwd", 0]),
            tagged("datetime", ["2026-01-31", "Europe", 0]),
            tagged("datetime", ["2026-01-31", 7, 0]),
            tagged("datetime", ["2026-01-31", None, 2]),
            tagged("time", "25:00"),
            tagged("timedelta", [10**10, 0, 0]),
            tagged("timedelta", [None]),
            tagged("decimal", "1,5"),
            tagged("uuid", "7"),
            tagged("enum", ["os:system", "PAID"]),
            tagged("enum", ["os", "PAID"]),
            tagged("enum", [f"{__name__}:Status", "__class__"]),
            tagged("enum", [f"{__name__}:Status", ["PAID"]]),
            tagged("enum", [f"{__name__}:Access", "READ|EXECUTE"]),
            tagged("enum", [f"{__name__}:User", "name"]),
            tagged("path", 7),
            tagged("path", ["ä"]),
            tagged("path", []),
            tagged("enum", [f"{__name__}:Outer.Inner.ONE", "name"]),
        ],
        ids=lambda damaged: repr(damaged)[:60],
    )
    def test_decoding_refuses_damaged_tags(self, damaged: dict[str, Any]) -> None:
        recorded = Record({"a": [damaged]}).encoded

        with pytest.raises(CodecError, match=r"^cannot decode a recorded value: .{,600}$"):
            decode(recorded)
        with pytest.raises(CodecError, match=r"^cannot decode a stored value: .{,600}$"):
            from_json({"a": [damaged]})

    def test_imports_nothing_to_find_an_enum(self) -> None:
        sys.modules.pop("this", None)

        with pytest.raises(CodecError, match="module this is not imported"):
            from_json(tagged("enum", ["this:Zen", "A"]))

        assert "this" not in sys.modules

    def test_runs_no_code_to_find_an_enum(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lazy = types.ModuleType("lazy")
        lazy.__getattr__ = lambda name: pytest.fail(f"asked for {name}")  # type: ignore[method-assign]
        monkeypatch.setitem(sys.modules, "lazy", lazy)

        with pytest.raises(CodecError, match="module lazy has no Enum"):
            from_json(tagged("enum", ["lazy:Status", "PAID"]))

    def test_refuses_json_that_nests_too_deeply(self) -> None:
        value: Any = None
        for _ in range(100_000):
            value = [value]

        with pytest.raises(CodecError, match="recursion"):
            from_json(value)

    def test_outlives_a_term_that_crashes_the_reader_of_oban(self) -> None:
        """The reason why terms are not read with erlpack."""
        crash = """
            import erlpack, resource
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            erlpack.unpack(b"\\x83" + b"l\\0\\0\\0\\1" * 1_000_000)
        """

        process = subprocess.run([sys.executable, "-c", dedent(crash)], check=False)

        assert process.returncode == -signal.SIGSEGV
        with pytest.raises(CodecError):
            decode(term(b"l\x00\x00\x00\x01" * 1_000_000))


class TestRecord:
    def test_is_what_a_worker_returns(self) -> None:
        value = {"at": datetime(2026, 1, 31, tzinfo=UTC)}

        recorded = record(value, limit=1000)

        assert isinstance(recorded, Record)
        assert (recorded.value, recorded.limit) == (value, 1000)
        assert decode(recorded.encoded) == value

    def test_names_size_and_limit_when_a_value_is_too_large(self) -> None:
        with pytest.raises(CodecError, match="recorded value is 1343 bytes, exceeds limit of 1000"):
            record("x" * 1001, limit=1000)

    def test_limits_by_default_as_oban_does(self) -> None:
        assert record(None).limit == Record(None).limit

    def test_holds_50_megabytes_where_the_limit_allows(self) -> None:
        text = "x" * 50_000_000

        with pytest.raises(CodecError, match="exceeds limit of 64000000"):
            record(text)
        assert decode(record(text, limit=70_000_000).encoded) == text


@pytest.mark.parametrize("first", ["oban", "oban_pro.values.codec"])
def test_imports_in_any_order(first: str) -> None:
    code = f"import {first}; from oban_pro.values.codec import record; record(1)"

    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(shutil.which("erl") is None, reason="Erlang is not installed")
def test_erlang_reads_what_is_recorded(tmp_path: Path) -> None:
    expected: list[tuple[str, Any]] = [
        ("true", True),
        ("nil", None),
        ("[1, -1, 256, 4294967296, -4294967296]", [1, -1, 256, 2**32, -(2**32)]),
        ("18446744073709551615", 2**64 - 1),
        ("[1.5, -0.1, 5.0e-324, 1.0e16]", [1.5, -0.1, 5e-324, 1e16]),
        ('<<"grüß"/utf8>>', "grüß"),
        ('#{<<"a">> => [], <<"b">> => #{}}', {"a": [], "b": {}}),
        ('#{<<"__python__">> => <<"decimal">>, <<"value">> => <<"9.90">>}', Decimal("9.90")),
        ('#{<<"__python__">> => <<"tuple">>, <<"value">> => [1]}', (1,)),
        ('#{<<"__python__">> => <<"int">>, <<"value">> => <<"0x10000000000000000">>}', 2**64),
    ]
    pairs = tmp_path / "pairs"
    pairs.write_text(
        "%% coding: utf-8\n"
        + "".join(f'{{"{encode(value)}", {written}}}.\n' for written, value in expected)
    )
    check = f"""
      {{ok, Pairs}} = file:consult("{pairs}"),
      Padded = fun(Text) -> Text ++ lists:duplicate(-length(Text) band 3, $=) end,
      [Term = binary_to_term(base64:decode(Padded(Text)), [safe]) || {{Text, Term}} <- Pairs],
      io:format("~b equal", [length(Pairs)]), halt(0).
    """

    erl = subprocess.run(
        ["erl", "-noinput", "-eval", check], capture_output=True, text=True, check=False
    )

    assert erl.stdout == f"{len(expected)} equal", erl.stdout + erl.stderr
