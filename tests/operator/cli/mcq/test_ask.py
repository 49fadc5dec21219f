"""`mcq ask` against a server that plays the documented responses."""

import asyncio
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.operator.cli.mcq.support import (
    DECISION,
    DELTAS,
    DONE,
    EXPLAINED,
    PROGRAM,
    QUESTION,
    SHOWN,
    Commands,
    problem,
    service,
)
from tests.operator.support import serving


async def test_the_answer_is_shown_with_the_probabilities_and_the_reasoning(commands: Commands) -> None:
    async with service(*EXPLAINED) as (asked, url):
        done = await commands.mcq("ask", "--url", url, "--mode", "explain", *QUESTION)
    assert done == (0, SHOWN, "")
    question, *choices = QUESTION
    assert asked.requests == [{"question": question, "choices": choices, "mode": "explain", "stream": True}]
    assert asked.keys == [None]


async def test_in_mode_reason_the_reasoning_comes_first(commands: Commands) -> None:
    async with service(*DELTAS, ("answer", DECISION), ("done", DONE)) as (_, url):
        done = await commands.mcq("ask", "--url", url, *QUESTION)
    decision, reasoning, summary = SHOWN.split("\n\n")
    assert done == (0, f"{reasoning}\n\n{decision}\n\n{summary}", "")


async def test_mode_answer_has_no_reasoning(commands: Commands) -> None:
    async with service(("answer", DECISION), ("done", DONE | {"reasoning": None})) as (_, url):
        done = await commands.mcq("ask", "--url", url, *QUESTION)
    decision, _, summary = SHOWN.split("\n\n")
    assert done == (0, f"{decision}\n\n{summary}", "")


async def test_the_summary_names_the_model_that_was_asked_first(commands: Commands) -> None:
    """Another solver answered."""
    escalation = {
        "answered_by": "http://large",
        "first_model": "small",
        "first_label": "A",
        "first_confidence": 0.41,
    }
    events = [*EXPLAINED[:-1], ("done", {**DONE, "escalation": escalation})]
    async with service(*events) as (_, url):
        done = await commands.mcq("ask", "--url", url, *QUESTION)
    assert done.stdout.endswith("1.50 s in all; asked first: small, 41.0% confident\n")


async def test_the_reasoning_is_written_as_it_comes(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(f"event: answer\ndata: {json.dumps(DECISION)}\n\n".encode())
        await response.write(b'event: reasoning\ndata: {"delta": "It has "}\n\n')
        async with asyncio.timeout(20):
            text = ""
            while not text.endswith("It has "):
                text += capsys.readouterr().out
                await asyncio.sleep(0.01)
        seen.set_result(text)
        await response.write(f"event: done\ndata: {json.dumps(DONE)}\n\n".encode())
        return response

    async with serving("/api/v1/mcq/answer", handle) as url:
        await commands.mcq("ask", "--url", url, *QUESTION)
    assert seen.result().startswith("B: Service\n")


async def test_an_abstention_has_its_own_exit_status(commands: Commands) -> None:
    abstained = {"answer": None, "abstained": True}
    async with service(("answer", DECISION | abstained), ("done", DONE | abstained)) as (_, url):
        done = await commands.mcq("ask", "--url", url, *QUESTION)
        document = await commands.mcq("ask", "--url", url, "-o", "json", *QUESTION)
    assert done.returncode == document.returncode == 3
    assert done.stdout.startswith(
        "The model abstained: its confidence in its best choice is only 75.0%.\n  A "
    )
    assert json.loads(document.stdout) == DONE | abstained


async def test_json_is_the_whole_response(commands: Commands) -> None:
    async with service(*EXPLAINED) as (_, url):
        done = await commands.mcq("ask", "--url", url, "-o", "json", *QUESTION)
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, DONE, "")


async def test_the_question_may_come_from_the_standard_input(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Two\nlines?"))
    async with service(*EXPLAINED) as (asked, url):
        await commands.mcq("ask", "--url", url, "-", "a", "b")
    assert asked.requests[0]["question"] == "Two\nlines?"


async def test_a_question_that_is_no_text_is_refused(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff"), encoding="utf-8"))
    done = await commands.mcq("ask", "-", "a", "b")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: can't read the question: ")


async def test_url_and_key_file_may_come_from_the_environment(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("a-key-of-16-chars\n")
    async with service(*EXPLAINED) as (asked, url):
        monkeypatch.setenv("MCQ_URL", f"{url}/")
        monkeypatch.setenv("MCQ_API_KEY_FILE", str(key))
        assert (await commands.mcq("ask", *QUESTION)).returncode == 0
    assert asked.keys == ["Bearer a-key-of-16-chars"]


async def test_a_missing_key_file_is_named(commands: Commands) -> None:
    done = await commands.mcq("ask", "--key-file", "/nowhere", *QUESTION)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: can't read the API key: [Errno 2] No such file or directory: '/nowhere'\n"


async def test_localhost_names_are_this_machine(commands: Commands) -> None:
    async with service(*EXPLAINED) as (_, url):
        done = await commands.mcq("ask", "--url", url.replace("127.0.0.1", "mcq.localhost"), *QUESTION)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (
            json.dumps(problem("The question can't be answered.")),
            "application/problem+json",
            "error: The question can't be answered.\n",
        ),
        ('{"detail": "Not Found"}', "application/json", "error: Not Found\n"),
        ("<html>no gateway</html>", "text/html", "answered with 422, text/html: <html>no gateway</html>\n"),
        ("[" * 10_000, "application/json", "answered with 422, application/json: [[["),
        (" " * 100_000, "text/plain", "the answer has more than 65536 bytes"),
        (r'{"detail": "\u001b[2Jgone"}', "application/json", "error: \\x1b[2Jgone\n"),
    ],
    ids=["problem", "other JSON", "HTML", "nested", "long", "terminal controls"],
)
async def test_a_problem_goes_to_the_standard_error(
    commands: Commands, body: str, content_type: str, message: str
) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=422, text=body, content_type=content_type)

    async with serving("/api/v1/mcq/answer", handle) as url:
        done = await commands.mcq("ask", "--url", url, *QUESTION)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([("problem", problem("The answer took too long."))], "error: The answer took too long.\n"),
        ([], "the service ended the answer before it was complete"),
        ([("done", {"model": 7})], "the service's answer can't be read: "),
        ([("done", [])], "the service's answer can't be read: "),
        ([("problem", {})], "the service's answer can't be read: "),
        ([("reasoning", {"delta": "x" * 2**20})], "the service's answer can't be read: "),
    ],
)
async def test_a_stream_that_fails_is_an_error(
    commands: Commands, events: list[tuple[str, Any]], message: str
) -> None:
    async with service(("answer", DECISION), ("unknown", {}), *events) as (_, url):
        done = await commands.mcq("ask", "--url", url, *QUESTION)
    assert done.returncode == 1
    assert message in done.stderr


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "ftp://x", "nonsense", "http://[", "http://127.0.0.1:99999"]
)
async def test_an_address_that_does_not_answer_is_named(commands: Commands, url: str) -> None:
    done = await commands.mcq("ask", "--url", url, *QUESTION)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {url} could not be asked: ")
    assert "Traceback" not in done.stderr


async def test_text_of_the_service_does_not_control_the_terminal(commands: Commands) -> None:
    choice = {"label": "B", "index": 1, "text": "\x1b[2J\nService"}
    events = [
        ("answer", DECISION | {"answer": choice}),
        ("reasoning", {"delta": "\x1b]0;title\x07"}),
        ("done", DONE | {"answer": choice, "model": "\x9b2J"}),
    ]
    async with service(*events) as (_, url):
        done = await commands.mcq("ask", "--url", url, *QUESTION)
        document = await commands.mcq("ask", "--url", url, "-o", "json", *QUESTION)
    for output in done.stdout, document.stdout:
        assert not {"\x1b", "\x07", "\x9b"} & set(output)


async def test_colours_are_for_terminals_only_and_can_be_switched_off(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with service(*EXPLAINED) as (_, url):
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        coloured = await commands.mcq("ask", "--url", url, *QUESTION)
        monkeypatch.setenv("NO_COLOR", "1")
        plain = await commands.mcq("ask", "--url", url, *QUESTION)
    assert "\x1b[1;32mB: Service\x1b[0m" in coloured.stdout
    assert plain.stdout == SHOWN


@pytest.mark.parametrize(
    "arguments", [("ask",), ("ask", "question"), ("ask", "q", "a", "--mode", "guess"), ()]
)
async def test_invalid_arguments_are_status_2(commands: Commands, arguments: tuple[str, ...]) -> None:
    done = await commands.mcq(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: mcq" in done.stderr


@pytest.mark.parametrize("arguments", [("ask", *QUESTION), ("completion", "bash")])
async def test_a_command_ends_silently_without_its_reader(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        async with service(*EXPLAINED) as (_, url):
            done = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-c", PROGRAM, *arguments],
                env={**os.environ, "MCQ_URL": url},
                stdout=writing,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
                timeout=60,
            )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
