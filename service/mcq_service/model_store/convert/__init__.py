"""Convert fetched weights for the engine: one safetensors file, with the tokenizer beside it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from mcq_service.model_store import int8_layout
from mcq_service.model_store.catalogue import GGUFWeights
from mcq_service.model_store.convert import int8_file, safetensors_file
from mcq_service.model_store.convert.gguf_file import GGUFModel
from mcq_service.model_store.convert.tensors import Json, Tensor
from mcq_service.model_store.errors import ConversionFailed
from mcq_service.model_store.precision import Precision
from mcq_service.model_store.sources import Fetched

WEIGHTS = "model.safetensors"

__all__ = ["WEIGHTS", "convert"]


def convert(
    fetched: Fetched, into: Path, precision: Precision, report: Callable[[float | None, str], None]
) -> None:
    """Write the model's config, tokenizer and weights into a directory. Raises ConversionFailed.

    Weights are converted piece by piece, so the conversion needs far less memory than the model.
    """
    report(0.0, "reading the weights' layout")
    tensors, config = (
        _from_gguf(fetched.weights[0], fetched.gguf, into)
        if fetched.gguf
        else _from_safetensors(fetched, into)
    )
    config.pop("torch_dtype", None)
    config["dtype"] = "float32" if precision == "int8" else precision
    (into / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    total = sum(tensor.size for tensor in tensors)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        report(done / total, f"{total / 1e9:.2f} billion weights to {precision}")

    if precision == "int8":
        int8_file.write(into / int8_layout.FILE, tensors, int8_layout.Shape.of(config), advance)
    else:
        safetensors_file.write(into / WEIGHTS, tensors, precision, advance)


def _from_gguf(weights: Path, gguf: GGUFWeights, into: Path) -> tuple[list[Tensor], Json]:
    model = GGUFModel(weights, gguf)
    for name, text in model.companions().items():
        (into / name).write_text(text)
    return model.tensors(), model.config()


def _from_safetensors(fetched: Fetched, into: Path) -> tuple[list[Tensor], Json]:
    for path in fetched.directory.iterdir():
        if path.suffix in {".json", ".jinja", ".txt"} and not path.name.endswith(".index.json"):
            shutil.copyfile(path, into / path.name)
    try:
        config: Json = json.loads((into / "config.json").read_bytes())
        tensors = [tensor for path in fetched.weights for tensor in safetensors_file.read(path)]
    except (OSError, ValueError, KeyError) as error:
        raise ConversionFailed(f"The model's files can't be read ({error}): fetch it again.") from error
    _require_complete(fetched.directory, {tensor.name for tensor in tensors})
    if config.get("tie_word_embeddings"):
        tensors = [tensor for tensor in tensors if tensor.name != "lm_head.weight"]
    return tensors, config


def _require_complete(directory: Path, names: set[str]) -> None:
    """Require every tensor in the index of a sharded model. Raises ConversionFailed."""
    for index in directory.glob("*.index.json"):
        listed: Json = json.loads(index.read_bytes())
        if missing := sorted(set(listed["weight_map"]) - names):
            raise ConversionFailed(
                f"The model's files lack {len(missing)} tensors, the first is {missing[0]}: fetch it again."
            )
