"""The default model, with its sizes and digests."""

from dataclasses import dataclass

DEFAULT_REPOSITORY = "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF"
DEFAULT_URI = f"hf://{DEFAULT_REPOSITORY}"
DEFAULT_REVISION = "f86cb2c1fa58255f8052cc32aeede1b7482d4361"


@dataclass(frozen=True)
class GGUFWeights:
    """A quantised model in one GGUF file, which contains its configuration and tokenizer; `size` is in bytes.

    `tied` says that the output matrix is the embedding; a quantised file may still contain it twice, in two qualities.
    `vocabulary` and `merges` are the SHA-256 of the model's own vocab.json and merges.txt.
    """

    file: str
    size: int
    sha256: str
    parameters: int
    tied: bool
    vocabulary: str
    merges: str

    @property
    def digest(self) -> str:
        """The file's digest, in the form of manifests and references."""
        return f"sha256:{self.sha256}"


QWEN_CODER_GGUF = GGUFWeights(
    file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    size=1_117_320_768,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    parameters=1_543_714_304,
    tied=True,
    vocabulary="ca10d7e9fb3ed18575dd1e277a2579c16d108e32f27439684afa0e10b1440910",
    merges="599bab54075088774b1733fde865d5bd747cbcc7a547c5bc12610e874e26f5e3",
)
