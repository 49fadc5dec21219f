// Copy to the clipboard, and build the curl command.

import { address, ANSWER } from "./client.js";

/** Copy text; return whether it worked. Without HTTPS there is no clipboard API, so use the old command. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

function copyBySelection(text) {
  const focused = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  focused?.focus();
  return copied;
}

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The request as a curl command. It uses a variable instead of the key. */
export function curl({ method = "POST", path = ANSWER, body, withKey = false }) {
  const lines = [`curl ${method === "GET" ? "" : `-X ${method} `}${quote(address(path))}`];
  if (withKey) lines.push('-H "Authorization: Bearer $MCQ_API_KEY"');
  if (body !== undefined) lines.push("-H 'Content-Type: application/json'", `-d ${quote(body)}`);
  return lines.join(" \\\n  ");
}
