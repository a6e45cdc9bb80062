"""Connection strings: those that are mistyped are refused without a word of their password."""

from traceback import format_exception

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from oban_pro.engine.dsn import check_dsn
from oban_pro.errors import InvalidDsnError


class TestGood:
    @pytest.mark.parametrize(
        "dsn",
        [
            "",
            "postgresql://",
            "postgresql://localhost/shop",
            "postgres://ada:hunter2@localhost:5432/shop",
            "postgresql://ada:h%40n%2Fter2@localhost/shop",
            "postgresql://ada:hunt:er?2#@localhost/shop",
            "postgresql://ada@[::1]:5432/shop?application_name=ada@shop",
            "postgresql://a,b:5433/shop?target_session_attrs=any",
            "postgresql:///shop?host=/run/postgresql&user=ada",
            "postgresql://postgres@/postgres?host=%2Ftmp%2Foban-pg-x&port=5432",
            "host=localhost port=5432,5433 password='it\\'s @ secret' user=ada",
            "host=@/abstract dbname=a@b",
        ],
    )
    def test_a_good_dsn_is_left_as_it_is(self, dsn: str) -> None:
        check_dsn(dsn)


class TestMistyped:
    @pytest.mark.parametrize(
        "dsn",
        [
            "postgres:/ada:hunter2@localhost/shop",
            "postgresql//ada:hunter2@localhost/shop",
            "postgresql:///ada:hunter2@localhost/shop",
            "http://ada:hunter2@localhost/shop",
            "ada:hunter2@localhost/shop",
            "hunter2",
            "postgresql://ada:hunter2/shop",
            "postgresql://ada:12/hunter2@localhost/shop",
            "postgresql://ada:hun@ter2@localhost/shop",
            "postgresql://ada:hun@t/er2@localhost/shop",
            "postgresql://ada:hun%ter2@localhost/shop",
            "postgresql://ada:hun?t@er2@localhost/shop",
            "postgresql://ada:hun/t?er2@localhost/shop",
            "host=localhost password=hun ter2",
            "host=localhost password='hunter2",
            "host=ada:hunter2@localhost",
            "dbname=shop port=hunter2",
            "hunter2=hunter2",
            "postgresql://ada:hun%a1ter2@localhost/shop",
        ],
    )
    def test_are_refused_without_their_text(self, dsn: str) -> None:
        with pytest.raises(InvalidDsnError) as refusal:
            check_dsn(dsn)

        # the whole of what Python would print, psycopg's own error included
        text = "".join(format_exception(refusal.value)).partition("InvalidDsnError: ")[2]
        assert not any(part in text for part in ("hun", "er2", "ada", "localhost"))
        assert refusal.value.__suppress_context__ or refusal.value.__context__ is None

    @given(st.text("a1@/:?#%[]&='\" \\,", min_size=1))
    def test_are_all_whose_password_is_read_as_something_else(self, password: str) -> None:
        dsn = f"postgresql://ada:{password}@127.0.0.1:1/shop"

        try:
            check_dsn(dsn)
        except InvalidDsnError:
            return

        read = conninfo_to_dict(dsn)
        assert (read["host"], str(read["port"]), read["dbname"]) == ("127.0.0.1", "1", "shop")
