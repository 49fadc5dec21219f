// Show the answer as it arrives: the choice, the bars, the reasoning, tokens and times.

import { announce, find, make } from "./dom.js";
import { percent, points, time, whole } from "./format.js";

export const NONE_OF_THESE = "None of these";
const WAITING = { answer: "Reading the question…", explain: "Reading the question…", reason: "Reasoning first…" };

export class Result {
  constructor() {
    this.panel = find("result");
    this.traceUrl = null;
  }

  /** Reset to the state before the first question. */
  idle() {
    find("idle").hidden = false;
    find("outcome").hidden = true;
    this.#busy(false);
  }

  begin({ mode, min_confidence: minimum }) {
    this.minimum = minimum;
    this.reasoning = "";
    this.decided = false;
    find("idle").hidden = true;
    find("outcome").hidden = false;
    find("outcome").dataset.mode = mode;
    find("bars").replaceChildren();
    find("facts").replaceChildren();
    find("reasoning").hidden = true;
    find("reasoning-text").textContent = "";
    this.#verdict({ kind: "waiting", label: "", text: WAITING[mode] ?? "…", sure: [] });
    this.#busy(true);
    announce("Asking.");
  }

  /** Show one event of the stream. */
  take({ event, data }) {
    if (event === "answer") this.#decide(data);
    else if (event === "reasoning") this.#reason(data.delta);
    else if (event === "done") this.#finish(data);
  }

  /** The request ended early: keep the received part, or reset. */
  halt(why) {
    this.#busy(false);
    if (!this.decided && !this.reasoning) this.idle();
    else if (!this.decided) this.#verdict({ kind: "", label: "", text: "No answer", sure: [why] });
  }

  #busy(busy) {
    this.panel.setAttribute("aria-busy", String(busy));
  }

  #decide(decision) {
    this.decided = true;
    if (decision.abstained) this.#abstain(decision);
    else if (decision.selected) this.#select(decision);
    else this.#choose(decision);
    this.#bars(decision);
  }

  #choose({ answer, none_of_these: none, probabilities, confidence, margin }) {
    const { label, text } = answer ?? { label: none.label, text: NONE_OF_THESE };
    const [, second] = ranked(probabilities);
    const ahead = second ? `, ${points(margin)} points ahead of ${second.label}` : "";
    this.#verdict({ kind: "filled", label, text, sure: [make("strong", {}, percent(confidence)), ` confident${ahead}`] });
    announce(`Answer ${label}: ${text}. ${percent(confidence)} confident.`);
  }

  /** Show all right choices; each was judged by itself. */
  #select({ selected, confidence }) {
    const text = selected.map(({ label, text }) => `${label}: ${text}`).join("\n") || NONE_OF_THESE;
    const least = `Each choice is judged by itself, the least certain one with ${percent(confidence)}.`;
    this.#verdict({ kind: "filled", label: whole(selected.length), text, sure: [least] });
    announce(`${whole(selected.length)} right. ${text}. ${least}`);
  }

  #abstain({ selected, probabilities, confidence }) {
    const minimum = this.minimum === undefined ? "this service’s minimum" : `the minimum of ${percent(this.minimum)}`;
    const [first] = ranked(probabilities);
    const least = selected ? "The least certain judgement has" : `${first.label} comes first with`;
    const sure = `${least} ${percent(confidence)}, below ${minimum}.`;
    this.#verdict({ kind: "abstained", label: "?", text: "Not sure enough to answer", sure: [sure] });
    announce(`No answer: not sure enough. ${sure}`);
  }

  #verdict({ kind, label, text, sure }) {
    find("verdict").replaceChildren(
      make("span", { className: `bubble ${kind}`, "aria-hidden": "true" }, label),
      make("p", { className: "text" }, label && kind === "filled" ? make("span", { className: "visually-hidden" }, `${label}: `) : "", text),
      make("p", { className: "sure" }, ...sure),
    );
  }

  #bars({ probabilities, answer, selected, none_of_these: none }) {
    const chosen = new Set([answer, ...(selected ?? []), none?.selected ? none : null].map((each) => each?.label));
    const rows = probabilities.map(({ label, probability }, index) => {
      const fill = make("div", { className: "fill" });
      const row = make(
        "li",
        { className: chosen.has(label) ? "chosen" : "" },
        make("span", { className: "label" }, label),
        make("span", { className: "text", title: this.texts[index] }, this.texts[index]),
        make("span", { className: "percent" }, percent(probability)),
        make("div", { className: "bar", "aria-hidden": "true" }, fill),
      );
      // In the next frame, so that the bar grows from zero.
      requestAnimationFrame(() => requestAnimationFrame(() => (fill.style.width = `${probability * 100}%`)));
      return row;
    });
    find("bars").replaceChildren(...rows);
  }

  #reason(delta) {
    this.reasoning += delta;
    find("reasoning").hidden = false;
    find("reasoning-text").append(delta);
  }

  #finish(answer) {
    if (!this.decided) this.#decide(answer);
    if (answer.reasoning) {
      find("reasoning").hidden = false;
      find("reasoning-text").textContent = answer.reasoning;
      announce(`${find("status").textContent} Reasoning: ${answer.reasoning}`);
    }
    this.#busy(false);
    this.#facts(answer);
  }

  #facts({ timings, usage, model, escalation, trace_id: trace }) {
    const rows = [
      ["Time", `${time(timings.answer_ms)} to the answer, ${time(timings.total_ms)} in all, ${time(timings.queue_ms)} of it waiting`],
      ["Tokens", `${whole(usage.prompt_tokens)} read (${whole(usage.cached_tokens)} from the cache), ${whole(usage.completion_tokens)} written`],
      ["Model", model],
    ];
    if (escalation) rows.push(["Asked first", `${escalation.first_model}, only ${percent(escalation.first_confidence)} confident`]);
    if (trace) rows.push(["Trace", this.#trace(trace)]);
    find("facts").replaceChildren(...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  }

  #trace(id) {
    const href = this.traceUrl?.replace("{trace_id}", encodeURIComponent(id));
    if (!/^https?:\/\//.test(href ?? "")) return make("span", { className: "id" }, id);
    return make("a", { className: "id", href, target: "_blank", rel: "noopener noreferrer" }, id);
  }
}

function ranked(probabilities) {
  return [...probabilities].sort((a, b) => b.probability - a.probability);
}
