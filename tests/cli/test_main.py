"""The command as a whole: what it lists, how fast, and what it says when something is missing."""

import os
import re
import subprocess
import sys
from importlib.metadata import version

import pytest

from cli.command import ostiary
from ostiary.cli.commands import Listed, all_commands
from ostiary.cli.main import missing_package


async def test_version() -> None:
    """--version names the package's version."""
    done = await ostiary("--version")
    assert (done.code, done.out) == (0, f"ostiary {version('ostiary')}\n")


async def test_help() -> None:
    """--help lists every command, the services' too, and shows examples."""
    done = await ostiary("--help")
    assert done.code == 0
    for listed in all_commands():
        assert not listed.summary.startswith("From "), f"{listed.name} has no summary of its own"
        assert re.search(rf"│ {listed.name} +{re.escape(listed.summary)}", done.out), listed.name
    assert "ostiary demo" in done.out


@pytest.mark.parametrize("listed", list(all_commands()), ids=lambda listed: listed.name)
async def test_help_of_each(listed: Listed) -> None:
    """Each command is found and explains itself."""
    done = await ostiary(listed.name, "--help")
    assert done.code == 0, done.err
    assert f"ostiary {listed.name}" in done.out


def test_help_is_fast() -> None:
    """--help answers within 0.6 s of processor time, for it imports no command."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "ostiary.cli", "--help"], check=True, capture_output=True)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    assert used < 0.6


def test_help_imports_nothing_heavy() -> None:
    """Neither gRPC nor protobuf, and no service, is imported for --help."""
    heavy = "'grpc', 'google.protobuf', 'torch', 'sqlalchemy', 'ostiary_gateway', 'ostiary_moderation'"
    code = (
        "import sys; sys.argv = ['ostiary', '--help']\n"
        "from ostiary.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print(sorted({{{heavy}}} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["check", "--nonsense"], ["up", "--pods", "0"]], ids=" ".join
)
async def test_usage_errors(arguments: list[str]) -> None:
    """A wrong command line ends with 2 and points at the help."""
    done = await ostiary(*arguments)
    assert done.code == 2
    assert "--help" in done.err or "-h" in done.err


async def test_completion() -> None:
    """Shells can complete sub-commands."""
    done = await ostiary(COMP_WORDS="ostiary de", COMP_CWORD="1", _OSTIARY_COMPLETE="complete_bash")
    assert done.out.split() == ["demo"]


@pytest.mark.parametrize(
    ("extra", "remedy"),
    [("gateway", "pip install 'ostiary[gateway]'"), ("", "reinstall the package")],
    ids=["a service", "from elsewhere"],
)
def test_missing_package(extra: str, remedy: str) -> None:
    """A missing package is told with what to install."""
    words = missing_package("gateway", extra, ImportError("No module named 'sqlalchemy'"))
    assert "No module named 'sqlalchemy'" in words
    assert remedy in words


def test_missing_package_of_a_real_command() -> None:
    """A service whose packages are not installed says what to install, in one line, without a traceback."""
    code = (
        "import sys; sys.argv = ['ostiary', 'gateway', 'init', '/nonexistent/x']\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'ostiary_gateway':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from ostiary.cli.main import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "pip install 'ostiary[gateway]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
