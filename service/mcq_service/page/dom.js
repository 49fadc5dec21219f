// DOM helpers. Text reaches the page only as text nodes; nothing here parses markup.

export const find = (id) => document.getElementById(id);

/** An element with properties ("aria-…" and "data-…" become attributes) and children (strings become text). */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
const PATHS = { up: "M8 13V3M3.5 7.5 8 3l4.5 4.5", down: "M8 3v10M3.5 8.5 8 13l4.5-4.5", remove: "M4 4l8 8M12 4l-8 8" };

/** A 16-pixel drawing: up, down or remove. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Announce something to screen readers. */
export function announce(text) {
  find("status").textContent = text;
}

const GROWS = CSS.supports("field-sizing", "content");

/** Fit a text area's height to its text, unless the browser does. */
export function fit(area) {
  if (GROWS) return;
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
}

export const letter = (index) => String.fromCharCode(65 + index);

/** Show or hide a message below a field, and mark the field. */
export function mark(field, message, text) {
  message.textContent = text ?? "";
  message.hidden = !text;
  if (!field) return;
  if (text) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}
