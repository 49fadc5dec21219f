// Split a pasted block "Question … A) … B) …" into the question and its choices.

// Marks of choices, the strictest first. At the beginning of a line, `head` follows the mark; inside a line, `after`.
// `inline`: the number of choices from which on marks inside lines count.
const ANYTHING = "(?=\\s*\\S)";
const SPACE = "(?=\\s)";
const FORMS = [
  { mark: "[(（]([A-Z])[)）]", inline: 2, head: ANYTHING, after: ANYTHING },
  { mark: "([A-Z])[)）]", inline: 2, head: ANYTHING, after: ANYTHING },
  { mark: "([A-Z])[．：、]", inline: 2, head: ANYTHING, after: ANYTHING },
  { mark: "([A-Z])[.:]", inline: 3, head: ANYTHING, after: SPACE },
  { mark: "[(（]([a-z])[)）]", inline: 2, head: ANYTHING, after: SPACE },
  { mark: "([a-z])[)）]", inline: 2, head: ANYTHING, after: SPACE },
  { mark: "([a-z])[.:]", inline: Infinity, head: SPACE, after: SPACE },
];
const WORD = "(?:(?:[Oo]ption|[Cc]hoice|[Aa]nswer|OPTION|CHOICE|ANSWER)[ \\t]+)?";
const LINE_START = `(?:^|\\n)[ \\t]*(?:[-*•][ \\t]+)?${WORD}`;
const ANYWHERE = `(?:^|\\s|(?<=[^\\x00-\\x7f]))${WORD}`;
const SENTENCE_END = /(?:[?!:;…。？！：；]|\w{4,}\.)["'”’)\]]*$/;
// The part after the choices in books and data sets, to the end of the block.
const SOLUTION = new RegExp(
  "\\n[ \\t]*(?:(?:(?:the )?correct (?:answer|option|choice)|answers?|ans|key|solution|explanation|rationale|reasoning|hint)" +
    "(?:\\s*[:：]| is | *\\(?[A-Z]\\)?\\.?\\s*$)|答案|解析|解释)[^]*$",
  "i",
);
const INLINE_SOLUTION = /\s(?:correct )?answer\s*[:：]\s*\(?[A-Z]\)?\.?\s*$/i;

/** `{question, choices}` of a block with two or more choices marked A, B, …; null without choices. */
export function split(block) {
  const text = block.replace(/\r\n?/g, "\n").trim();
  let best = null;
  for (const { mark, inline, head, after } of FORMS) {
    const lines = run(text, new RegExp(`${LINE_START}${mark}${head}`, "g"), 2, () => true);
    const marks = lines ?? run(text, new RegExp(`${ANYWHERE}${mark}${after}`, "g"), inline, (inside) => beginChoices(text, inside));
    if (marks && (!best || marks.length > best.length)) best = marks;
  }
  return best && parts(text, best);
}

/** The longest run of marks A, B, C … that `accepts` accepts; the last of equals, because examples come before choices. */
function run(text, pattern, min, accepts) {
  const marks = [...text.matchAll(pattern)].map((match) => ({
    place: match[1].toUpperCase().charCodeAt(0) - 65,
    from: match.index,
    to: match.index + match[0].length,
  }));
  let best = null;
  marks.forEach((mark, start) => {
    if (mark.place !== 0) return;
    const sequence = [mark];
    for (const next of marks.slice(start + 1)) {
      if (next.place === sequence.length) sequence.push(next);
    }
    if (sequence.length >= min && (!best || sequence.length >= best.length) && accepts(sequence)) best = sequence;
  });
  return best;
}

/** Whether marks inside lines begin choices: after the end of a sentence, or three marks outside of words. */
function beginChoices(text, marks) {
  const preceding = text.slice(0, marks[0].from).trimEnd().slice(-20);
  if (!preceding || SENTENCE_END.test(preceding)) return true;
  const bracketed = /[)）]$/.test(text.slice(0, marks[0].to));
  const before = new Set(marks.map(({ from }) => text.slice(0, from).match(/\S*$/)[0].toLowerCase()));
  return bracketed && marks.length > 2 && before.size > 1;
}

function parts(text, marks) {
  const question = text.slice(0, marks[0].from).replace(/^(?:question|q)\s*\d*\s*[:.)]\s*/i, "").trim();
  const choices = marks.map(({ to }, index) => text.slice(to, marks[index + 1]?.from).trim());
  choices.push(choices.pop().replace(SOLUTION, "").replace(INLINE_SOLUTION, "").trim());
  return choices.every(Boolean) ? { question, choices } : null;
}
