// The caches against the context: exact at every point, both axes logarithmic.

const CONTEXT = Array.from({ length: 11 }, (_, i) => 1024n << BigInt(i));

class Plot {
  constructor(words, width) {
    Object.assign(this, { words, width });
    this.height = width < 480 ? 260 : 320;
    this.edges = { left: 62, right: 14, top: 14, bottom: 44 };
    this.grid = svg("g", { class: "grid" });
    this.curves = svg("g");
    this.cursor = svg("g", { class: "cursor", visibility: "hidden" });
    this.element = svg(
      "svg",
      { width, height: this.height, viewBox: `0 0 ${width} ${this.height}`, class: "plot",
        role: "slider", tabindex: 0, "aria-label": `${words.cache}: ${words.cache_axis}`,
        "aria-valuemin": 1024, "aria-valuemax": 1048576,
        onpointermove: (event) => this.point(event), onpointerleave: () => this.hide(),
        onkeydown: (event) => this.key(event), onblur: () => this.hide() },
      this.grid, this.curves, this.cursor,
    );
    this.readout = h("p", { class: "readout", "aria-live": "polite" });
    this.legend = h("ul", { class: "legend" });
  }

  x(tokens) {
    const { left, right } = this.edges;
    return left + (Math.log2(Number(tokens) / 1024) / 10) * (this.width - left - right);
  }

  y(bytes) {
    const { top, bottom } = this.edges;
    const share = (Math.log10(Number(bytes)) - this.low) / (this.high - this.low);
    return this.height - bottom - share * (this.height - top - bottom);
  }

  // `series`: { label, kind, at(tokens) -> bytes or undefined }.
  update(series) {
    this.series = series
      .map((one) => ({ ...one, points: CONTEXT.map((t) => [t, one.at(t)]).filter(([, y]) => y > 0n) }))
      .filter((one) => one.points.length);
    this.grid.replaceChildren();
    this.curves.replaceChildren();
    this.legend.replaceChildren();
    this.hide();
    if (!this.series.length) return;
    const all = this.series.flatMap((one) => one.points.map(([, y]) => Math.log10(Number(y))));
    this.low = Math.floor(Math.min(...all));
    this.high = Math.max(this.low + 1, Math.ceil(Math.max(...all)));
    this.drawGrid();
    for (const one of this.series) {
      const path = one.points.map(([t, y], i) => `${i ? "L" : "M"}${this.x(t).toFixed(1)} ${this.y(y).toFixed(1)}`);
      this.curves.append(svg("path", { d: path.join(""), class: `curve ${one.kind}` }));
      this.legend.append(h("li", { class: one.kind }, one.label));
    }
  }

  drawGrid() {
    const { left, right, bottom } = this.edges;
    for (let power = this.low; power <= this.high; power += 1) {
      const y = this.y(10 ** power);
      this.grid.append(
        svg("line", { x1: left, x2: this.width - right, y1: y, y2: y }),
        svg("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, tick(power)),
      );
    }
    CONTEXT.forEach((tokens, i) => {
      const x = this.x(tokens);
      this.grid.append(svg("line", { x1: x, x2: x, y1: this.edges.top, y2: this.height - bottom, class: "fine" }));
      if (i % (this.width < 480 ? 5 : 2) === 0)
        this.grid.append(svg("text", { x, y: this.height - bottom + 18, "text-anchor": "middle" },
          tokens >= 1048576n ? "1 Mi" : `${tokens / 1024n} Ki`));
    });
    this.grid.append(svg("text", { x: (left + this.width - right) / 2, y: this.height - 6,
      "text-anchor": "middle", class: "axis" }, this.words.cache_axis));
  }

  // ---- reading off

  point(event) {
    const box = this.element.getBoundingClientRect();
    const { left, right } = this.edges;
    const share = (event.clientX - box.left - left) / (this.width - left - right);
    this.read(BigInt(Math.round(1024 * 2 ** (10 * Math.min(1, Math.max(0, share))))));
  }

  key(event) {
    const at = this.tokens ?? 2048n;
    const to = { ArrowRight: at * 2n, ArrowLeft: at / 2n, Home: 1024n, End: 1048576n }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.read(clamp(to, 1024n, 1048576n));
  }

  read(tokens) {
    if (!this.series?.length) return;
    this.tokens = tokens;
    const found = this.series.map((one) => ({ ...one, bytes: one.at(tokens) })).filter(({ bytes }) => bytes > 0n);
    const x = this.x(tokens);
    this.cursor.replaceChildren(
      svg("line", { x1: x, x2: x, y1: this.edges.top, y2: this.height - this.edges.bottom }),
      ...found.map((one) => svg("circle", { cx: x, cy: this.y(one.bytes), r: 4, class: one.kind })),
    );
    this.cursor.setAttribute("visibility", "visible");
    const parts = found.map(({ label, bytes }) => `${label} ${short(bytes, BYTES)} (${grouped(bytes)})`);
    const text = `${grouped(tokens)} tokens: ${parts.join("; ")}`;
    setText(this.readout, text);
    this.element.setAttribute("aria-valuenow", tokens);
    this.element.setAttribute("aria-valuetext", text);
  }

  hide() {
    this.cursor.setAttribute("visibility", "hidden");
  }
}

const tick = (power) => short(10n ** BigInt(power), BYTES).replace(/\.0+(?= )/, "");
