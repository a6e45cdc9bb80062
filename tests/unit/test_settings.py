"""Where settings come from, and which are refused."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from oban import Oban
from oban._config import Config
from psycopg_pool import AsyncConnectionPool

import oban_pro
from oban_pro import errors, settings

KNOWN = (
    "modules, notify_dsn, prepared_statements, renamed, schedules, store_above, trace_url,"
    " unknown_for, web_url"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Start in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)

    return tmp_path


def write(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "workflows.toml").write_text(text, "utf-8")


class TestSources:
    def test_without_settings_every_module_is_allowed(self) -> None:
        assert settings.current() == settings.Settings(modules=None)
        assert settings.why_forbidden("anything.at.all") is None

    def test_are_the_file_then_the_environment_then_a_call(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(folder, 'modules = ["file", "of.mine"]')
        assert settings.current().modules == ("file", "of.mine")

        settings.reset()
        monkeypatch.setenv("OBAN_WORKFLOWS_MODULES", "environment, of.mine")
        assert settings.current().modules == ("environment", "of.mine")

        oban_pro.configure(modules=("call",))
        assert settings.current().modules == ("call",)

        oban_pro.configure()
        assert settings.current().modules == ("call",)

        oban_pro.configure(modules=None)
        assert settings.current().modules == ("environment", "of.mine")

    def test_settings_are_read_once(self, folder: Path) -> None:
        write(folder, 'modules = ["first"]')
        assert settings.current().modules == ("first",)
        write(folder, 'modules = ["second"]')
        assert settings.current().modules == ("first",)

    def test_lie_beside_the_configuration_that_oban_reads(self, folder: Path) -> None:
        write(folder, 'modules = ["here"]')
        write(folder / "elsewhere", 'modules = ["elsewhere"]')
        config = folder / "elsewhere" / "oban.toml"
        config.write_text('dsn = "postgresql://localhost/shop"', "utf-8")

        assert Config.load(None).dsn is None
        assert settings.current().modules == ("here",)

        assert Config.load(str(config)).dsn == "postgresql://localhost/shop"
        assert settings.current().modules == ("elsewhere",)

        # as an application does that opens a pool by itself
        Config.load(None)
        assert settings.current().modules == ("elsewhere",)


class TestModules:
    def test_permit_what_is_below_them_and_nothing_beside(self) -> None:
        oban_pro.configure(modules=["shop", "billing.jobs"])

        for module in ("shop", "shop.orders", "billing.jobs", "billing.jobs.late"):
            assert settings.why_forbidden(module) is None

        for module in ("shopping", "billing", "billing.jobs2", "os", "", "Shop"):
            assert settings.why_forbidden(module) == (
                f"the setting modules permits only shop, billing.jobs; got module {module!r}"
            )

    @pytest.mark.parametrize(
        "value",
        [
            "shop",
            b"shop",
            [],
            [""],
            ["shop."],
            ["shop.*"],
            ["*"],
            ["shop:order"],
            [1],
            5,
            {"shop": 1},
            [None],
        ],
    )
    def test_of_no_use_are_refused(self, value: Any) -> None:
        with pytest.raises(errors.SettingsError) as refusal:
            oban_pro.configure(modules=value)
        assert str(refusal.value) == (
            f'modules in configure() must be a list of module names, as in ["shop"], got {value!r}'
        )
        assert settings.current().modules is None


class TestOfPoolers:
    def test_are_read_like_the_others(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(folder, 'notify_dsn = "host=file"\nprepared_statements = false')
        assert settings.current().notify_dsn == "host=file"
        assert settings.current().prepared_statements is False

        settings.reset()
        monkeypatch.setenv("OBAN_WORKFLOWS_NOTIFY_DSN", "host=a,b dbname=environment")
        monkeypatch.setenv("OBAN_WORKFLOWS_PREPARED_STATEMENTS", "True")
        assert settings.current().notify_dsn == "host=a,b dbname=environment"
        assert settings.current().prepared_statements is True

        oban_pro.configure(notify_dsn="host=call", prepared_statements=False)
        assert settings.current().notify_dsn == "host=call"
        assert settings.current().prepared_statements is False

        oban_pro.configure(notify_dsn=None, prepared_statements=None)
        assert settings.current().prepared_statements is True

    @pytest.mark.parametrize("value", ["", "1", "yes", "off"])
    def test_of_no_use_are_refused(self, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OBAN_WORKFLOWS_PREPARED_STATEMENTS", value)
        with pytest.raises(errors.SettingsError) as refusal:
            settings.current()
        assert str(refusal.value) == (
            "prepared_statements in OBAN_WORKFLOWS_PREPARED_STATEMENTS must be true or false,"
            f" got {value!r}"
        )

    @pytest.mark.parametrize("value", ["", " ", 5, b"host=a", ["host=a"]])
    def test_that_hold_no_dsn_are_refused_without_repeating_it(self, value: Any) -> None:
        with pytest.raises(errors.SettingsError) as refusal:
            oban_pro.configure(notify_dsn=value)
        assert str(refusal.value) == "notify_dsn in configure() must be a connection string"

    def test_hold_a_dsn_that_is_not_shown(self) -> None:
        oban_pro.configure(notify_dsn="postgresql://ada:hunter2@localhost/shop")
        assert "hunter2" not in repr(settings.current())

    async def test_hold_a_dsn_that_can_be_read_where_queues_run(self) -> None:
        oban_pro.configure(notify_dsn="postgresql://ada:hun@ter2@localhost/shop")
        pool = AsyncConnectionPool("", open=False)
        with pytest.raises(errors.InvalidDsnError) as refusal:
            Oban(pool=pool, queues={"default": 10})
        assert "hun" not in str(refusal.value)


class TestUnknownFor:
    def test_is_a_quarter_of_an_hour_unless_told(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert settings.unknown_for() == timedelta(minutes=15)
        monkeypatch.setenv("OBAN_UNKNOWN_FOR", "60")
        assert settings.unknown_for() == timedelta(minutes=1)

        write(folder, "unknown_for = 5")
        settings.reset()
        assert settings.unknown_for() == timedelta(seconds=5)

        monkeypatch.setenv("OBAN_WORKFLOWS_UNKNOWN_FOR", "2.5")
        settings.reset()
        assert settings.unknown_for() == timedelta(seconds=2.5)

        oban_pro.configure(unknown_for=0)
        assert settings.unknown_for() == timedelta()
        oban_pro.configure(unknown_for=timedelta(hours=1))
        assert settings.unknown_for() == timedelta(hours=1)

    @pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf", ""])
    def test_of_no_use_is_refused_before_a_queue_runs(
        self, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OBAN_UNKNOWN_FOR", value)
        pool = AsyncConnectionPool("", open=False)
        with pytest.raises(errors.SettingsError, match="unknown_for in OBAN_UNKNOWN_FOR must be"):
            Oban(pool=pool, queues={"default": 10})

    @pytest.mark.parametrize("value", [True, "60", [60]])
    def test_is_a_timedelta_or_seconds(self, value: Any) -> None:
        with pytest.raises(errors.SettingsError) as refusal:
            oban_pro.configure(unknown_for=value)
        assert str(refusal.value) == (
            f"unknown_for in configure() must be a timedelta or seconds, got {value!r}"
        )


class TestSchedules:
    def test_modules_of_schedules_come_from_each_source(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(folder, 'schedules = ["shop.schedules"]')
        assert settings.current().schedules == ("shop.schedules",)

        settings.reset()
        monkeypatch.setenv("OBAN_WORKFLOWS_SCHEDULES", "shop.nightly, shop.hourly")
        assert settings.current().schedules == ("shop.nightly", "shop.hourly")

        oban_pro.configure(schedules=["shop"])
        assert settings.current().schedules == ("shop",)

    def test_of_no_use_are_refused(self) -> None:
        wrong: Any = "shop"
        with pytest.raises(errors.SettingsError, match=r"schedules in configure\(\) must be"):
            oban_pro.configure(schedules=wrong)


class Charge:
    """Has moved."""


def charge() -> None:
    """Has moved."""


class TestRenamed:
    def test_leads_from_old_paths_to_new_ones(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(folder, '[renamed]\n"old:f" = "file:f"\n"old.Worker" = "file.Worker"')
        assert settings.names_of("old:f") == ["old:f", "file:f"]
        assert settings.names_of("old.Worker") == ["old.Worker", "file:Worker"]
        assert settings.names_of("old:g") == ["old:g"]

        settings.reset()
        monkeypatch.setenv("OBAN_WORKFLOWS_RENAMED", "old:f=environment:f, old.g = environment:g")
        assert settings.names_of("old:f") == ["old:f", "environment:f"]
        assert settings.names_of("old:g") == ["old:g", "environment:g"]

        oban_pro.configure(renamed={"old:f": charge, "old.Worker": Charge})
        assert settings.names_of("old:f") == ["old:f", f"{__name__}:charge"]
        assert settings.names_of("old.Worker") == ["old.Worker", f"{__name__}:Charge"]

        oban_pro.renamed("old:g", charge)
        assert settings.names_of("old:g") == ["old:g", f"{__name__}:charge"]

    def test_may_be_renamed_again_and_back(self) -> None:
        oban_pro.renamed("a:f", "b:f")
        oban_pro.renamed("b:f", "c:f")
        oban_pro.renamed("c:f", "a:f")
        assert settings.names_of("a:f") == ["a:f", "b:f", "c:f"]

    @pytest.mark.parametrize("path", ["", "charge", "shop:", "a:b:c", "shop.pay-ment:f", 5, None])
    def test_of_no_use_is_refused(self, path: Any) -> None:
        for old, new in ((path, "shop:f"), ("shop:f", path)):
            with pytest.raises(errors.SettingsError) as refusal:
                oban_pro.renamed(old, new)
            assert str(refusal.value) == (
                "renamed in renamed() must have paths like shop.payments:charge or"
                f" shop.payments.Charge, got {path!r}"
            )

    def test_is_refused_where_it_is_no_mapping(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wrong: Any = ["old:f", "new:f"]
        with pytest.raises(errors.SettingsError, match=r"renamed in configure\(\) must have new"):
            oban_pro.configure(renamed=wrong)
        monkeypatch.setenv("OBAN_WORKFLOWS_RENAMED", "old:f")
        with pytest.raises(errors.SettingsError, match="renamed in OBAN_WORKFLOWS_RENAMED must"):
            settings.current()


class TestRefusals:
    def test_of_unknown_settings_list_those_there_are(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unknown: Any = {"module": ["shop"]}
        with pytest.raises(errors.SettingsError) as refusal:
            oban_pro.configure(**unknown)
        assert str(refusal.value) == f"unknown setting module in configure(); known: {KNOWN}"

        write(folder, 'moduls = ["shop"]')
        with pytest.raises(errors.SettingsError) as refusal:
            settings.current()
        assert str(refusal.value) == (
            f"unknown setting moduls in {folder / 'workflows.toml'}; known: {KNOWN}"
        )

        (folder / "workflows.toml").unlink()
        monkeypatch.setenv("OBAN_WORKFLOWS_MODUL", "shop")
        with pytest.raises(errors.SettingsError) as refusal:
            settings.current()
        assert str(refusal.value) == (
            "unknown setting OBAN_WORKFLOWS_MODUL in the environment; known:"
            " OBAN_WORKFLOWS_MODULES, OBAN_WORKFLOWS_NOTIFY_DSN,"
            " OBAN_WORKFLOWS_PREPARED_STATEMENTS, OBAN_WORKFLOWS_RENAMED,"
            " OBAN_WORKFLOWS_SCHEDULES, OBAN_WORKFLOWS_STORE_ABOVE, OBAN_WORKFLOWS_TRACE_URL,"
            " OBAN_WORKFLOWS_UNKNOWN_FOR, OBAN_WORKFLOWS_WEB_URL"
        )

    @pytest.mark.parametrize("value", ["", " ", "shop,,", "shop.*"])
    def test_a_wrong_setting_names_its_variable(
        self, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OBAN_WORKFLOWS_MODULES", value)
        with pytest.raises(errors.SettingsError, match="modules in OBAN_WORKFLOWS_MODULES must be"):
            settings.current()

    @pytest.mark.parametrize("text", ['modules = "shop"', "modules = [", "modules", "\ud800"])
    def test_a_wrong_setting_names_its_file(self, text: str, folder: Path) -> None:
        (folder / "workflows.toml").write_text(text, "utf-8", "surrogatepass")
        with pytest.raises(errors.SettingsError, match=r"workflows\.toml"):
            settings.current()

    def test_name_a_file_that_cannot_be_opened(self, folder: Path) -> None:
        (folder / "workflows.toml").mkdir()
        with pytest.raises(errors.SettingsError, match=r"cannot read .*workflows\.toml: "):
            settings.current()

    async def test_come_before_any_job_runs(self, folder: Path) -> None:
        write(folder, "module = []")
        pool = AsyncConnectionPool("", open=False)
        with pytest.raises(errors.SettingsError):
            Oban(pool=pool, queues={"default": 10})
        # a client runs nothing
        Oban(pool=pool)


class TestAddresses:
    def test_are_read_like_the_others(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(folder, 'web_url = "http://file"')
        assert settings.current().web_url == "http://file"

        settings.reset()
        monkeypatch.setenv("OBAN_WEB_URL", "http://short")
        assert settings.current().web_url == "http://short"

        settings.reset()
        monkeypatch.setenv("OBAN_WORKFLOWS_WEB_URL", "http://long")
        monkeypatch.setenv("OBAN_WORKFLOWS_TRACE_URL", "https://traces/{trace_id}?x=1")
        assert settings.current().web_url == "http://long"
        assert settings.current().trace_url == "https://traces/{trace_id}?x=1"

    @pytest.mark.parametrize(
        "value", ["", "shop.example", "ftp://x", "javascript:alert(1)", 7, "http://["]
    )
    def test_of_no_use_are_refused(self, value: Any) -> None:
        for name in ("web_url", "trace_url"):
            with pytest.raises(errors.SettingsError, match=f"{name} in configure"):
                oban_pro.configure(**{name: value})

    def test_of_a_trace_need_its_id(self) -> None:
        with pytest.raises(errors.SettingsError, match=r"must have .trace_id. in it"):
            oban_pro.configure(trace_url="https://traces")

    def test_name_the_variable_that_is_wrong(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OBAN_WEB_URL", "here")
        with pytest.raises(errors.SettingsError, match="web_url in OBAN_WEB_URL"):
            settings.current()
