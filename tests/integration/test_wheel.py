"""The wheel works alone: installed into an empty environment, without Rust and without the checkout."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Whichever comes first makes the wheel and the environment.
pytestmark = pytest.mark.timeout(700)

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent


def run(*command: str | Path, env: dict[str, str] | None = None, cwd: Path = ROOT, timeout_s: float = 110) -> str:
    done = subprocess.run(
        command, env=env, cwd=cwd, timeout=timeout_s, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release wheel; what `make setup` compiled is used again."""
    out = tmp_path_factory.mktemp("wheel")
    run(SCRIPTS / "maturin", "build", "--release", "--locked", "--out", out, timeout_s=600)
    [wheel] = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an environment with the wheel, what it depends on in locked versions, and nothing else."""
    environment = tmp_path_factory.mktemp("installed") / "env"
    uv = SCRIPTS / "uv"
    run(uv, "venv", "--python", sys.executable, environment)
    run(uv, "pip", "install", "--python", environment, "--constraints", ROOT / "requirements" / "dev.txt", wheel)
    return environment / "bin"


@pytest.fixture
def bare_env(installed: Path, tmp_path: Path) -> dict[str, str]:
    """Variables of a shell that knows the environment and the system's basic tools, but no Rust."""
    tools = tmp_path / "tools"
    tools.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CARGO", "RUST"))}
    env.pop("VIRTUAL_ENV", None)
    env["PATH"] = f"{installed}:{tools}"
    assert not any(shutil.which(tool, path=env["PATH"]) for tool in ("cargo", "rustc", "cc"))
    return env


def test_the_wheel_fits_every_python_from_3_11(wheel: Path) -> None:
    assert "-cp311-abi3-" in wheel.name


def test_the_demo_runs_from_the_wheel(installed: Path, bare_env: dict[str, str], tmp_path: Path) -> None:
    where = run(installed / "python", "-c", "import millstream; print(millstream.__file__)", env=bare_env, cwd=tmp_path)
    assert not Path(where.strip()).is_relative_to(ROOT)
    out = run(installed / "millstream", "demo", "--seconds", "3", "--json", env=bare_env, cwd=tmp_path)
    windows = [json.loads(line) for line in out.splitlines()]
    assert windows
    assert windows[-1]["records"] > 0
    assert windows[-1]["top"]


def test_the_wheel_is_typed_and_carries_its_licence(installed: Path, bare_env: dict[str, str], tmp_path: Path) -> None:
    program = (
        "import importlib.metadata as m, importlib.resources as r;"
        "p = r.files('millstream'); d = m.distribution('millstream');"
        "print([(p / n).is_file() for n in ('py.typed', '_core.pyi')], d.metadata['License-Expression'],"
        "any(f.name == 'LICENSE' for f in d.files))"
    )
    out = run(installed / "python", "-c", program, env=bare_env, cwd=tmp_path)
    assert out.strip() == "[True, True] Apache-2.0 True"
