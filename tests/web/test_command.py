"""``oban-workflows web``."""

import signal
from pathlib import Path

import httpx
import orjson
import pytest

from tests.support.cli import run_cli, start_cli


class TestWeb:
    def test_serves_this_machine_and_prints_where(self, dsn: str, tmp_path: Path) -> None:
        server = start_cli("web", "--port", "0", cwd=tmp_path, dsn=dsn)
        assert server.stdout is not None

        try:
            address = server.stdout.readline().split()[-1]
            assert address.startswith("http://127.0.0.1:")
            assert httpx.get(address).status_code == 200
            # another name that leads here is a page elsewhere that wants to read ours
            strange = httpx.get(address, headers={"Host": "evil.example"})
            assert strange.status_code == 400
            # an address of this machine too, but not the one that it listens on
            with pytest.raises(httpx.ConnectError):
                httpx.get(address.replace("127.0.0.1", "127.0.0.2"))
        finally:
            server.send_signal(signal.SIGINT)
            assert server.wait(timeout=20) == 0
            server.stdout.close()

    def test_checks_names_on_every_address(self, dsn: str, tmp_path: Path) -> None:
        options = ("--host", "0.0.0.0", "--allow-host", "shop.example", "--port", "0")
        server = start_cli("web", *options, cwd=tmp_path, dsn=dsn)
        assert server.stdout is not None

        try:
            address = server.stdout.readline().split()[-1].replace("0.0.0.0", "127.0.0.1")
            assert httpx.get(address).status_code == 200
            assert httpx.get(address, headers={"Host": "shop.example"}).status_code == 200
            strange = httpx.get(address, headers={"Host": "evil.example"})
            assert strange.status_code == 400
            assert "--allow-host" in strange.text
        finally:
            server.send_signal(signal.SIGINT)
            assert server.wait(timeout=20) == 0
            server.stdout.close()

    def test_prints_the_link_that_unlocks_operations(self, dsn: str, tmp_path: Path) -> None:
        server = start_cli("web", "--port", "0", "--allow-operations", cwd=tmp_path, dsn=dsn)
        assert server.stdout is not None

        try:
            server.stdout.readline()
            link = server.stdout.readline().split()[-1]
            assert "/unlock?token=" in link
            assert httpx.get(link).status_code == 303
            assert httpx.get(link[:-1]).status_code == 403
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=20)
            server.stdout.close()

    def test_fails_in_one_line_without_a_database(self, tmp_path: Path) -> None:
        done = run_cli("web", "--dsn", "postgresql://nobody@127.0.0.1:1/none", cwd=tmp_path)
        assert done.returncode == 1
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1

    def test_prints_who_did_what(self, dsn: str, tmp_path: Path) -> None:
        options = ("--port", "0", "--allow-operations", "--token", "secret")
        server = start_cli("web", *options, cwd=tmp_path, dsn=dsn)
        assert server.stdout is not None

        try:
            address = server.stdout.readline().split()[-1]
            server.stdout.readline()
            assert httpx.post(f"{address}workflows/none/cancel").status_code == 403
            line = orjson.loads(server.stdout.readline())
            assert (line["workflow_id"], line["action"], line["outcome"]) == (
                "none",
                "cancel",
                "refused",
            )
        finally:
            server.send_signal(signal.SIGINT)
            assert server.wait(timeout=20) == 0
            server.stdout.close()
