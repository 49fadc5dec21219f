// The list of choices: add, remove and move, by mouse and by keyboard.

import { announce, find, fit, icon, letter, make, mark } from "./dom.js";

export const MIN_CHOICES = 2;

export class Choices {
  /** Calls `changed` after every change; `max` is the service's limit. */
  constructor({ changed, max = 26 }) {
    this.list = find("choice-list");
    this.changed = changed;
    this.max = max;
    find("add").addEventListener("click", () => this.add("", { focus: true }));
    this.list.addEventListener("keydown", (event) => this.#key(event));
    this.list.addEventListener("click", (event) => this.#click(event));
    this.list.addEventListener("input", (event) => this.#input(event));
  }

  get rows() {
    return [...this.list.children];
  }

  get areas() {
    return this.rows.map((row) => row.querySelector("textarea"));
  }

  get texts() {
    return this.areas.map((area) => area.value);
  }

  set texts(texts) {
    this.list.replaceChildren();
    for (const text of texts.slice(0, this.max)) this.#append(text);
    while (this.rows.length < MIN_CHOICES) this.#append("");
    this.#relabel();
  }

  add(text, { focus = false } = {}) {
    if (this.rows.length >= this.max) return;
    const area = this.#append(text);
    this.#relabel();
    if (focus) area.focus();
    this.changed();
  }

  /** Remove empty rows, but keep at least two rows. */
  compact() {
    const empty = this.rows.filter((row) => !row.querySelector("textarea").value.trim());
    const spare = this.rows.length - Math.max(MIN_CHOICES, this.rows.length - empty.length);
    for (const row of empty.slice(empty.length - spare)) row.remove();
    this.#relabel();
  }

  /** Show an error below a choice; without a text, clear it. */
  mark(index, text) {
    const row = this.rows[index];
    if (row) mark(row.querySelector("textarea"), row.querySelector(".error"), text);
    return row?.querySelector("textarea");
  }

  #append(text) {
    const area = make("textarea", { rows: 1, value: text, spellcheck: true });
    const tool = (name) => make("button", { type: "button", "data-tool": name }, icon(name));
    const row = make(
      "li",
      { className: "choice" },
      make("span", { className: "bubble", "aria-hidden": "true" }),
      area,
      make("span", { className: "row-tools" }, tool("up"), tool("down"), tool("remove")),
      make("p", { className: "error", hidden: true }),
    );
    this.list.append(row);
    fit(area);
    return area;
  }

  #relabel() {
    const { rows } = this;
    rows.forEach((row, index) => {
      const label = letter(index);
      row.querySelector(".bubble").textContent = label;
      const area = row.querySelector("textarea");
      const error = row.querySelector(".error");
      area.setAttribute("aria-label", `Choice ${label}`);
      error.id = `choice-error-${label}`;
      area.setAttribute("aria-describedby", error.id);
      this.#tool(row, "up", `Move choice ${label} up`, index > 0);
      this.#tool(row, "down", `Move choice ${label} down`, index < rows.length - 1);
      this.#tool(row, "remove", `Remove choice ${label}`, rows.length > MIN_CHOICES);
    });
    find("add").hidden = rows.length >= this.max;
  }

  #tool(row, name, label, enabled) {
    const button = row.querySelector(`[data-tool="${name}"]`);
    button.setAttribute("aria-label", label);
    button.setAttribute("aria-disabled", String(!enabled));
  }

  #input({ target }) {
    fit(target);
    this.mark(this.areas.indexOf(target), null);
    this.changed();
  }

  #click(event) {
    const button = event.target.closest("[data-tool]");
    if (!button || button.getAttribute("aria-disabled") === "true") return;
    const index = this.rows.indexOf(button.closest("li"));
    const { tool } = button.dataset;
    if (tool === "remove") this.#remove(index);
    else {
      this.#move(index, tool === "up" ? -1 : 1);
      button.focus();
    }
  }

  #key(event) {
    const index = this.areas.indexOf(event.target);
    if (index < 0 || event.isComposing || event.ctrlKey || event.metaKey) return;
    if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      event.preventDefault();
      this.#move(index, event.key === "ArrowUp" ? -1 : 1);
      event.target.focus();
    } else if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      this.#next(index);
    } else if (event.key === "Backspace" && !event.target.value && this.rows.length > MIN_CHOICES) {
      event.preventDefault();
      this.#remove(index, { back: true });
    }
  }

  #next(index) {
    const next = this.areas[index + 1];
    if (next) next.focus();
    else if (this.areas[index].value.trim()) this.add("", { focus: true });
  }

  #move(index, by) {
    const row = this.rows[index];
    const other = this.rows[index + by];
    if (!other) return;
    if (by < 0) other.before(row);
    else other.after(row);
    this.#relabel();
    announce(`Moved to ${letter(index + by)}.`);
    this.changed();
  }

  #remove(index, { back = false } = {}) {
    if (this.rows.length <= MIN_CHOICES) return;
    this.rows[index].remove();
    this.#relabel();
    this.areas[back ? Math.max(0, index - 1) : Math.min(index, this.rows.length - 1)].focus();
    announce(`Choice ${letter(index)} removed, ${this.rows.length} left.`);
    this.changed();
  }
}
