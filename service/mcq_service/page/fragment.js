// A question as a link's fragment: readable, never sent to a server, and equal for equal questions.

const NAMES = { mode: "m", context: "x", select: "s", confidence: "p", tokens: "t" };

export function toFragment(state) {
  const filled = state.choices.filter((choice) => choice.trim());
  if (!state.question.trim() && !filled.length) return "";
  const parameters = new URLSearchParams({ q: state.question });
  for (const choice of filled) parameters.append("c", choice);
  for (const [field, name] of Object.entries(NAMES)) {
    if (state[field]) parameters.set(name, state[field]);
  }
  return `#${parameters}`;
}

/** The question of a fragment; null without one. */
export function fromFragment(fragment) {
  const parameters = new URLSearchParams(fragment.replace(/^#/, ""));
  if (!parameters.has("q") && !parameters.has("c")) return null;
  const state = { question: parameters.get("q") ?? "", choices: parameters.getAll("c") };
  for (const [field, name] of Object.entries(NAMES)) state[field] = parameters.get(name) ?? "";
  return state;
}
