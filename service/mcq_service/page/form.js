// The question form: read and fill it, split pasted blocks, show errors.

import { Choices, MIN_CHOICES } from "./choices.js";
import { announce, find, fit, mark } from "./dom.js";
import { split } from "./split.js";

const HINTS = {
  answer: "The choice and the probabilities only: the fastest.",
  explain: "The choice first, then the reasoning for it.",
  reason: "Reasoning first, then the choice: slower, better for questions that need several steps.",
};
const EMPTY = { question: "", choices: ["", "", "", ""] };
const ANY_NUMBER_IN_REASON = "Any number of right choices can’t be found in the mode Reason: choose another.";

export class Form {
  /** Calls `changed` after every change of the question. */
  constructor({ changed }) {
    this.changed = changed;
    this.defaultMode = "explain";
    this.question = find("question");
    this.choices = new Choices({ changed });
    this.fields = {
      question: this.question,
      context: find("context"),
      confidence: find("confidence"),
      tokens: find("tokens"),
    };
    this.undo = null;
    this.#listen();
    this.state = EMPTY;
  }

  #listen() {
    for (const [name, field] of Object.entries(this.fields)) {
      field.addEventListener("input", () => {
        this.#mark(name, null);
        this.changed();
      });
    }
    for (const area of [this.question, this.fields.context]) area.addEventListener("input", () => fit(area));
    for (const group of ["modes", "selects"]) {
      find(group).addEventListener("change", () => {
        this.#hint();
        mark(null, find("select-error"), null);
        this.changed();
      });
    }
    find("form").addEventListener("paste", (event) => this.#paste(event));
    find("pasted-undo").addEventListener("click", () => this.#undo());
  }

  /** The content of a link: the texts and the settings in their fields. */
  get state() {
    const select = checked("selects");
    return {
      question: this.question.value,
      choices: this.choices.texts,
      mode: checked("modes"),
      context: this.fields.context.value,
      select: select === "one" ? "" : select,
      confidence: find("confidence").value,
      tokens: find("tokens").value,
    };
  }

  set state({ question, choices, mode = "", context = "", select = "", confidence = "", tokens = "" }) {
    this.clearErrors();
    find("pasted").hidden = true;
    this.question.value = question;
    fit(this.question);
    this.choices.texts = choices;
    this.mode = mode || this.defaultMode;
    check("selects", select || "one");
    this.fields.context.value = context;
    find("confidence").value = confidence;
    find("tokens").value = tokens;
    if (context || select || confidence || tokens) find("options").open = true;
    fit(this.fields.context);
  }

  set mode(mode) {
    check("modes", mode);
    this.#hint();
  }

  /** Apply the service's limits. */
  set service({ modes, max_choices, max_reasoning_tokens }) {
    for (const radio of find("modes").querySelectorAll("input")) {
      radio.parentElement.hidden = !modes.includes(radio.value);
    }
    this.choices.max = max_choices;
    find("tokens").max = max_reasoning_tokens;
    find("tokens-hint").textContent = `1 to ${max_reasoning_tokens}; a word has about 1.3 tokens.`;
  }

  empty() {
    this.state = EMPTY;
    this.question.focus();
  }

  /** The request's body, without empty rows. */
  request() {
    const { question, mode, context, select, confidence, tokens } = this.state;
    const body = { question, choices: this.state.choices.filter((choice) => choice.trim()), mode };
    if (context.trim()) body.context = context;
    if (select === "all") body.select = "all";
    if (select === "none") body.none_of_these = true;
    if (confidence !== "") body.min_confidence = Number(confidence) / 100;
    if (tokens !== "") body.max_reasoning_tokens = Number(tokens);
    return body;
  }

  /** Return whether the form is complete; otherwise show what is missing and focus it. */
  complete() {
    this.clearErrors();
    this.choices.compact();
    const { question, choices, mode, select } = this.state;
    const missing = [];
    if (!question.trim()) missing.push(this.#mark("question", "Write a question."));
    if (choices.filter((choice) => choice.trim()).length < MIN_CHOICES) {
      mark(null, find("choices-error"), "Give at least two choices.");
      missing.push(this.choices.areas.find((area) => !area.value.trim()));
    }
    if (mode === "reason" && select === "all") missing.push(this.#markSelect(ANY_NUMBER_IN_REASON));
    missing[0]?.focus();
    return !missing.length;
  }

  clearErrors() {
    for (const name of Object.keys(this.fields)) this.#mark(name, null);
    this.choices.rows.forEach((_, index) => this.choices.mark(index, null));
    mark(null, find("choices-error"), null);
    mark(null, find("mode-error"), null);
    mark(null, find("select-error"), null);
  }

  /** Show the service's errors (`[{pointer, detail}]`) at their fields; return those without a field. */
  point(errors) {
    const unplaced = [];
    let first = null;
    for (const error of errors) {
      const place = this.#place(error);
      if (place === undefined) unplaced.push(error);
      first ??= place;
    }
    first?.focus();
    return unplaced;
  }

  #place({ pointer, detail }) {
    const text = `${detail.charAt(0).toUpperCase()}${detail.slice(1)}`.replace(/([^.!?])$/, "$1.");
    const [, field, index] = pointer.split("/");
    if (field === "question" || field === "context") return this.#mark(field, text);
    if (field === "select" || field === "none_of_these") return this.#markSelect(text);
    if (field === "min_confidence") return this.#mark("confidence", text);
    if (field === "max_reasoning_tokens") return this.#mark("tokens", text);
    if (field === "choices" && index !== undefined) return this.choices.mark(Number(index), text);
    if (field === "choices" || pointer === "") {
      mark(null, find("choices-error"), text);
      return this.choices.areas[0];
    }
    if (field === "mode") {
      mark(null, find("mode-error"), text);
      return find("modes").querySelector(":checked");
    }
    return undefined;
  }

  #mark(name, text) {
    if (text && name !== "question") find("options").open = true;
    mark(this.fields[name], find(`${name}-error`), text);
    return this.fields[name];
  }

  #markSelect(text) {
    find("options").open = true;
    mark(null, find("select-error"), text);
    return find("selects").querySelector(":checked");
  }

  #hint() {
    find("mode-hint").textContent = HINTS[checked("modes")];
  }

  #paste(event) {
    const area = event.target;
    if (!(area instanceof HTMLTextAreaElement)) return;
    const block = event.clipboardData.getData("text/plain");
    const parsed = split(block);
    if (!parsed) return;
    event.preventDefault();
    const before = this.state;
    const spliced = area.value.slice(0, area.selectionStart) + block + area.value.slice(area.selectionEnd);
    this.undo = { before, block: spliced, index: this.choices.areas.indexOf(area) };
    const around = area === this.question ? [area.value.slice(0, area.selectionStart), area.value.slice(area.selectionEnd)] : null;
    const question = around ? around[0] + parsed.question + around[1] : parsed.question || before.question;
    this.state = { ...before, question, choices: parsed.choices };
    const summary = `Split into a question and ${this.choices.rows.length} choices.`;
    find("pasted-text").textContent = summary;
    find("pasted").hidden = false;
    announce(summary);
    this.question.focus();
    this.changed();
  }

  /** Restore the pasted block. */
  #undo() {
    const { before, block, index } = this.undo;
    const choices = before.choices.map((choice, each) => (each === index ? block : choice));
    this.state = { ...before, question: index < 0 ? block : before.question, choices };
    (index < 0 ? this.question : this.choices.areas[index]).focus();
    this.changed();
  }
}

/** The value of a group's chosen radio button. */
function checked(group) {
  return find(group).querySelector(":checked").value;
}

function check(group, value) {
  const radio = [...find(group).querySelectorAll("input")].find((each) => each.value === value);
  if (radio) radio.checked = true;
}
