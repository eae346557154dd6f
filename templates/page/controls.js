// Elements, and the controls of params: a slider with a field for every number, a switch for a
// flag, a choice for a text.  Texts enter the document as text nodes only.

const SVG = "http://www.w3.org/2000/svg";

function fillElement(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const h = (tag, attributes = {}, ...children) =>
  fillElement(document.createElement(tag), attributes, children);

const svg = (tag, attributes = {}, ...children) =>
  fillElement(document.createElementNS(SVG, tag), attributes, children);

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// The values that a slider goes through: whole steps that include the table's own value.
function steps(kind, value) {
  if (kind === "real") return realSteps(value);
  const lowest = kind === "count" ? 0n : 1n;
  if (value <= 16n) {
    const top = value * 4n > 16n ? value * 4n : 16n;
    return range(lowest, top, 1n);
  }
  let step = 1n;
  while (value % (step * 2n) === 0n && value / (step * 2n) >= 16n) step *= 2n;
  return range(kind === "count" ? 0n : step, value * 4n, step);
}

function range(start, stop, step) {
  return { count: Number((stop - start) / step), at: (i) => start + BigInt(i) * step,
    near: (value) => Number((clamp(value, start, stop) - start) / step) };
}

const clamp = (value, low, high) => (value < low ? low : value > high ? high : value);

function realSteps(value) {
  const top = value > 0 ? value * 4 : 1;
  const bottom = value < 0 ? value * 4 : 0;
  const at = (i) => Number((bottom + ((top - bottom) * i) / 400).toPrecision(6));
  return { count: 400, at,
    near: (given) => Math.round((400 * (clamp(given, bottom, top) - bottom)) / (top - bottom)) };
}

// One labelled control.  `change(name, value)` is told of every value; null is the table's own.
class Control {
  constructor(table, words, param, change) {
    Object.assign(this, { table, words, param, change });
    const { name, kind } = param;
    this.id = `param-${name}`;
    this.base = table.base.values.get(name)?.value ?? table.defaults.get(name);
    this.own = param.own === undefined ? this.base : table.read(name, param.own);
    this.reset = h(
      "button",
      { type: "button", class: "undo", title: words.reset_one, "aria-label": `${words.reset_one}: ${name}`,
        onclick: () => change(name, null) },
      "↺",
    );
    this.note = h("p", { class: "note", id: `${this.id}-note` });
    this.error = h("p", { class: "error", id: `${this.id}-error` });
    const field = this.field(kind);
    this.element = h(
      "div",
      { class: "control", "data-param": name },
      h("div", { class: "head" }, h("label", { for: this.id }, name), this.reset, field),
      this.slider ?? null,
      this.note,
      this.error,
    );
  }

  field(kind) {
    const { name, choices } = this.param;
    const common = { id: this.id, "aria-describedby": `${this.id}-note ${this.id}-error` };
    if (kind === "flag") {
      this.input = h("input", { ...common, type: "checkbox", role: "switch", class: "switch",
        onchange: () => this.change(name, this.input.checked) });
      return this.input;
    }
    if (choices) {
      this.input = h(
        "select",
        { ...common, onchange: () => this.change(name, this.input.value) },
        ...choices.map((choice) => h("option", { value: choice }, choice)),
      );
      return this.input;
    }
    this.input = h("input", {
      ...common, type: "text", inputmode: LISTS.has(kind) ? "text" : "decimal",
      autocomplete: "off", spellcheck: "false", class: "number",
      oninput: () => this.typed(),
      onblur: () => this.show(this.shown),
      onkeydown: (event) => this.nudge(event),
    });
    if (NUMERIC.has(kind) || kind === "variable") this.addSlider(kind);
    return this.input;
  }

  addSlider(kind) {
    this.steps = steps(kind === "variable" ? "size" : kind, this.base);
    this.slider = h("input", {
      type: "range", class: "slider", min: 0, max: this.steps.count, step: 1,
      "aria-label": this.param.name,
      oninput: () => this.change(this.param.name, this.steps.at(Number(this.slider.value))),
    });
  }

  typed() {
    const value = this.table.read(this.param.name, this.input.value);
    this.unread = value === undefined;
    if (this.unread) this.mark(this.wanted());
    else this.change(this.param.name, value);
  }

  // Up and down in a field move by one step of the slider.
  nudge(event) {
    const direction = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!direction || !this.steps || isQuotient(this.shown)) return;
    event.preventDefault();
    const place = this.steps.near(this.shown) + direction;
    if (place >= 0 && place <= this.steps.count)
      this.change(this.param.name, this.steps.at(place));
  }

  wanted() {
    const { kind } = this.param;
    const key = LISTS.has(kind) ? "wanted_list" : kind === "variable" ? "wanted_real" : `wanted_${kind}`;
    return fill(this.words[key], { limit: grouped(this.table.size) });
  }

  show(value) {
    this.shown = value;
    this.unread = false;
    if (this.param.kind === "flag") this.input.checked = value === true;
    else if (document.activeElement !== this.input || this.param.choices)
      this.input.value = this.table.text(value);
    else if (!this.agrees(value)) this.input.value = this.table.text(value);
    if (this.slider) {
      if (isNumber(value) && !isQuotient(value)) this.slider.value = this.steps.near(value);
      this.slider.setAttribute("aria-valuetext", this.table.text(value));
      this.slider.style.setProperty("--at", `${(100 * this.slider.value) / this.steps.count}%`);
    }
  }

  // Whether the field already says this value: what is being typed is left as it is.
  agrees(value) {
    const typed = this.table.read(this.param.name, this.input.value);
    return typed !== undefined && same(typed, value);
  }

  update(figures, troubled) {
    const { name, text, unit } = this.param;
    const found = figures.values.get(name) ?? { value: this.table.variables.get(name) };
    if (!found.fault) this.show(found.value);
    else if (this.table.changed.has(name)) this.show(this.table.changed.get(name));
    const { changed } = this.table;
    const differs = found.fault ? changed.has(name) : !same(found.value, this.own);
    const isVariable = this.param.kind === "variable";
    this.element.classList.toggle("changed", differs);
    this.reset.disabled = isVariable ? !differs : !changed.has(name);
    const follows = changed.has(name) ? [] : this.table.follows(name);
    const parts = [text, unit ? `[${unit}]` : "",
      follows.length ? fill(this.words.follows, { names: follows.join(", ") }) : "",
      differs && !isVariable && this.own !== undefined
        ? fill(this.words.table_has, { value: isWhole(this.own) ? grouped(this.own) : valueText(this.own) }) : ""];
    setText(this.note, parts.filter(Boolean).join(" · "));
    this.mark(found.fault ? fill(this.words[found.fault.key], found.fault.values) : troubled);
  }

  mark(trouble) {
    setText(this.error, trouble ?? "");
    this.element.classList.toggle("bad", Boolean(trouble));
    if (trouble) this.input.setAttribute("aria-invalid", "true");
    else this.input.removeAttribute("aria-invalid");
  }
}
