// The API key: requested only if the service needs one, and kept until the tab closes.

import { find } from "./dom.js";

const NAME = "mcq-api-key";

export const key = () => sessionStorage.getItem(NAME) ?? "";

/** Show the field for the key. */
export function askForKey({ focus = false } = {}) {
  const field = find("key-field");
  field.hidden = false;
  if (focus) find("key").focus();
}

/** Call `changed` when a key is entered. */
export function watchKey(changed) {
  const input = find("key");
  input.value = key();
  input.addEventListener("change", () => {
    storeKey();
    changed();
  });
}

/** Store the field's value. Call it before each request, too: a form can be sent before the field loses the focus. */
export function storeKey() {
  const value = find("key").value.trim();
  if (value) sessionStorage.setItem(NAME, value);
  else sessionStorage.removeItem(NAME);
}
