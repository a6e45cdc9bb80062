"""What the platform that hosts the repository reads: CI, releases, hooks and issues."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import oban_pro
from tests.support.paths import ROOT

PROGRAMS = Path(sys.executable).parent
WORKFLOWS = ROOT / ".github" / "workflows"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def load(path: Path) -> Any:
    return YAML(typ="safe").load(path)


JOBS = load(WORKFLOWS / "ci.yml")["jobs"]
STEPS = {name: [step.get("run") for step in job["steps"]] for name, job in JOBS.items()}
PUBLISHING = load(WORKFLOWS / "release.yml")["jobs"]
HOOKS = load(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]


def call(
    *command: str | Path, cwd: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def checks() -> list[str]:
    """List what `make check` runs in the development environment."""
    (recipe,) = re.findall(r"^check: .*\n((?:\t.+\n)+)", MAKEFILE, re.MULTILINE)
    commands = re.findall(r"^\t\$\(RUN\) (.+)$", recipe, re.MULTILINE)

    return [re.sub(r"\$\(wildcard (.+?)\)", r"\1", command) for command in commands]


class TestCells:
    def test_are_every_python_that_is_supported(self) -> None:
        stated = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
        oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
        pythons = JOBS["everything"]["strategy"]["matrix"]["python"]

        assert pythons == JOBS["postgresql"]["strategy"]["matrix"]["python"]
        assert pythons[0] == oldest
        assert set(stated) <= set(pythons)

    def test_are_every_release_of_postgresql(self) -> None:
        (releases,) = re.findall(r"^matrix: PG = (.+)$", MAKEFILE, re.MULTILINE)
        (wheel,) = PROJECT["project"]["optional-dependencies"]["embedded"]
        newest = re.findall(r">=(\d+)", wheel)

        assert JOBS["postgresql"]["strategy"]["matrix"]["postgresql"] + newest == releases.split()

    def test_run_the_script_that_everybody_runs(self) -> None:
        assert STEPS["everything"][-1] == ".ci/run"
        assert STEPS["postgresql"][-1] == '.ci/run matrix "PG=$POSTGRESQL"'

    def test_each_cell_chooses_its_python(self) -> None:
        for job in JOBS.values():
            assert job["env"]["UV_PYTHON"] == "${{ matrix.python }}"


class TestRelease:
    @pytest.mark.parametrize(
        ("tag", "passes"),
        [
            (f"v{oban_pro.__version__}", True),
            ("v99.0.0", False),
            (f"v{oban_pro.__version__}.1", False),
            (f"v{oban_pro.__version__[1:]}", False),
        ],
    )
    def test_needs_a_tag_that_names_the_version(self, tag: str, passes: bool) -> None:
        (check,) = [step["run"] for step in PUBLISHING["build"]["steps"] if "name" in step]

        assert (call("bash", "-c", check, GITHUB_REF_NAME=tag).returncode == 0) is passes

    def test_publishes_what_was_tested_and_nothing_else(self) -> None:
        build, publish = PUBLISHING["build"]["steps"], PUBLISHING["publish"]["steps"]
        actions = [step["uses"].partition("@")[0] for step in publish]

        assert [step["run"] for step in build if "run" in step][-1] == ".ci/run dist"
        assert build[-1]["with"]["path"] == publish[0]["with"]["path"] == "dist/"
        assert build[-1]["with"]["name"] == publish[0]["with"]["name"]
        assert actions == ["actions/download-artifact", "pypa/gh-action-pypi-publish"]

    def test_the_release_workflow_holds_no_token(self) -> None:
        assert PUBLISHING["publish"]["permissions"] == {"id-token": "write"}
        assert PUBLISHING["publish"]["environment"] == "release"
        assert "secrets." not in (WORKFLOWS / "release.yml").read_text("utf-8")


class TestLinter:
    def lint(self, folder: Path) -> subprocess.CompletedProcess[str]:
        (command,) = [line.split() for line in checks() if line.startswith("zizmor")]

        return call(PROGRAMS / command[0], *command[1:], cwd=folder)

    @pytest.fixture
    def copy(self, tmp_path: Path) -> Path:
        shutil.copytree(ROOT / ".github", tmp_path / ".github")
        shutil.copy(ROOT / ".pre-commit-config.yaml", tmp_path)

        return tmp_path

    def test_the_linter_finds_nothing_in_the_workflows(self, copy: Path) -> None:
        done = self.lint(copy)
        assert done.returncode == 0, done.stdout + done.stderr

    @pytest.mark.parametrize(
        ("pattern", "replacement"),
        [
            (r"@[0-9a-f]{40} # v[\d.]+", "@v1"),
            (r"\n +persist-credentials: false", ""),
            (r"^    permissions:\n      contents: read", "    permissions: write-all"),
            (r"runs-on", "run-on"),
            (r"- run: \.ci/run", "- run: echo ${{ github.head_ref }}; .ci/run"),
        ],
    )
    def test_refuses_what_is_not_safe(self, copy: Path, pattern: str, replacement: str) -> None:
        workflow = copy / ".github" / "workflows" / "ci.yml"
        text = workflow.read_text("utf-8")
        changed = re.sub(pattern, replacement, text, flags=re.MULTILINE)
        assert changed != text
        workflow.write_text(changed, "utf-8")

        assert self.lint(copy).returncode != 0


class TestHooks:
    def test_are_what_make_checks(self) -> None:
        assert [hook["entry"].removeprefix(".venv/bin/") for hook in HOOKS] == checks()

    def test_are_a_configuration_that_can_be_read(self) -> None:
        done = call(PROGRAMS / "pre-commit", "validate-config", ".pre-commit-config.yaml")
        assert done.returncode == 0, done.stdout + done.stderr

    @pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
    @pytest.mark.parametrize(
        ("code", "passes"), [('"""Do nothing."""\n', True), ("import os\n", False)]
    )
    def test_hooks_pass_good_code_and_refuse_bad_code(
        self, tmp_path: Path, code: str, passes: bool
    ) -> None:
        shutil.copy(ROOT / ".pre-commit-config.yaml", tmp_path)
        shutil.copy(ROOT / "pyproject.toml", tmp_path)
        (tmp_path / ".venv").symlink_to(PROGRAMS.parent)
        (tmp_path / "module.py").write_text(code, "utf-8")
        call("git", "init", "--quiet", cwd=tmp_path)
        call("git", "add", "module.py", ".pre-commit-config.yaml", cwd=tmp_path)
        done = call(
            *(PROGRAMS / "pre-commit", "run", "ruff-check", "--files", "module.py"),
            cwd=tmp_path,
            PRE_COMMIT_HOME=str(tmp_path / "cache"),
        )

        assert (done.returncode == 0) is passes, done.stdout + done.stderr
        assert ("F401" in done.stdout) is not passes


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("workflows", "workflows/*.yml"),
        ("dependabot", "dependabot.yml"),
        ("issue-config", "ISSUE_TEMPLATE/config.yml"),
        ("issue-forms", "ISSUE_TEMPLATE/[!c]*.yml"),
    ],
)
def test_files_are_of_the_form_that_the_platform_reads(schema: str, files: str) -> None:
    name = f"vendor.{schema if schema == 'dependabot' else f'github-{schema}'}"
    paths = sorted((ROOT / ".github").glob(files))
    done = call(PROGRAMS / "check-jsonschema", "--builtin-schema", name, *paths)

    assert paths
    assert done.returncode == 0, done.stdout + done.stderr
