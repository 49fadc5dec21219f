// Explain a problem to people, and what they can do.

import { Refused, Unreachable } from "./client.js";
import { find, make } from "./dom.js";

const FIELDS = { title: "", detail: "", again: false };

/** `{title, detail, again}` of a ServiceError; `again`: the same question may work later. */
export function explain(error, { hadKey = false } = {}) {
  if (error instanceof Unreachable) {
    return error.partial
      ? { title: "The connection was lost", detail: "The answer was cut off; the part that arrived is below.", again: true }
      : { title: "The service can’t be reached", detail: "Check the connection, then ask again.", again: true };
  }
  if (error instanceof Refused) return refused(error, hadKey);
  return { ...FIELDS, title: "This page failed", detail: String(error) };
}

function refused({ problem, partial }, hadKey) {
  const { status, title, detail } = problem;
  if (partial) return { title: "The answer was cut off", detail: `${title}. ${detail}`, again: true };
  switch (status) {
    case 401:
      return hadKey
        ? { ...FIELDS, title: "This API key is not accepted", detail: "Check it, and ask again." }
        : { ...FIELDS, title: "An API key is needed", detail: "Enter it below the question, and ask again." };
    case 413:
      return { ...FIELDS, title: "The question is too long", detail: detail || "Shorten it, and ask again." };
    case 422:
      return { ...FIELDS, title: "The question can’t be answered as it stands", detail };
    case 429:
      return { title: "The service is busy", detail: "Too many questions are waiting already.", again: true };
    case 503:
      return { title: title || "The service is not available", detail: detail || "It may be starting.", again: true };
    case 504:
      return { title: "The answer took too long", detail: detail || "The service is too busy.", again: true };
    default:
      return { title: title || `The service failed (${status})`, detail: detail || "It did not say why.", again: status >= 500 };
  }
}

/** Shows one problem at a time, with a button to retry. */
export class ProblemBox {
  /** `retry` asks the same question again. */
  constructor({ retry }) {
    this.retry = retry;
    this.timer = null;
  }

  clear() {
    clearInterval(this.timer);
    find("problem").replaceChildren();
  }

  /** `others`: errors without a field; `retryAfter`: seconds to wait before a retry. */
  show({ title, detail, again }, { others = [], retryAfter = null } = {}) {
    this.clear();
    const parts = [make("h3", {}, title)];
    if (detail && !others.length) parts.push(make("p", {}, detail));
    if (others.length) parts.push(make("ul", {}, ...others.map((each) => make("li", {}, `${each.pointer}: ${each.detail}`))));
    find("problem").replaceChildren(...parts);
    if (again) this.#offer(retryAfter);
  }

  #offer(seconds) {
    const button = make("button", { type: "button", className: "link" }, "Try again");
    button.addEventListener("click", this.retry);
    if (!seconds) {
      find("problem").append(button);
      return;
    }
    // Announced once to screen readers; the screen shows a countdown.
    const clock = make("span", { "aria-hidden": "true" });
    const end = Date.now() + seconds * 1000;
    const wait = make("p", {}, make("span", { className: "visually-hidden" }, `Try again in ${seconds} seconds.`), clock);
    const tick = () => {
      const left = Math.ceil((end - Date.now()) / 1000);
      clock.textContent = `Try again in ${left} s.`;
      if (left > 0) return;
      clearInterval(this.timer);
      wait.replaceWith(button);
    };
    find("problem").append(wait);
    tick();
    this.timer = setInterval(tick, 250);
  }
}
