"""The audit functions of the demo, on site-packages made by hand."""

import os
from pathlib import Path

import pytest

from oban_pro.demo import environment
from oban_pro.demo.environment import Checked, Installed
from tests.support.sites import add_distribution, recorded_hash


def check_only(site: Path) -> Checked:
    (installed,) = environment.list_installed([str(site)]).values()

    return environment.check(installed)


def licence_of(site: Path) -> str:
    (installed,) = environment.list_installed([str(site)]).values()

    return environment.licence(installed)


class TestListInstalled:
    def test_keys_distributions_by_normalized_name(self, tmp_path: Path) -> None:
        add_distribution(tmp_path, "Some_Thing.else", {})
        listed = environment.list_installed([str(tmp_path)])
        assert listed == {
            "some-thing-else": Installed(name="Some_Thing.else", version="1.0", path=str(tmp_path))
        }

    def test_prefers_the_directory_that_is_searched_first(self, tmp_path: Path) -> None:
        first, second = tmp_path / "first", tmp_path / "second"
        add_distribution(second, "one", {}, version="2.0")
        add_distribution(first, "one", {}, version="1.0")
        listed = environment.list_installed([str(first), str(second)])
        assert listed["one"]["version"] == "1.0"

    def test_leaves_out_folders_without_metadata(self, tmp_path: Path) -> None:
        (tmp_path / "gone-1.0.dist-info").mkdir()
        assert environment.list_installed([str(tmp_path)]) == {}


class TestCheck:
    def test_counts_files_that_are_as_recorded(self, tmp_path: Path) -> None:
        add_distribution(tmp_path, "one", {"one.py": b"1", "one/data.bin": bytes(range(256))})
        assert check_only(tmp_path) == Checked(
            files=2, unhashed=1, mismatched=[], missing=[], unreadable=[]
        )

    def test_finds_a_changed_byte(self, tmp_path: Path) -> None:
        add_distribution(tmp_path, "one", {"one.py": b"1", "two.py": b"2"})
        (tmp_path / "two.py").write_bytes(b"3")
        assert check_only(tmp_path)["mismatched"] == ["two.py"]

    def test_finds_a_missing_file(self, tmp_path: Path) -> None:
        add_distribution(tmp_path, "one", {"one.py": b"1", "two.py": b"2"})
        (tmp_path / "two.py").unlink()
        assert check_only(tmp_path)["missing"] == ["two.py"]

    def test_does_not_judge_caches_and_files_without_a_hash(self, tmp_path: Path) -> None:
        record = "__pycache__/one.pyc,sha256=stale,9\nadded.txt,,\n__pycache__/gone.pyc,,"
        add_distribution(tmp_path, "one", {}, record=record)
        assert check_only(tmp_path) == Checked(
            files=0, unhashed=4, mismatched=[], missing=[], unreadable=[]
        )

    def test_follows_names_out_of_the_directory(self, tmp_path: Path) -> None:
        site = tmp_path / "lib"
        add_distribution(site, "one", {"../bin/one": b"#!"})
        assert check_only(site)["files"] == 1
        (tmp_path / "bin" / "one").unlink()
        assert check_only(site)["missing"] == ["../bin/one"]

    def test_reads_names_with_commas_and_letters_beyond_ascii(self, tmp_path: Path) -> None:
        (tmp_path / "ä,b.txt").write_bytes(b"1")
        record = f'"ä,b.txt",{recorded_hash(b"1")},1'
        add_distribution(tmp_path, "one", {}, record=record)
        assert check_only(tmp_path)["files"] == 1
        assert not check_only(tmp_path)["missing"]

    def test_never_waits_for_a_pipe(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        add_distribution(tmp_path, "one", {}, record="pipe,sha256=x,1")
        assert check_only(tmp_path)["unreadable"] == ["pipe"]

    @pytest.mark.parametrize("digest", ["sha0=x", "x", "=x"])
    def test_cannot_read_what_it_cannot_hash(self, tmp_path: Path, digest: str) -> None:
        (tmp_path / "one.py").write_bytes(b"1")
        add_distribution(tmp_path, "one", {}, record=f"one.py,{digest},1")
        assert check_only(tmp_path)["unreadable"] == ["one.py"]

    def test_names_a_record_that_is_not_text(self, tmp_path: Path) -> None:
        add_distribution(tmp_path, "one", {})
        (tmp_path / "one-1.0.dist-info" / "RECORD").write_bytes(b"\xff\xfe")
        assert check_only(tmp_path)["unreadable"] == ["RECORD"]

    def test_has_nothing_to_compare_without_a_record(self, tmp_path: Path) -> None:
        add_distribution(tmp_path, "one", {"one.py": b"1"})
        (tmp_path / "one-1.0.dist-info" / "RECORD").unlink()
        assert check_only(tmp_path)["files"] == 0

    def test_misses_a_distribution_that_was_replaced_since(self, tmp_path: Path) -> None:
        add_distribution(tmp_path, "one", {})
        gone = Installed(name="one", version="0.9", path=str(tmp_path))
        assert environment.check(gone)["missing"] == ["one 0.9"]


class TestLicence:
    @pytest.mark.parametrize(
        ("metadata", "expected"),
        [
            ("License-Expression: MIT OR Apache-2.0\nLicense: other", "MIT OR Apache-2.0"),
            ("License: MIT\nClassifier: License :: OSI Approved :: BSD License", "BSD License"),
            ("License: MIT\nClassifier: License :: OSI Approved", "MIT"),
            (f"License: {'x' * 500}", "unknown"),
            ("Classifier: Topic :: Software Development :: Licence", "unknown"),
        ],
    )
    def test_comes_from_the_most_exact_field(
        self, tmp_path: Path, metadata: str, expected: str
    ) -> None:
        add_distribution(tmp_path, "one", {}, metadata=metadata)
        assert licence_of(tmp_path) == expected


class TestSize:
    def test_adds_up_what_is_there(self, tmp_path: Path) -> None:
        add_distribution(tmp_path, "one", {"one.py": b"x" * 100, "two.py": b"y" * 1000})
        (installed,) = environment.list_installed([str(tmp_path)]).values()
        whole = environment.size(installed)
        (tmp_path / "two.py").unlink()
        assert whole - environment.size(installed) == 1000
