// Try an operation: the request, the curl command, and the response.

import { address } from "./client.js";
import { copy, curl } from "./copy.js";
import { announce, fit, make } from "./dom.js";
import { askForKey, key } from "./keys.js";

/** A disclosure for one operation; `body` is an example, undefined if the operation has no body. */
export function tryIt({ verb, path, parameters, body }) {
  const method = verb.toUpperCase();
  const text = body === undefined ? undefined : JSON.stringify(body, null, 2);
  const area = make("textarea", { className: "body", spellcheck: false, value: text ?? "", "aria-label": `Body of ${method} ${path}` });
  const command = make("pre", { tabIndex: 0 });
  const answer = make("div");
  const inputs = parameters
    .filter((each) => each.in === "path")
    .map(({ name }) => make("input", { type: "text", name, spellcheck: false, "aria-label": `${name} of ${method} ${path}` }));
  const request = () => ({ method, path: filled(path, inputs), body: text === undefined ? undefined : area.value });
  const show = () => (command.textContent = curl({ ...request(), withKey: Boolean(key()) }));
  area.addEventListener("input", () => {
    fit(area);
    show();
  });
  for (const each of inputs) each.addEventListener("input", () => show());
  const send = make("button", { type: "button", className: "primary" }, "Send");
  send.addEventListener("click", () => {
    show();
    run(request(), answer);
  });
  const copyButton = make("button", { type: "button", className: "link" }, "Copy as curl");
  copyButton.addEventListener("click", async () => {
    show();
    announce((await copy(command.textContent)) ? "Copied." : "The browser did not allow copying.");
  });
  show();
  return make(
    "details",
    { className: "try" },
    make("summary", {}, "Try it"),
    ...inputs.flatMap((each) => [make("p", { className: "caption" }, each.name), each]),
    ...(text === undefined ? [] : [make("p", { className: "caption" }, "Body"), area]),
    make("p", { className: "caption" }, "The same with curl"),
    command,
    make("div", { className: "try-actions" }, send, copyButton),
    answer,
  );
}

/** The path with the values of its parameters; a slash in one stays. */
function filled(path, inputs) {
  return inputs.reduce(
    (whole, { name, value }) => (value ? whole.replace(`{${name}}`, () => encodeURIComponent(value).replaceAll("%2F", "/")) : whole),
    path,
  );
}

async function run({ method, path, body }, answer) {
  const headers = key() ? { Authorization: `Bearer ${key()}` } : {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  answer.replaceChildren(make("p", { className: "caption" }, "Waiting…"));
  const started = performance.now();
  try {
    const response = await fetch(address(path), { method, headers, body });
    const text = await response.text();
    const took = Math.round(performance.now() - started);
    if (response.status === 401) askForKey({ focus: true });
    const summary = `${response.status} ${response.statusText} in ${took} ms`;
    announce(summary);
    answer.replaceChildren(make("p", { className: "caption" }, summary), make("pre", { tabIndex: 0 }, pretty(text)));
  } catch {
    answer.replaceChildren(make("p", { className: "error" }, "The service can’t be reached."));
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
