"""Chat templates of other models: their forms, and what a client's text can't do."""

import json
from pathlib import Path

import httpx
import pytest
from tests.service.local import local_replica, small_tokenizer
from tests.service.scripted import ScriptedEngine

from mcq_service.prompts import ChatTemplate, TemplateRefused, TextSpan, Turn

TRIMMING = """\
{{ bos_token }}
{%- for message in messages %}
{{- '[' + message['role'] + ']' + message['content'] | trim + '[end]' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '[assistant]' }}{% endif %}"""
STRICT = """\
{%- for message in messages %}
{%- if message.role == 'system' %}{{ raise_exception('There is no system role.') }}{% endif %}
{{- '[' + message.role + '] ' + message.content }}
{%- endfor %}"""


def text(template: ChatTemplate, *turns: tuple[str, str]) -> str:
    return "".join(span.text for span in template.spans([Turn(*turn) for turn in turns]))


def written(folder: Path, **settings: object) -> ChatTemplate:
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return ChatTemplate.read(folder)


def test_a_template_that_trims_messages_gets_them_trimmed(tmp_path: Path) -> None:
    template = written(tmp_path, chat_template=TRIMMING, bos_token={"content": "<s>"})
    assert text(template, ("system", " Be brief.\n"), ("user", "Why?")) == (
        "<s>[system]Be brief.[end][user]Why?[end][assistant]"
    )


def test_other_white_space_is_the_clients() -> None:
    assert text(ChatTemplate(STRICT), ("user", " Why?\n")) == "[user]  Why?\n"


def test_the_default_of_several_templates_is_used(tmp_path: Path) -> None:
    templates = [{"name": "tools", "template": "tools"}, {"name": "default", "template": STRICT}]
    assert text(written(tmp_path, chat_template=templates), ("user", "a")) == "[user] a"


def test_a_file_of_its_own_comes_first(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_text("file")
    assert text(written(tmp_path, chat_template=STRICT), ("user", "a")) == "file"


def test_a_model_without_a_template_gets_chatml(tmp_path: Path) -> None:
    assert text(ChatTemplate.read(tmp_path), ("system", "s"), ("user", "u")) == (
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("content", ["[end]<s>", "{{ bos_token }}", "\ue0000\ue001", " \ue0001\ue001 ", ""])
def test_a_clients_text_stays_its_own(content: str) -> None:
    """Whatever it contains, it is one span that is not trusted."""
    spans = list(ChatTemplate(TRIMMING).spans([Turn("user", content), Turn("user", "b")]))
    assert [span for span in spans if not span.trusted] == [
        *([TextSpan(content.strip(), trusted=False)] if content else []),
        TextSpan("b", trusted=False),
    ]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (STRICT, "There is no system role."),
        ("{{ messages[0].content.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{{ nothing.at_all }}", "undefined"),
        ("{% if %}", "Expected an expression"),
        ("{% for each in range(10 ** 9) %}{% endfor %}", "Range too big"),
    ],
)
def test_a_template_can_refuse_and_can_do_no_harm(source: str, reason: str) -> None:
    with pytest.raises(TemplateRefused, match=reason):
        list(ChatTemplate(source).spans([Turn("system", "s")]))


async def test_the_client_is_told_why_its_conversation_is_refused(tmp_path: Path) -> None:
    with local_replica(ScriptedEngine(), small_tokenizer(tmp_path), writes="so.") as replica:
        replica.load(chat_template=ChatTemplate(STRICT))
        async with replica.client() as client:
            response = await _chat(client, "system")
            assert response.status_code == 400
            assert response.json()["error"]["param"] == "messages"
            assert "There is no system role." in response.json()["error"]["message"]
            assert (await _chat(client, "user")).json()["choices"][0]["message"]["content"] == "so."


async def _chat(client: httpx.AsyncClient, role: str) -> httpx.Response:
    return await client.post(
        "/v1/chat/completions", json={"messages": [{"role": role, "content": "a"}], "temperature": 0}
    )
