// Connect the page's parts: one question, one request at a time.

import { ask, Refused } from "./client.js";
import { copy, curl } from "./copy.js";
import { announce, find, make } from "./dom.js";
import { EXAMPLES } from "./examples.js";
import { Form } from "./form.js";
import { fromFragment, toFragment } from "./fragment.js";
import { askForKey, key, storeKey, watchKey } from "./keys.js";
import { explain, ProblemBox } from "./problem.js";
import { NONE_OF_THESE, Result } from "./result.js";
import { ServiceWatch } from "./service.js";

const form = new Form({ changed: () => saveLink() });
const result = new Result();
const problems = new ProblemBox({ retry: () => submit() });
const watch = new ServiceWatch({ onService: applyService });
let running = null;

function applyService(service) {
  form.service = service;
  result.traceUrl = service.trace_url;
  if (service.default_mode && service.default_mode !== form.defaultMode) {
    form.defaultMode = service.default_mode;
    if (!fromFragment(location.hash)) form.mode = service.default_mode;
  }
}

function saveLink() {
  history.replaceState(null, "", toFragment(form.state) || location.pathname);
}

function openLink() {
  const state = fromFragment(location.hash);
  if (state) form.state = state;
}

async function submit() {
  if (running || !form.complete()) return;
  storeKey();
  saveLink();
  problems.clear();
  running = new AbortController();
  setRunning(true);
  const request = form.request();
  result.texts = request.none_of_these ? [...request.choices, NONE_OF_THESE] : request.choices;
  result.begin(request);
  showResult();
  try {
    for await (const event of ask(request, { key: key(), signal: running.signal })) result.take(event);
  } catch (error) {
    fail(error);
  } finally {
    running = null;
    setRunning(false);
  }
}

function fail(error) {
  if (running.signal.aborted) {
    result.halt("Stopped.");
    announce("Stopped.");
    return;
  }
  const explanation = explain(error, { hadKey: Boolean(key()) });
  result.halt("");
  const problem = error instanceof Refused ? error.problem : {};
  if (problem.status === 401) askForKey({ focus: true });
  if (problem.status === 503) watch.refresh();
  const errors = problem.errors ?? [];
  const others = form.point(errors);
  if (errors.length && !others.length) explanation.detail = "The form marks what to change.";
  problems.show(explanation, { others, retryAfter: error.retryAfter });
}

function setRunning(on) {
  const stop = find("stop");
  const hadFocus = document.activeElement === stop;
  find("ask").setAttribute("aria-disabled", String(on));
  stop.hidden = !on;
  if (!on && hadFocus) find("ask").focus();
}

/** On a narrow screen the answer is below the form: scroll to it. */
function showResult() {
  const { top } = find("result").getBoundingClientRect();
  if (top < innerHeight * 0.75 && top >= 0) return;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  find("result").scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
}

async function copyText(button, text) {
  const done = await copy(text);
  button.dataset.label ??= button.textContent;
  button.textContent = done ? "Copied" : "Not allowed";
  announce(done ? "Copied." : "The browser did not allow copying.");
  setTimeout(() => (button.textContent = button.dataset.label), 1600);
}

function listen() {
  find("form").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  find("stop").addEventListener("click", () => running?.abort());
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && running) running.abort();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      submit();
    }
  });
  find("copy-curl").addEventListener("click", ({ currentTarget }) => {
    copyText(currentTarget, curl({ body: JSON.stringify(form.request()), withKey: Boolean(key()) }));
  });
  find("copy-link").addEventListener("click", ({ currentTarget }) => {
    saveLink();
    copyText(currentTarget, location.href);
  });
  find("clear").addEventListener("click", () => {
    running?.abort();
    problems.clear();
    form.empty();
    result.idle();
    saveLink();
  });
  addEventListener("hashchange", openLink);
}

function listExamples() {
  for (const example of EXAMPLES) {
    const button = make("button", { type: "button" }, example.question.split("\n")[0]);
    button.addEventListener("click", () => {
      form.state = example;
      submit();
    });
    find("examples").append(make("li", {}, button));
  }
}

openLink();
listen();
listExamples();
watchKey(() => watch.refresh());
watch.refresh();
