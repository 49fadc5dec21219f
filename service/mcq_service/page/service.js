// The service's description; fetched again until the service is ready.

import { describe, Refused } from "./client.js";
import { find } from "./dom.js";
import { day, points, whole } from "./format.js";
import { askForKey, key } from "./keys.js";

const POLL_MS = 2000;

function examSentence({ name, accuracy, ci95: [low, high], count, sat }) {
  const interval = `${points(low)} to ${points(high)} %`;
  return `In its last exam, “${name}” on ${day(sat)}, it answered ${points(accuracy)} % of ${whole(count)} questions correctly (95 %: ${interval}).`;
}

export class ServiceWatch {
  /** Calls `onService` with each description of the service. */
  constructor({ onService }) {
    this.onService = onService;
    this.timer = null;
  }

  async refresh() {
    clearTimeout(this.timer);
    try {
      const service = await describe({ key: key() });
      this.onService(service);
      find("exam").textContent = service.exam ? examSentence(service.exam) : "";
      if (service.ready) this.#show("ready", service.model);
      else this.#wait(service);
    } catch (error) {
      if (error instanceof Refused && error.problem.status === 401) {
        askForKey();
        this.#show("", key() ? "The API key is not accepted" : "An API key is needed");
      } else {
        this.#show("down", "Not reachable");
        this.#schedule();
      }
    }
  }

  #wait({ status, detail, progress }) {
    const share = progress === null ? "" : ` ${Math.round(progress * 100)}%`;
    const failed = status === "failed" || status === "draining";
    this.#show(failed ? "down" : "", `${status[0].toUpperCase()}${status.slice(1)}${share}: ${detail}`);
    this.#schedule();
  }

  #schedule() {
    this.timer = setTimeout(() => this.refresh(), POLL_MS);
  }

  #show(state, text) {
    find("service").dataset.state = state;
    find("service-text").textContent = text;
    find("service-text").title = text;
  }
}
