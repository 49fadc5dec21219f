// A client of the service's API.
//
// ServiceError
// ├── Refused      the service answered with a problem, at once or after a part of the answer
// └── Unreachable  there was no answer, or it was incomplete

import { events } from "./sse.js";

export const ANSWER = "/api/v1/mcq/answer";

/** The URL of a service path, below the prefix that this script was loaded from. */
export const address = (path) => new URL(`..${path}`, import.meta.url).href;

export class ServiceError extends Error {}

/** `problem`: the RFC 9457 body; `retryAfter`: seconds, or null; `partial`: a part of the answer arrived before. */
export class Refused extends ServiceError {
  constructor(problem, { retryAfter = null, partial = false } = {}) {
    super(problem.title);
    Object.assign(this, { problem, retryAfter, partial });
  }
}

export class Unreachable extends ServiceError {
  constructor({ partial = false } = {}) {
    super("The connection was lost");
    this.partial = partial;
  }
}

/** Fetch the service's description. */
export async function describe({ key, signal } = {}) {
  const response = await send("/api/v1/service", { headers: headers(key), signal });
  return response.json();
}

/** Ask a question; yield `{event, data}`: answer, reasoning, and finally done. Throws ServiceError or AbortError. */
export async function* ask(question, { key, signal }) {
  const response = await send(ANSWER, {
    method: "POST",
    headers: { ...headers(key), "Content-Type": "application/json", Accept: "text/event-stream" },
    body: JSON.stringify({ ...question, stream: true }),
    signal,
  });
  let partial = false;
  try {
    for await (const { event, data } of events(response.body)) {
      if (event === "problem") throw new Refused(JSON.parse(data), { partial });
      yield { event, data: JSON.parse(data) };
      partial = true;
      if (event === "done") return;
    }
  } catch (error) {
    if (error instanceof ServiceError || signal.aborted) throw error;
    throw new Unreachable({ partial });
  }
  throw new Unreachable({ partial });
}

async function send(path, options) {
  let response;
  try {
    response = await fetch(address(path), options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Unreachable();
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

function headers(key) {
  return key ? { Authorization: `Bearer ${key}` } : {};
}

async function refusal(response) {
  const retryAfter = seconds(response.headers.get("Retry-After"));
  const media = response.headers.get("Content-Type") ?? "";
  // A proxy in front of the service sends its own page, which is not for people.
  const body = media.includes("json") ? await response.json().catch(() => null) : null;
  const { status } = response;
  return new Refused({ type: "about:blank", title: "", detail: "", ...body, status }, { retryAfter });
}

/** Retry-After is a number of seconds or a date. */
function seconds(value) {
  if (value === null) return null;
  const number = /^\s*\d+\s*$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(number) ? Math.max(0, Math.ceil(number)) : null;
}
