// The architecture as a picture: the module tree in the order of the forward pass.  A card is a
// module, a stack of cards one that repeats, a line one row of the table.  All bars share one
// scale, so that their lengths can be compared across the whole picture.

const ROW = 26;
const HEAD = 34;
const GLYPH = 24;

class Picture {
  // `pick(kind, number)` is told which row or place is pointed at.
  constructor(table, figures, words, width, colors, pick) {
    Object.assign(this, { table, words, width, colors, pick });
    this.narrow = width < 560;
    this.indent = this.narrow ? 8 : 14;
    this.lines = [];
    this.widest = this.widestDim(figures);
    const depth = this.depth(figures.structure.tree);
    this.right = width - depth * this.indent - 2;
    this.numbers = this.narrow ? 58 : 74;
    this.bars = Math.round(this.narrow ? width * 0.5 : Math.max(width * 0.5, 330));
    this.layer = { cards: svg("g"), links: svg("g"), lines: svg("g") };
    const bottom = this.root(figures);
    this.element = svg(
      "svg",
      { width, height: bottom, viewBox: `0 0 ${width} ${bottom}`, class: "diagram",
        role: "listbox", "aria-label": words.picture, tabindex: -1,
        onkeydown: (event) => this.key(event) },
      svg("defs", {}, svg("marker",
        { id: "arrow", viewBox: "0 0 8 8", refX: 6, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
        svg("path", { d: "M0 0 L8 4 L0 8 z", class: "arrow" }))),
      this.layer.cards, this.layer.links, this.layer.lines,
    );
    this.lines.forEach((line, i) => line.element.setAttribute("tabindex", i === 0 ? 0 : -1));
  }

  depth(number) {
    const inner = this.items(number).filter(([kind]) => kind === "place");
    return 1 + Math.max(0, ...inner.map(([, item]) => this.depth(item)));
  }

  // Items as they are drawn: a place of nothing but one row is that row.
  items(number) {
    return this.table.entry(number).items.filter(([kind, item]) =>
      kind === "place" || this.table.entry(item).kind !== "scale").map((item) => this.folded(item));
  }

  folded([kind, item]) {
    if (kind !== "place") return [kind, item];
    const place = this.table.entry(item);
    const shown = place.items.filter(([k, i]) => k === "place" || this.table.entry(i).kind !== "scale");
    if (shown.length === 0) return ["empty", item];
    if (shown.length === 1 && shown[0][0] === "row" && place.repeated === undefined)
      return ["only", shown[0][1], item];
    return [kind, item];
  }

  // What glyphs are measured by: the largest dim inside a part.
  widestDim(figures) {
    const inner = [...figures.rows.values()].filter(({ row }) => row.name.includes("{") && !row.shared);
    const dims = (inner.length ? inner : [...figures.rows.values()]).flatMap(({ dims }) => dims ?? []);
    return dims.reduce((most, dim) => (dim !== undefined && dim > most ? dim : most), 1n);
  }

  root(figures) {
    const tree = figures.structure.tree;
    let y = this.pill(this.end("input"), 4);
    y = this.sequence(tree, 2, y + 8, figures, true);
    this.link(2 + this.indent + GLYPH / 2, y, y + 14, true);
    return this.pill(this.end("output"), y + 14) + 4;
  }

  // What goes in or comes out: a word of the page, or what the table calls it.
  end(which) {
    const [kind, said] = this.table.data.ends[which];
    return kind === "word" ? this.words[said] : said;
  }

  pill(text, y) {
    const wide = 14 + text.length * 7.2;
    this.layer.cards.append(
      svg("rect", { x: 2, y, width: wide, height: 22, rx: 11, class: "pill" }),
      svg("text", { x: 2 + wide / 2, y: y + 15, class: "pill-text", "text-anchor": "middle" }, text),
    );
    return y + 22;
  }

  // The items of a place below one another; returns where they end.
  sequence(number, x, y, figures, outermost = false) {
    const place = this.table.entry(number);
    const visible = place.items.map((item, i) => [item, place.linked[i]])
      .filter(([[kind, item]]) => kind === "place" || this.table.entry(item).kind !== "scale");
    let before = null;
    for (const [item, linked] of visible) {
      const [kind, id, owner] = this.folded(item);
      const card = kind === "place";
      if (before !== null) y += card || before.card ? 12 : 2;
      const top = y;
      if (card) y = this.card(id, x, y, figures);
      else if (kind === "empty") y = this.empty(id, x, y);
      else y = this.row(id, owner, x, y, figures);
      if (before !== null && linked) this.link(x + this.indent + GLYPH / 2, before.y, top, card || before.card);
      before = { y, card };
    }
    if (outermost) this.link(x + this.indent + GLYPH / 2, 26, 34, true);
    return y;
  }

  link(x, from, to, arrow) {
    if (to - from < 4) return;
    this.layer.links.append(svg("line",
      { x1: x, x2: x, y1: from, y2: to - 1, class: "link", "marker-end": arrow && to - from > 8 ? "url(#arrow)" : null }));
  }

  card(number, x, y, figures) {
    const place = this.table.entry(number);
    const stacked = place.repeated !== undefined;
    const top = stacked ? y + 8 : y;
    const head = svg("g", { class: "line head" });
    const frames = svg("g");
    this.layer.lines.append(head);
    this.layer.cards.append(frames); // before those of the cards inside
    const line = this.line(head, { kind: "place", number }, x, top, HEAD, place.name);
    let bottom = this.sequence(number, x + this.indent, top + HEAD + 4, figures) + this.indent;
    const wide = this.right + this.indent * this.level(x) - x;
    const frame = (dx, dy, kind) => svg("rect", { x: x + dx, y: top + dy, width: wide - (stacked ? 8 : 0),
      height: bottom - top, rx: 10, class: kind });
    if (stacked) frames.append(frame(8, -8, "sheet"), frame(4, -4, "sheet"));
    frames.append(frame(0, 0, place.unused ? "card unused" : "card"));
    this.label(line, place.name, place.text ?? place.module, x + this.indent, top + 22, "name");
    return bottom;
  }

  // How many cards deep x is, counted from the right: cards end one inside the other.
  level(x) {
    const depth = Math.round((x - 2) / this.indent);
    return Math.round((this.width - 2 - this.right) / this.indent) - depth;
  }

  empty(number, x, y) {
    const place = this.table.entry(number);
    const group = svg("g", { class: "line empty" });
    this.layer.lines.append(group);
    const line = this.line(group, { kind: "place", number }, x, y, ROW, place.name, false);
    group.append(svg("rect", { x: x + this.indent + 6, y: y + 7, width: 12, height: 12, rx: 6, class: "dot" }));
    this.label(line, place.name, place.text, x + this.indent + GLYPH + 8, y + 17, "name small");
    return y + ROW;
  }

  row(number, owner, x, y, figures) {
    const row = this.table.entry(number);
    const place = owner === undefined ? null : this.table.entry(owner);
    const group = svg("g", { class: "line" });
    this.layer.lines.append(group);
    const own = row.name.slice(row.name.lastIndexOf(".", row.kind === "bias" ? row.name.length - 6 : undefined) + 1);
    const name = place ? place.name : own;
    const line = this.line(group, { kind: "row", number }, x, y, ROW, name);
    line.glyph = svg("path", { class: "glyph" });
    line.glyphAt = [x + this.indent, y + ROW / 2];
    line.color = this.colors.get(number) ?? 0;
    group.classList.add(`c${line.color}`);
    group.append(line.glyph);
    line.counted = row.kind !== "scale" && !row.shared;
    this.label(line, name, (place && place.text) || row.text, x + this.indent + GLYPH + 8, y + 17,
      "name small");
    return y + ROW;
  }

  // What every line has: a surface to point at, a bar and a number.
  line(group, subject, x, y, height, name, measured = true) {
    const line = { ...subject, element: group, name };
    const wide = this.right + this.indent * this.level(x) - x;
    group.append(svg("rect", { x: x + 4, y: y + 1, width: wide - 8, height: height - 2, rx: 6, class: "surface" }));
    group.setAttribute("role", "option");
    group.setAttribute("aria-selected", "false");
    group.addEventListener("pointerenter", () => this.choose(line, false));
    group.addEventListener("click", () => this.choose(line, true));
    group.addEventListener("focus", () => this.choose(line, false));
    if (measured) {
      const middle = y + height / 2;
      const thick = subject.kind === "row" ? 12 : 4;
      line.track = this.right - this.numbers - this.bars - 8;
      line.bar = svg("rect", { x: this.bars, y: middle - thick / 2, height: thick, width: 0, rx: 2, class: "bar" });
      line.amount = svg("text", { x: this.right - 6, y: middle + 4, "text-anchor": "end", class: "amount" });
      group.append(
        svg("rect", { x: this.bars, y: middle - 0.5, height: 1, width: line.track, class: "track" }),
        line.bar, line.amount,
      );
    }
    this.lines.push(line);
    return line;
  }

  // A name, how often it is there, and as much of a description as there is room for.
  label(line, name, text, x, y, kind) {
    const room = this.bars - 10 - x;
    const bold = kind === "name" ? 8.1 : 7.4;
    line.badge = svg("tspan", { class: "badge", dx: 8 });
    const shown = name.length * bold > room ? `${name.slice(0, Math.max(3, Math.floor(room / bold) - 1))}…` : name;
    line.text = svg("tspan", { class: "describes", dx: 8 });
    line.room = { left: room - shown.length * bold - 8, text: text ?? "" };
    line.element.append(svg("text", { x, y }, svg("tspan", { class: kind }, shown), line.badge, line.text));
  }

  fit(line, badge) {
    setText(line.badge, badge);
    line.badge.setAttribute("dx", badge ? 8 : 0);
    const wide = (text) => [...text].reduce((sum, c) => sum + (c.charCodeAt(0) > 0x2e7f ? 12.4 : 6.3), 0);
    let left = line.room.left - (badge ? wide(badge) * 1.1 + 10 : 0);
    let shown = line.room.text;
    if (this.narrow) shown = "";
    if (wide(shown) > left) {
      let end = 0;
      while (end < shown.length && wide(shown.slice(0, end + 1)) + 8 < left) end += 1;
      shown = end > 4 ? `${shown.slice(0, end).trimEnd()}…` : "";
    }
    setText(line.text, shown);
  }

  // ---- following the figures

  update(figures, scale) {
    const total = figures.parameters;
    const amountOf = (line) => {
      if (line.kind === "row") {
        const row = figures.rows.get(line.number);
        return scale === "one" ? row.each : row.total;
      }
      const place = figures.places.get(line.number);
      if (scale === "one") return place.times ? place.total / place.times : 0n;
      return place.total;
    };
    // All copies: of all parameters.  One copy: of the largest row, as copies do not add up.
    const rows = this.lines.filter((line) => line.kind === "row" && line.counted);
    const most = scale === "all" ? total
      : rows.map(amountOf).reduce((a, b) => (b !== undefined && b > a ? b : a), 1n);
    for (const line of this.lines) {
      const amount = amountOf(line);
      if (line.bar) {
        const share = ratio(amount ?? 0n, most);
        const drawn = amount && (scale === "all" || line.kind === "row");
        const wide = drawn ? Math.max(1.5, Math.min(share, 1) * line.track) : 0;
        line.bar.setAttribute("width", wide.toFixed(1));
        line.bar.classList.toggle("uncounted", line.kind === "row" && !line.counted);
        const average = scale === "one" && figures.places.get(line.number)?.mixed && line.kind === "place";
        setText(line.amount, amount === undefined ? "—" : (average ? "⌀ " : "") + short(amount));
      }
      if (line.glyph) line.glyph.setAttribute("d", this.glyph(figures.rows.get(line.number), line.glyphAt));
      this.fit(line, this.badge(line, figures));
      line.element.setAttribute("aria-label", this.spoken(line, amount, total));
    }
  }

  badge(line, figures) {
    if (line.kind === "row") return "";
    const { repeated, times, place } = figures.places.get(line.number);
    if (repeated !== undefined) return fill(this.words.repeated, { count: grouped(repeated) });
    const around = this.parents(figures).get(line.number);
    const outer = around === undefined ? undefined : figures.places.get(around).times;
    if (place.unused) return this.words.unused;
    if (times !== undefined && outer !== undefined && times !== outer)
      return fill(this.words.in_some, { count: grouped(times), total: grouped(outer) });
    return "";
  }

  parents(figures) {
    if (!this.around) {
      this.around = new Map();
      for (const { place, number } of figures.places.values())
        for (const [kind, item] of place.items) if (kind === "place") this.around.set(item, number);
    }
    return this.around;
  }

  spoken(line, amount, total) {
    if (amount === undefined || line.bar === undefined) return line.name;
    return `${line.name}: ${short(amount)}, ${percent(amount, total)}`;
  }

  // in → out as a trapezoid, a vector as a stroke.
  glyph(found, [x, y]) {
    const height = (dim) => {
      const share = Math.sqrt(ratio(dim, this.widest));
      return Math.max(1.5, Math.min(1, share) * 10);
    };
    const dims = found.dims.filter((dim) => dim !== undefined);
    if (dims.length < 2) {
      const half = dims.length ? height(dims[0]) : 2;
      const middle = x + GLYPH / 2;
      return `M${middle - 1.5} ${y - half}h3v${2 * half}h-3z`;
    }
    const [left, right] = [height(dims[dims.length - 2]), height(dims[dims.length - 1])];
    return `M${x + 2} ${y - left}L${x + GLYPH - 2} ${y - right}v${2 * right}L${x + 2} ${y + left}z`;
  }

  // ---- pointing

  choose(line, focus) {
    if (this.chosen) {
      this.chosen.element.classList.remove("chosen");
      this.chosen.element.setAttribute("aria-selected", "false");
      this.chosen.element.setAttribute("tabindex", -1);
    } else this.lines[0]?.element.setAttribute("tabindex", -1);
    this.chosen = line;
    line.element.classList.add("chosen");
    line.element.setAttribute("aria-selected", "true");
    line.element.setAttribute("tabindex", 0);
    if (focus) line.element.focus({ preventScroll: true });
    this.pick(line.kind, line.number);
  }

  key(event) {
    const at = this.lines.findIndex((line) => line.element === document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.lines.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    const line = this.lines[Math.max(0, Math.min(to, this.lines.length - 1))];
    this.choose(line, true);
    line.element.scrollIntoView({ block: "nearest" });
  }
}
