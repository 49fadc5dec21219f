"""The files that a model consists of, wherever they lie, and the digest of its weights."""

import hashlib
import json
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


def digest(weights: dict[str, str]) -> str:
    """The digest of a model's weights: of the file, or of the list of its shards' digests, sorted by name.

    `weights` has the SHA-256 (hex) of each file.
    """
    if len(weights) == 1:
        return f"sha256:{next(iter(weights.values()))}"
    return f"sha256:{hashlib.sha256(json.dumps(weights, sort_keys=True).encode()).hexdigest()}"
