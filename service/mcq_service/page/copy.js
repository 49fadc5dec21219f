// To the clipboard, and as a command.

import { address, ANSWER } from "./client.js";

/** Copy text; returns whether that worked. Without HTTPS there is no clipboard API, so the old way is kept. */
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

/** The request as a curl command. The key stays out of it: it is named, not shown. */
export function curl({ method = "POST", path = ANSWER, body, withKey = false }) {
  const lines = [`curl ${method === "GET" ? "" : `-X ${method} `}${quote(address(path))}`];
  if (withKey) lines.push('-H "Authorization: Bearer $MCQ_API_KEY"');
  if (body !== undefined) lines.push("-H 'Content-Type: application/json'", `-d ${quote(body)}`);
  return lines.join(" \\\n  ");
}
