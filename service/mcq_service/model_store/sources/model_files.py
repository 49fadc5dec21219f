"""The files that a model consists of, wherever they lie, and the digest of all of them."""

import hashlib
import re

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
"""Lists the shards of a model that is not one file."""
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
"""Those beside the weights, of which only CONFIG is in every model."""


def is_weights(name: str) -> bool:
    """Whether a file holds tensors."""
    return name.endswith(".safetensors")


def digest(sums: dict[str, str]) -> str:
    """The digest of a model: of its one file, or of what `sha256sum` prints of its files, sorted by name.

    `sums` has the SHA-256 (hex) of each file: another config or tokenizer makes another model of the same weights.
    """
    if len(sums) == 1:
        return f"sha256:{next(iter(sums.values()))}"
    listed = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    return f"sha256:{hashlib.sha256(listed.encode()).hexdigest()}"
