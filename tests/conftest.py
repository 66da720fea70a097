"""What several tests share: the tiny models of tests/data, the real files beside the repository, the runtimes here."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Iterator

import pytest

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

os.environ["LC_ALL"] = "C.UTF-8"  # a developer's own language would be that of the labels
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a script's background job; the programs would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

from errors import PackageError  # noqa: E402
from runtime import RUNTIMES, choose_runtime  # noqa: E402

DATA = ROOT / "tests" / "data"
SHARED = ROOT.parent / "shared"


def _usable(name: str) -> bool:
    try:
        choose_runtime(name)
    except PackageError:
        return False
    return True


INSTALLED = [name for name in RUNTIMES if name != "auto" and _usable(name)]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps what the program remembers (compiled models, thread counts) out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@contextlib.contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Takes from root, for whom no folder is closed, what it may; goes into a folder, from where its files are near."""
    before, user = os.getcwd(), os.geteuid()
    folder.chmod(0o755)
    os.chdir(folder)
    os.seteuid(user or 65534)
    try:
        yield
    finally:
        os.seteuid(user)
        os.chdir(before)


@pytest.fixture(scope="session", params=INSTALLED)
def runtime(request: pytest.FixtureRequest) -> str:
    """The name of each runtime that is installed and works here, in turn."""
    return request.param


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own; its folder for compiled models."""
    from user_cache import cache_folder

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache_folder() / "compiled"


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    """Float model that tells colours, brightness, motion and flicker; see make_tiny_models.py."""
    return DATA / "tiny.tflite"


@pytest.fixture(scope="session")
def tiny_quantized_model() -> Path:
    """The same with image, states and logits quantized."""
    return DATA / "tiny_quantized.tflite"


@pytest.fixture(scope="session")
def tiny_labels() -> Path:
    return DATA / "tiny.txt"


def skip_without_schema() -> None:
    """Skips the test that calls this, or the file that does at its top, where the compiler can't work."""
    from compiler.schema import schema

    if schema is None:
        pytest.skip("the compiler needs ai-edge-litert, or tflite: pip install tflite", allow_module_level=True)


def _shared(path: str) -> Path:
    if not (SHARED / path).exists():
        pytest.skip(f"needs ../shared/{path}, a real file that isn't part of the repository")
    return SHARED / path


@pytest.fixture(scope="session")
def movinet_model() -> Path:
    """The published MoViNet A0, int8, 600 classes."""
    return _shared("models/movinet_a0_int8.tflite")


@pytest.fixture(scope="session")
def movinet_se_model() -> Path:
    """A fine-tuned MoViNet A0 with squeeze-and-excitation, int8, 7 classes."""
    return _shared("models/movinet_a0_se_int8.tflite")


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """The demo's MoViNet A0 with squeeze-and-excitation: int8 weights, float arithmetic, 7 classes. Always here."""
    return ROOT / "models" / "movinet_a0_demo.tflite"


@pytest.fixture(scope="session")
def demo_labels() -> Path:
    return ROOT / "labels" / "movinet_a0_demo.txt"


@pytest.fixture(scope="session")
def carving_ice_video() -> Path:
    """4.4 s of the Kinetics-600 class "carving ice"."""
    return _shared("videos/carving_ice.mp4")


@pytest.fixture(scope="session")
def kinetics_labels() -> Path:
    return ROOT / "labels" / "kinetics600.txt"


@pytest.fixture(scope="session")
def movinet_se_labels() -> Path:
    return _shared("labels/movinet_a0_se.txt")
