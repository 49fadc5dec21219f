"""The int8 engine for 64-bit ARM, in emulation: the bits of its logits are those of x86-64."""

import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hack.toolchain.progress import Progress
from hack.toolchain.tools import install_packages
from numpy.typing import NDArray
from tests.service.engine.test_int8_engine import SETS, tokens_of
from tests.service.engine.test_sanitizers import CLANG, FLAGS, SOURCES
from tests.service.tiny_int8 import CONTEXT

from mcq_service.engine import BatchItem, Logits
from mcq_service.engine.int8.int8_engine import Int8Engine, rope_tables
from mcq_service.model_store import int8_layout

EMULATOR = "qemu-aarch64"
PACKAGES = {
    f"/usr/bin/{CLANG}": "clang-16",
    f"/usr/bin/{EMULATOR}": "qemu-user",
    "/usr/aarch64-linux-gnu/lib/libc.a": "libc6-dev-arm64-cross",
    "/usr/lib/gcc-cross/aarch64-linux-gnu/12/crtend.o": "libgcc-12-dev-arm64-cross",
    "/usr/bin/aarch64-linux-gnu-ld": "binutils-aarch64-linux-gnu",
}
INSTRUCTIONS = {"neon_i8mm": "armv8.2-a+dotprod+i8mm", "neon_dotprod": "armv8.2-a+dotprod"}
TOKENS = tokens_of(1, 40)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SETS, reason="there is no x86-64 engine to compare with"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the library and logits.cpp as one static ARM program."""
    install_packages(lambda: [name for path, name in PACKAGES.items() if not Path(path).exists()], Progress())
    work = tmp_path_factory.mktemp("arm")
    target = [
        "--target=aarch64-linux-gnu",
        "-nostdinc++",
        *(flag for flag in FLAGS if not flag.startswith("-march")),
    ]
    objects: list[Path] = []
    sources = [*SOURCES.glob("*.cpp"), *SOURCES.glob("arm/*.cpp"), Path(__file__).with_name("logits.cpp")]
    for source in sources:
        march = INSTRUCTIONS.get(source.stem, "armv8-a")
        objects.append(work / f"{source.stem}.o")
        command: list[str | Path] = [
            CLANG,
            *target,
            f"-march={march}",
            f"-I{SOURCES}",
            "-c",
            source,
            "-o",
            objects[-1],
        ]
        subprocess.run(command, check=True)
    linked = work / "logits"
    command = [CLANG, "--target=aarch64-linux-gnu", "-static", "-nostdlib++", *objects, "-o", linked]
    subprocess.run(command, check=True)
    return linked


@pytest.fixture(scope="module")
def reference(tiny: Path) -> NDArray[np.float32]:
    """Return this machine's logits of TOKENS."""
    engine = Int8Engine(tiny, context_length=CONTEXT, threads=1)
    [output] = engine.step([BatchItem(engine.open(TOKENS, room=0), TOKENS, logits=Logits.EVERY)])
    engine.shut_down()
    assert output.logits is not None
    return output.logits


def plan(tiny: Path) -> bytes:
    """Return what logits.cpp needs beside the model's file."""
    shape, file = int8_layout.shape_of(tiny), tiny / int8_layout.FILE
    offsets = int8_layout.offsets(memoryview(file.read_bytes()), shape, file)
    engine = Int8Engine(tiny, context_length=CONTEXT, threads=1)
    header = bytes(engine._native_shape())
    engine.shut_down()
    matrices = [f"layers.{index}.{name}" for index in range(shape.layers) for name in LAYER]
    names = [*matrices, "embedding.panels", "embedding.scales", "norm"]
    return b"".join(
        [
            header,
            *(struct.pack("<Q", offsets[name]) for name in names),
            *(table.tobytes() for table in rope_tables(shape, CONTEXT)),
            np.array([len(TOKENS), *TOKENS], dtype=np.int32).tobytes(),
        ]
    )


LAYER = (
    "attention_norm", "qkv.panels", "qkv.scales", "qkv.bias", "attention_output.panels", "attention_output.scales",
    "mlp_norm", "gate_up.panels", "gate_up.scales", "down.panels", "down.scales",
)  # fmt: skip


@pytest.mark.parametrize("instructions", INSTRUCTIONS)
def test_arm_computes_the_same(
    program: Path, tiny: Path, tmp_path: Path, reference: NDArray[np.float32], instructions: str
) -> None:
    (tmp_path / "plan").write_bytes(plan(tiny))
    command: list[str | Path] = [
        EMULATOR,
        "-cpu",
        "max",
        program,
        instructions,
        tiny / int8_layout.FILE,
        tmp_path / "plan",
    ]
    done = subprocess.run(command, capture_output=True, timeout=300, check=True)
    assert np.array_equal(np.frombuffer(done.stdout, np.float32).reshape(reference.shape), reference)
