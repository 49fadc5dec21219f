"""Score the service on an exam twice: by lm-evaluation-harness through /v1/completions, and by its own labels.

The harness knows nothing of this service: it sends prompt and label as tokens, lets the server echo them, and chooses
the label with the largest log-probability. The prompts equal those of mode `answer`. So its score must equal that of
/api/v1/mcq/answer without debiasing; a difference is an error in one of them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2
import yaml

from mcq_eval.dataset.exam_file import read_exams
from mcq_service.prompts import CHATML, Form, render

if TYPE_CHECKING:
    from mcq_eval.dataset.exam import ExamQuestion

TASK = "mcq_exam"
TIMEOUT_SECONDS = 900
BATCH = 16


class Scored(NamedTuple):
    """One question's result: the positions that the harness and the service chose, and the correct one."""

    id: str
    harness: int
    ours: int
    correct: int


def main() -> int:
    """Print both scores; exit with 1 if they differ by more than two questions."""
    arguments = _arguments()
    questions = [each for each in read_exams([arguments.exam]).questions if each.labels[0] == "A"][
        : arguments.limit
    ]
    with tempfile.TemporaryDirectory() as scratch:
        _write_task(Path(scratch), questions, _form(arguments.url))
        chosen = _harness(arguments, Path(scratch))
    scored = [
        Scored(each.id, harness, ours, each.answer)
        for each, harness, ours in zip(questions, chosen, _ours(arguments.url, questions), strict=True)
    ]
    return _report(scored)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/lm_eval/lm-eval", description=__doc__)
    parser.add_argument("exam", type=Path, help="a JSON Lines file of questions, as `evaluate` reads")
    parser.add_argument("--limit", type=int, help="the first N questions only")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="a running service (%(default)s)")
    parser.add_argument(
        "--tokenizer", type=Path, required=True, help="the prepared directory of the model it serves"
    )
    parser.add_argument("--harness", type=Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def _write_task(folder: Path, questions: list[ExamQuestion], form: Form) -> None:
    """Write a task of lm-evaluation-harness and its documents: our prompts, and labels with a leading space."""
    documents = folder / "documents.jsonl"
    with documents.open("w") as out:
        for each in questions:
            row = {
                "prompt": render(each.question, form).text,
                "letters": [f" {label}" for label in each.labels],
                "target": each.answer,
            }
            out.write(json.dumps(row) + "\n")
    task = {
        "task": TASK,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(documents)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "prompt",
        "doc_to_choice": "letters",
        "doc_to_target": "target",
        "target_delimiter": "",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    (folder / f"{TASK}.yaml").write_text(yaml.safe_dump(task))


def _form(url: str) -> Form:
    """Return the prompt form that the service uses."""
    service = httpx2.get(f"{url}/api/v1/service").raise_for_status().json()
    return CHATML.answer_form(service["identity"]["prompt_digest"])


def _harness(arguments: argparse.Namespace, folder: Path) -> list[int]:
    """Run the task in the folder; return the harness's most probable choice of each question."""
    model = {
        "model": httpx2.get(f"{arguments.url}/v1/models").raise_for_status().json()["data"][0]["id"],
        "base_url": f"{arguments.url}/v1/completions",
        "tokenizer": arguments.tokenizer,
        "tokenizer_backend": "huggingface",
        "tokenized_requests": True,
        "num_concurrent": 2,
        "max_retries": 1,
        "max_length": 4096,
        "timeout": TIMEOUT_SECONDS,
    }
    command = [
        arguments.harness / "venv/bin/lm_eval", "--model", "local-completions",
        "--model_args", ",".join(f"{name}={value}" for name, value in model.items()),
        "--tasks", TASK, "--include_path", folder, "--batch_size", "4",
        "--output_path", folder / "results", "--log_samples",
    ]  # fmt: skip
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "home")}
    subprocess.run([str(word) for word in command], check=True, env={**os.environ, **offline})
    [samples] = (folder / "results").rglob(f"samples_{TASK}_*.jsonl")
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    rows.sort(key=lambda row: row["doc_id"])
    return [_most_probable(row) for row in rows]


def _most_probable(row: dict[str, Any]) -> int:
    scores = [float(score) for [score, _] in row["filtered_resps"]]
    return scores.index(max(scores))


def _ours(url: str, questions: list[ExamQuestion]) -> list[int]:
    """Return the service's own most probable choice of each question, from its label scores without debiasing."""
    chosen: list[int] = []
    for first in range(0, len(questions), BATCH):
        asked = [
            {**each.question.model_dump(mode="json", exclude_none=True), "mode": "answer", "debias": "none",
             "min_confidence": 0}
            for each in questions[first : first + BATCH]
        ]  # fmt: skip
        response = httpx2.post(
            f"{url}/api/v1/mcq/answers", json={"questions": asked}, timeout=TIMEOUT_SECONDS
        )
        results = response.raise_for_status().json()["results"]
        chosen += [each["answer"]["answer"]["index"] for each in results]
    return chosen


def _report(scored: list[Scored]) -> int:
    by_harness = sum(each.harness == each.correct for each in scored)
    by_ours = sum(each.ours == each.correct for each in scored)
    print(f"lm-evaluation-harness  {by_harness}/{len(scored)}  {by_harness / len(scored):.4f}")
    print(f"letters, uncalibrated  {by_ours}/{len(scored)}  {by_ours / len(scored):.4f}")
    differing = [each for each in scored if each.harness != each.ours]
    print(f"another choice in {len(differing)}: {', '.join(each.id for each in differing) or 'none'}")
    return int(abs(by_harness - by_ours) > 2)


if __name__ == "__main__":
    sys.exit(main())
