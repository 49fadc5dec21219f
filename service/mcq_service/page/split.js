// Takes a pasted block apart: "Question … A) … B) …" into the question and its choices.

// How a choice can be marked, strictest first. `inline`: so many choices make it believable in the middle of a line.
const FORMS = [
  { mark: "\\(([A-Z])\\)", inline: 2 },
  { mark: "([A-Z])\\)", inline: 2 },
  { mark: "([A-Z])[.:]", inline: 3 },
  { mark: "\\(([a-z])\\)", inline: 2 },
  { mark: "([a-z])\\)", inline: 2 },
  { mark: "([a-z])[.:]", inline: Infinity },
];
const LINE_START = "(?:^|\\n)[ \\t]*(?:[-*•][ \\t]+)?";
const ANYWHERE = "(?:^|\\s)";

/** `{question, choices}` of a block with two or more choices marked A, B, …; null where there are none. */
export function split(block) {
  const text = block.replace(/\r\n?/g, "\n").trim();
  let best = null;
  for (const form of FORMS) {
    const lines = run(text, new RegExp(`${LINE_START}${form.mark}(?=\\s)`, "g"), 2);
    const found = lines ?? run(text, new RegExp(`${ANYWHERE}${form.mark}(?=\\s)`, "g"), form.inline);
    if (found && (!best || found.length > best.length)) best = found;
  }
  return best && parts(text, best);
}

/** The longest run of marks A, B, C … in this order; of equals the last, since examples come before the choices. */
function run(text, pattern, least) {
  const marks = [...text.matchAll(pattern)].map((match) => ({
    place: match[1].toUpperCase().charCodeAt(0) - 65,
    from: match.index,
    to: match.index + match[0].length,
  }));
  let best = null;
  marks.forEach((mark, start) => {
    if (mark.place !== 0) return;
    const found = [mark];
    for (const next of marks.slice(start + 1)) {
      if (next.place === found.length) found.push(next);
    }
    if (found.length >= least && (!best || found.length >= best.length)) best = found;
  });
  return best;
}

function parts(text, marks) {
  const question = text.slice(0, marks[0].from).replace(/^(?:question|q)\s*\d*\s*[:.)]\s*/i, "").trim();
  const choices = marks.map(({ to }, index) => text.slice(to, marks[index + 1]?.from).trim());
  // A solution below the last choice is none of it.
  choices.push(choices.pop().replace(/\n\s*(?:correct )?answer\s*:?[^\n]*$/i, "").trim());
  return choices.every(Boolean) ? { question, choices } : null;
}
