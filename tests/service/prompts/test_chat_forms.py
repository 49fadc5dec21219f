"""The forms of questions in other models' chat templates."""

from datetime import UTC, datetime

import pytest

from mcq_service.api.mcq.question_schemas import Question
from mcq_service.prompts import CHATML, ChatTemplate, Forms, render

DATED = """\
{{- bos_token }}{{- '[system]Date: ' + strftime_now('%d %b %Y') + '. ' }}
{%- if messages[0].role == 'system' %}{{- messages[0].content | trim }}{% set messages = messages[1:] %}{% endif %}
{%- for message in messages %}{{- '[' + message.role + ']' + message.content | trim }}{% endfor %}
{%- if add_generation_prompt %}{{- '[assistant]' }}{% endif %}"""
"""As of Llama 3: the date is in the system's turn, and turns are trimmed."""
WITHOUT_SYSTEM = """\
{{- bos_token }}
{%- for message in messages %}
{%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate.') }}{% endif %}
{%- set role = 'model' if message.role == 'assistant' else message.role %}
{{- '<turn>' + role + '\n' + message.content | trim + '</turn>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<turn>model\n' }}{% endif %}"""
"""As of Gemma: roles alternate, beginning with the user."""
SYSTEM_LAST = """\
{%- if messages[0].role == 'system' %}
{%- set system, messages = messages[0].content + '\n\n', messages[1:] %}
{%- endif %}
{{- bos_token }}
{%- for message in messages %}
{%- if message.role == 'user' %}
{{- '[INST] ' + (system if loop.last and system is defined else '') + message.content + '[/INST]' }}
{%- else %}{{- ' ' + message.content | trim + eos_token }}{% endif %}
{%- endfor %}"""
"""As of Mistral 7B: the system's text is in the last user's turn."""
THINKING = """\
{%- for message in messages %}
{%- set content = message.content %}
{%- if message.role == 'assistant' %}{% set content = content.split('</think>')[-1].lstrip('\n') %}{% endif %}
{{- '<' + message.role + '>' + content + '</>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<assistant>' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think></think>' }}{% endif %}{% endif %}"""
"""As of Qwen 3: an empty thought comes before the reply."""
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
EXAMPLE = "Which planet is known as the Red Planet?\n\nA) Venus\nB) Jupiter\nC) Mars\nD) Saturn"
QUESTION = Question.model_validate(
    {
        "question": "Which is a fruit?",
        "choices": ["stone", "apple"],
        "examples": [{"question": "Which barks?", "choices": ["cat", "dog"], "answer": "B"}],
    }
)


def forms(source: str) -> Forms:
    return Forms(ChatTemplate(source, tokens=TOKENS), beginning="<s>")


def prompt(source: str) -> tuple[str, str]:
    """Return a prompt in mode explain: up to our own worked example's question, and from there."""
    before, example, after = render(QUESTION, forms(source).answer_first).text.partition(EXAMPLE)
    assert example, before
    return before, after


REPLY = (
    'answer: C\nreasoning: "Mars looks red because iron oxide, which is rust, covers its surface; the others are not '
    'red."'
)


def test_a_date_in_the_template_is_constant() -> None:
    """A calibration belongs to the prompt, and must be valid tomorrow."""
    before, after = prompt(DATED)
    assert before.startswith("<s>[system]Date: 26 Jul 2024. You answer multiple-choice questions.")
    assert before.endswith("[user]")
    assert after == (
        f"[assistant]{REPLY}[user]Which barks?\n\nA) cat\nB) dog[assistant]answer: B[user]"
        "Which is a fruit?\n\nA) stone\nB) apple[assistant]answer:"
    )
    today = datetime.now(UTC).strftime("%d %b %Y")
    assert today not in render(QUESTION, forms(DATED).reasoning_first).text


def test_without_a_role_for_the_system_its_text_is_in_the_first_turn() -> None:
    before, after = prompt(WITHOUT_SYSTEM)
    assert before.startswith("<s><turn>user\nYou answer multiple-choice questions.")
    assert before.endswith("are not.\n\n")
    assert after.startswith(f"</turn>\n<turn>model\n{REPLY}</turn>\n<turn>user\nWhich barks?")
    assert after.endswith(
        "</turn>\n<turn>user\nWhich is a fruit?\n\nA) stone\nB) apple</turn>\n<turn>model\nanswer:"
    )


def test_a_systems_text_that_moves_to_the_last_turn_is_there_once() -> None:
    before, after = prompt(SYSTEM_LAST)
    assert before == "<s>[INST] "
    assert after.startswith(f"[/INST] {REPLY}</s>[INST] You answer multiple-choice questions.")
    assert after.endswith(
        "Which barks?\n\nA) cat\nB) dog[/INST] answer: B</s>[INST] Which is a fruit?\n\nA) stone\nB) apple[/INST]"
        "answer:"
    )
    assert after.count("You answer") == 1


def test_the_model_does_not_think_before_the_letter() -> None:
    _, after = prompt(THINKING)
    assert after.endswith("</><assistant><think></think>answer:")
    assert "<assistant>answer: B</>" in after


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception('No.') }}",
        "{{ messages[0].content }}",
        "{% for message in messages %}{{ message.content }}{{ message.content }}{% endfor %}",
        "{% for message in messages | reverse %}{{ message.content }}{% endfor %}",
    ],
)
def test_a_template_that_is_no_conversation_is_replaced_by_chatml(source: str) -> None:
    chatml = CHATML.answer_first
    assert forms(source).answer_first == chatml._replace(prefix=f"<s>{chatml.prefix}")


@pytest.mark.parametrize("source", [DATED, WITHOUT_SYSTEM, SYSTEM_LAST, THINKING])
def test_a_conversation_has_the_token_at_its_beginning_once(source: str) -> None:
    """A template need not write it."""
    prefix = forms(source).answer_first.prefix
    assert prefix.startswith("<s>")
    assert prefix.count("<s>") == 1


def test_plain_forms_begin_as_the_models_texts_do() -> None:
    """The token changes their digests."""
    for name, form in forms(DATED).answering.items():
        assert form.prefix.startswith("<s>"), name
        assert form.prefix.count("<s>") == 1
        assert forms(DATED).answer_form(form.digest) == form
        with pytest.raises(KeyError):
            CHATML.answer_form(form.digest)
    assert forms(DATED).answer_form(None) == forms(DATED).answer_first
