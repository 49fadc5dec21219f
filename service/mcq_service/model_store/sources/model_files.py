"""The names of a model's files, the same in every source, and the digest of all files."""

import hashlib
import re

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
"""The file that lists the shards, if a model has several."""
SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
COMPANIONS = {
    CONFIG,
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
}
"""The files beside the weights; only CONFIG is in every model."""


def is_weights(name: str) -> bool:
    """Return whether a file holds tensors."""
    return name.endswith(".safetensors")


def digest(sums: dict[str, str]) -> str:
    """Return a model's digest: of its only file, or of the output of `sha256sum` for its files, sorted by name.

    `sums` has the SHA-256 (hex) of each file. So the same weights with another config or tokenizer are another model.
    """
    if len(sums) == 1:
        return f"sha256:{next(iter(sums.values()))}"
    listed = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    return f"sha256:{hashlib.sha256(listed.encode()).hexdigest()}"
