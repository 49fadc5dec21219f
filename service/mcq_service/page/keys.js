// The API key: asked for only where the service wants one, and kept until the tab is closed.

import { find } from "./dom.js";

const NAME = "mcq-api-key";

export const key = () => sessionStorage.getItem(NAME) ?? "";

/** Show the field; `changed` is called when a key was entered. */
export function askForKey({ focus = false } = {}) {
  const field = find("key-field");
  field.hidden = false;
  if (focus) find("key").focus();
}

export function watchKey(changed) {
  const input = find("key");
  input.value = key();
  input.addEventListener("change", () => {
    keep();
    changed();
  });
}

/** Take over what is in the field: a form can be sent before the field has lost the focus. */
export function keep() {
  const value = find("key").value.trim();
  if (value) sessionStorage.setItem(NAME, value);
  else sessionStorage.removeItem(NAME);
}
