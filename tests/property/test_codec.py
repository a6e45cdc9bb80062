"""Whatever is encoded comes back as it was; whatever is decoded is a value or a `CodecError`."""

import base64
import enum
import math
import string
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from oban._recorded import decode_recorded

from oban_pro.errors import CodecError
from oban_pro.values.codec import decode, encode, formats, from_json, to_json


class Size(enum.Enum):
    SMALL = 1
    LARGE = "large"


class Grade(enum.IntEnum):
    A = 1


class Mode(enum.Flag):
    READ = 1
    WRITE = 2


any_text = st.text(st.characters(codec=None))
utf8_text = st.text(st.characters(codec="utf-8"))
long_integers = st.integers() | st.integers(-(2**70), 2**70)
zones: st.SearchStrategy[Any] = (
    st.none()
    | st.sampled_from([UTC, ZoneInfo("Europe/Vienna"), ZoneInfo("America/St_Johns")])
    | st.integers(-86_399, 86_399).map(lambda offset: timezone(timedelta(seconds=offset)))
)
datetimes = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=zones)
hashables = st.recursive(
    st.none()
    | st.booleans()
    | long_integers
    | st.floats()
    | any_text
    | st.binary()
    | datetimes
    | st.builds(datetime.replace, datetimes, fold=st.just(1))
    | st.times(timezones=zones)
    | st.dates()
    | st.timedeltas()
    | st.decimals().filter(lambda number: not number.is_snan())
    | st.uuids()
    | st.sampled_from([*Size, *Grade, *Mode, Mode(0), Mode.READ | Mode.WRITE]),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=5,
)
values = st.recursive(
    hashables | st.sets(hashables, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.just("__python__") | any_text | hashables, inner, max_size=4)
    ),
    max_leaves=12,
)
plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False).filter(math.isfinite)
    | utf8_text,
    lambda inner: st.lists(inner) | st.dictionaries(utf8_text, inner),
    max_leaves=20,
)


TAGS = sorted(
    {kind.__name__.lower() for kind in formats.SCALARS | formats.COLLECTIONS} | {*formats.OBJECTS}
)


def image(value: Any) -> Any:
    """Return something that equals only for values of equal type and content, NaN included."""
    kind = type(value)
    if kind in (list, tuple):
        return kind, [image(item) for item in value]
    if kind in (set, frozenset):
        return kind, sorted(repr(image(item)) for item in value)
    if kind is dict:
        return kind, sorted(repr((image(key), image(item))) for key, item in value.items())
    if kind in (datetime, time):
        return kind, repr(value.replace(tzinfo=None)), repr(value.tzinfo), value.utcoffset()
    return kind, repr(value)


def through_jsonb(value: Any) -> Any:
    """Do to parsed JSON what a trip through oban and a jsonb column does."""
    parsed = orjson.loads(orjson.dumps(value))
    if isinstance(parsed, dict):
        return {
            key: through_jsonb(parsed[key]) for key in sorted(parsed, key=lambda k: (len(k), k))
        }
    if isinstance(parsed, list):
        return [through_jsonb(item) for item in parsed]
    if isinstance(parsed, float):
        return orjson.loads(f"{Decimal(repr(parsed)):f}")
    assert not (isinstance(parsed, str) and "\0" in parsed), "jsonb refuses NUL"
    return parsed


class TestRoundTrips:
    @given(values)
    def test_recorded_values_come_back_as_they_were(self, value: Any) -> None:
        assert image(decode(encode(value))) == image(value)

    @given(st.dictionaries(any_text, st.integers()))
    def test_recorded_values_keep_the_order_of_keys(self, value: dict[str, int]) -> None:
        assert list(decode(encode(value))) == list(value)

    @given(values)
    @example(1e16)
    @example(-0.0)
    def test_stored_values_come_back_as_they_were(self, value: Any) -> None:
        assert image(from_json(through_jsonb(to_json(value)))) == image(value)


class TestOtherReaders:
    @given(plain_values)
    def test_oban_reads_plain_values(self, value: Any) -> None:
        assert image(decode_recorded(encode(value))) == image(value)
        assert image(decode(encode(value))) == image(value)

    @given(plain_values)
    def test_plain_json_is_left_alone(self, value: Any) -> None:
        if "__python__" not in repr(to_json(value)):
            assert image(to_json(value)) == image(value)

    @given(values)
    def test_an_independent_reader_sees_plain_terms(self, value: Any) -> None:
        erlang = pytest.importorskip("erlang", reason="erlang-py is not installed")
        text = encode(value)
        term = erlang.binary_to_term(base64.b64decode(text + "=" * (-len(text) % 4)))

        assert image(from_json(pythonic(term, erlang))) == image(value)


def pythonic(term: Any, erlang: Any) -> Any:
    if isinstance(term, erlang.OtpErlangBinary):
        return term.value.decode()
    if isinstance(term, erlang.OtpErlangAtom):
        return {b"nil": None, b"true": True, b"false": False}[term.value]
    if isinstance(term, list):
        return [pythonic(item, erlang) for item in term]
    if isinstance(term, dict):
        return {pythonic(k, erlang): pythonic(v, erlang) for k, v in term.items()}
    return term


class TestHostileInput:
    @given(st.text() | st.text(string.ascii_letters + string.digits + "+/="))
    def test_any_text_is_a_value_or_an_error(self, text: str) -> None:
        with suppress(CodecError):
            decode(text)

    @given(st.lists(st.sampled_from(b"FPabdhijklmnostvw\x00\x01\x02\xff") | st.integers(0, 255)))
    def test_any_term_is_a_value_or_an_error(self, body: list[int]) -> None:
        with suppress(CodecError):
            decode(base64.b64encode(b"\x83" + bytes(body)).decode())

    @given(values, st.data())
    def test_a_damaged_encoding_is_a_value_or_an_error(self, value: Any, data: Any) -> None:
        text = encode(value)
        term = bytearray(base64.b64decode(text + "=" * (-len(text) % 4)))
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(term) - 1))
            term[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
            if not term:
                break

        with suppress(CodecError):
            decode(base64.b64encode(term).decode())

    @given(
        st.recursive(
            plain_values,
            lambda inner: st.fixed_dictionaries(
                {
                    "__python__": st.sampled_from(TAGS),
                    "value": inner | st.lists(inner, max_size=3),
                }
            ),
            max_leaves=4,
        )
    )
    def test_any_tag_is_a_value_or_an_error(self, value: Any) -> None:
        with suppress(CodecError):
            from_json(value)
