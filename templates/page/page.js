// The page: puts the parts together, keeps the address, and redraws what a change moves.

const HERO = ["parameters", "parameters_active", "cache_bytes_per_token", "stored_bytes",
  "flops_prefill_causal", "flops_decode"];
const TICKER = ["parameters", "parameters_active", "cache_bytes_per_token"];

class Page {
  constructor(data, root) {
    this.data = data;
    this.root = root;
    this.table = new Table(data);
    this.scale = "all";
    this.language = navigator.language.startsWith("zh") ? "zh" : "en";
    this.theme = "auto";
    this.readAddress();
    this.build();
    addEventListener("hashchange", () => this.follow());
    new ResizeObserver(() => this.resized()).observe(root);
  }

  // ---- the address: what is changed, and how the page is shown

  readAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    this.table.reset();
    for (const [name, text] of given) {
      if (name === ":lang" && Object.hasOwn(this.data.words, text)) this.language = text;
      else if (name === ":theme" && ["light", "dark", "auto"].includes(text)) this.theme = text;
      else if (this.table.params.has(name) || this.table.defaults.has(name)) {
        const value = this.table.read(name, text);
        if (value !== undefined) this.table.set(name, value);
      }
    }
  }

  address() {
    const { table } = this;
    const state = new URLSearchParams();
    for (const [name, value] of table.changed) state.set(name, table.text(value));
    for (const [name, value] of table.variables)
      if (!same(value, table.defaults.get(name))) state.set(name, table.text(value));
    if (this.chosenLanguage) state.set(":lang", this.language);
    if (this.theme !== "auto") state.set(":theme", this.theme);
    return state.toString();
  }

  writeAddress() {
    const state = this.address();
    if (location.hash.slice(1) === state) return;
    try {
      history.replaceState(null, "", state ? `#${state}` : location.pathname + location.search);
    } catch {
      this.silent = true;
      location.hash = state;
    }
  }

  follow() {
    if (this.silent || location.hash.slice(1) === this.address()) {
      this.silent = false;
      return;
    }
    const before = this.language;
    this.readAddress();
    if (this.language !== before) this.build();
    else this.render();
  }

  // What a variable is: of a language model's forward the usual, else a length of its arguments.
  variableText(name) {
    const { words, data } = this;
    if (Object.hasOwn(data.lengths, name)) return fill(words.length_of, { names: data.lengths[name] });
    return words.variable[name] ?? "";
  }

  // ---- building, once for a language

  build() {
    const { data } = this;
    const words = (this.words = data.words[this.language]);
    document.documentElement.lang = this.language === "zh" ? "zh-Hans" : this.language;
    this.titles = new Map();
    this.controls = [
      ...data.params.map((param) => new Control(this.table, words, param, this.change)),
      ...[...this.table.defaults].map(([name]) => new Control(this.table, words,
        { name, kind: "variable", text: this.variableText(name) }, this.change)),
    ];
    const of = (variable) => this.controls.filter((c) => (c.param.kind === "variable") === variable)
      .map((control) => control.element);
    this.parts = {
      ticker: h("ul", { class: "ticker", "aria-hidden": "true" }),
      notice: h("div", { class: "notice", role: "status", "aria-live": "polite" }),
      hero: h("div", { class: "hero" }),
      picture: h("div", { class: "canvas" }),
      detail: h("div", { class: "detail", "aria-live": "polite" }),
      shares: h("div", { class: "shares" }),
      plot: h("div", { class: "canvas" }),
      figures: h("div", { class: "figures" }),
      sections: h("div", { class: "sections" }),
      requirements: h("ul", { class: "conditions" }),
      decided: h("ul", { class: "conditions" }),
      decidedNote: h("p", { class: "note" }),
      lets: h("dl", { class: "lets" }),
      command: h("code", { class: "command", tabindex: 0 }),
      session: h("code", { class: "command", tabindex: 0 }),
    };
    const { parts } = this;
    const scales = h("div", { class: "segments", role: "radiogroup", "aria-label": words.scale },
      ...["all", "one"].map((scale) => h("label", {},
        h("input", { type: "radio", name: "scale", value: scale, checked: scale === this.scale,
          onchange: () => { this.scale = scale; this.render(); } }),
        h("span", {}, words[`scale_${scale}`]))));
    this.pictureNote = h("p", { class: "note" });
    this.cacheNote = h("p", { class: "note" });
    const section = (key, ...content) =>
      h("section", { class: `panel ${key}`, "aria-labelledby": `title-${key}` },
        h("h2", { id: `title-${key}` }, words[key]), ...content);
    this.root.replaceChildren(
      h("a", { class: "skip", href: "#figures", onclick: (event) => this.skip(event) }, words.skip),
      this.header(),
      h("div", { class: "layout" },
        h("aside", { class: "controls", "aria-label": words.parameters },
          this.drawer(words.parameters, h("p", { class: "note" }, words.parameters_note), ...of(false)),
          this.table.defaults.size ? this.drawer(words.variables, ...of(true)) : null),
        h("main", { id: "figures", tabindex: -1 },
          parts.notice, parts.hero,
          section("picture", h("div", { class: "bar-line" }, this.pictureNote, scales), parts.picture, parts.detail),
          section("shares", parts.shares),
          section("cache", this.cacheNote, parts.plot),
          section("all_figures", parts.figures),
          section("table", parts.sections),
          section("requirements", parts.requirements),
          section("decided", parts.decidedNote, parts.decided),
          data.lets.length ? section("lets", parts.lets) : null,
          section("command", parts.command),
          data.session ? section("session", h("p", { class: "note" }, words.session_note), parts.session) : null)),
    );
    this.shape = null;
    this.picked = null;
    this.noticed = null;
    this.render();
  }

  drawer(title, ...content) {
    const wide = matchMedia("(min-width: 62rem)").matches;
    return h("details", { class: "drawer", open: wide }, h("summary", {}, title), ...content);
  }

  header() {
    const { words, data } = this;
    const variant = data.variant ?? words.default;
    const languages = h("div", { class: "segments", role: "radiogroup", "aria-label": "Language · 语言" },
      ...Object.entries(data.words).map(([code, said]) => h("label", { lang: code },
        h("input", { type: "radio", name: "language", value: code, checked: code === this.language,
          onchange: () => this.speak(code) }),
        h("span", {}, said.language))));
    const theme = h("select", { "aria-label": words.theme, class: "theme",
      onchange: (event) => this.paint(event.target.value) },
      ...["auto", "light", "dark"].map((name) =>
        h("option", { value: name, selected: name === this.theme }, words[`theme_${name}`])));
    this.resetAll = h("button", { type: "button", class: "action",
      onclick: () => { this.table.reset(); this.render(); } }, words.reset);
    const link = h("button", { type: "button", class: "action", onclick: () => this.copy(link) }, words.copy_link);
    document.documentElement.dataset.theme = this.theme;
    return h("header", { class: "masthead" },
      h("div", { class: "top" },
        h("div", { class: "title" },
          h("h1", {}, data.title),
          h("p", { class: "note" }, fill(words.made, { spec: data.spec, variant: variant + this.overridden() }))),
        h("div", { class: "tools" }, languages, theme, link, this.resetAll)),
      this.parts.ticker);
  }

  // What the table was built with, behind its variant.
  overridden() {
    const given = Object.entries(this.data.overrides).map(([name, value]) => `${name} = ${value}`);
    return given.length ? fill(this.words.made_with, { given: given.join(", ") }) : "";
  }

  skip(event) {
    event.preventDefault();
    document.getElementById("figures").focus();
  }

  speak(code) {
    this.language = code;
    this.chosenLanguage = true;
    this.build();
    document.querySelector(`input[name="language"][value="${code}"]`).focus();
  }

  paint(theme) {
    this.theme = theme;
    document.documentElement.dataset.theme = theme;
    this.writeAddress();
  }

  async copy(button) {
    this.writeAddress();
    let said = this.words.copied;
    try {
      await navigator.clipboard.writeText(location.href);
    } catch {
      said = this.words.copy_failed;
    }
    setText(button, said);
    setTimeout(() => setText(button, this.words.copy_link), 1500);
  }

  // ---- changing

  change = (name, value) => {
    this.table.set(name, value);
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.render();
    });
  };

  resized() {
    const width = this.parts.picture.clientWidth;
    if (width && width !== this.drawn) this.render(true);
  }

  // ---- showing

  render(resized = false) {
    const start = performance.now();
    const figures = (this.figures = this.table.figures());
    const shape = `${figures.number}`;
    const troubles = this.troubles(figures);
    for (const control of this.controls) control.update(figures, troubles.get(control.param.name));
    this.root.classList.toggle("void", !figures.valid);
    this.resetAll.disabled = this.controls.every((control) => control.reset.disabled);
    this.showNotice(figures);
    this.showHero(figures);
    if (shape !== this.shape || resized) {
      this.shape = shape;
      this.report = figures.structure.reports[this.language] ?? Object.values(figures.structure.reports)[0];
      this.colors = this.coloring();
      this.drawn = Math.max(280, this.parts.picture.clientWidth);
      this.picture = new Picture(this.table, figures, this.words, this.drawn, this.colors, this.pick);
      this.parts.picture.replaceChildren(this.picture.element);
      this.plot = new Plot(this.words, this.drawn);
      this.parts.plot.replaceChildren(this.plot.element, this.plot.legend, this.plot.readout);
      this.buildFigures(figures);
      this.buildSections();
      this.buildShares();
      this.buildConditions(figures);
      this.showDetail();
    }
    this.picture.update(figures, this.scale);
    const scale = this.words[`scale_${this.scale}_note`];
    setText(this.pictureNote, `${fill(this.words.picture_note, { scale })} ${this.words.pick}`);
    this.showShares(figures);
    this.showPlot(figures);
    this.showFigures(figures);
    this.showSections(figures);
    this.showConditions(figures);
    if (this.picked) this.showDetail();
    setText(this.parts.command, this.command());
    setText(this.parts.session, `${this.command("build")} --checkpoint FOLDER`);
    clearTimeout(this.addressing); // a browser refuses to write it with every move of a slider
    this.addressing = setTimeout(() => this.writeAddress(), 200);
    this.took = performance.now() - start;
  }

  // The params that a broken requirement names, with its reason.
  troubles(figures) {
    const found = new Map();
    for (const problem of figures.problems) {
      if (problem.kind !== "requirement") continue;
      for (const name of this.paramsIn(problem.condition)) found.set(name, problem.reason);
    }
    return found;
  }

  paramsIn(node, found = new Set()) {
    for (const name of this.table.formulas.namesIn(node)) {
      if (this.table.lets.has(name)) this.paramsIn(this.table.lets.get(name), found);
      else found.add(name);
    }
    return found;
  }

  text(node) {
    return formulaText(this.table.formulas, node);
  }

  faultText(fault) {
    const values = { ...fault.values };
    if (Object.hasOwn(this.words, values.what ?? "")) values.what = fill(this.words[values.what], values);
    return fill(this.words[fault.key], values);
  }

  problemText(problem) {
    const { words } = this;
    switch (problem.kind) {
      case "requirement":
        return fill(words.void_requirement, { condition: this.text(problem.condition), reason: problem.reason });
      case "value":
        return fill(words.void_value, { name: problem.name, reason: this.faultText(problem.fault) });
      case "structure":
        return `${words.void_structure} ${this.command("build")}`;
      default:
        return this.faultText(problem.fault);
    }
  }

  reasonText(found) {
    const { words } = this;
    if (found.absent !== undefined) return words.quantities[found.quantity.name][2] ?? found.absent;
    if (!found.reason) return "";
    if (found.reason.kind === "formula")
      return fill(words.void_formula, { condition: this.text(found.reason.condition) });
    return found.reason.kind === "counted" ? words.void_counted : this.faultText(found.reason.fault);
  }

  showNotice(figures) {
    const texts = [...new Set(figures.problems.map((problem) => this.problemText(problem)))];
    const key = texts.join("\n");
    if (key === this.noticed) return;
    this.noticed = key;
    this.parts.notice.replaceChildren(
      ...(texts.length ? [h("strong", {}, this.words.void), h("ul", {}, ...texts.map((text) => h("li", {}, text)))] : []),
    );
    this.parts.notice.hidden = !texts.length;
  }

  title(name) {
    return this.words.titles[name] ?? name;
  }

  shortOf(name, value) {
    return short(value, unitsOf(this.words.quantities[name][0]));
  }

  at(quantity) {
    return (quantity.variables ?? [])
      .map((name) => `${name} = ${grouped(this.table.variables.get(name))}`).join(", ");
  }

  showHero(figures) {
    if (!this.cards || this.cards.language !== this.language || !this.parts.hero.children.length) {
      this.cards = new Map();
      this.cards.language = this.language;
      for (const name of HERO) {
        if (!figures.quantities.has(name)) continue;
        const card = { big: h("p", { class: "big" }), exact: h("p", { class: "exact" }),
          change: h("span", { class: "change" }), at: h("p", { class: "note" }) };
        this.cards.set(name, card);
        card.element = h("div", { class: "card", "data-hero": name },
          h("h3", {}, this.title(name), card.change), card.big, card.exact, card.at);
      }
      this.parts.hero.replaceChildren(...[...this.cards.values()].map((card) => card.element));
      this.ticks = TICKER.filter((name) => figures.quantities.has(name)).map((name) => [name, h("b")]);
      this.parts.ticker.replaceChildren(
        ...this.ticks.map(([name, value]) => h("li", {}, h("span", {}, this.title(name)), value)));
    }
    for (const [name, card] of this.cards) {
      const found = figures.quantities.get(name) ?? {};
      const base = this.table.base.quantities.get(name)?.value;
      card.element.hidden = found.absent !== undefined;
      setText(card.big, found.value === undefined ? "—" : this.shortOf(name, found.value));
      setText(card.exact, found.value === undefined ? this.reasonText(found) : grouped(found.value));
      card.exact.classList.toggle("reason", found.value === undefined);
      this.showChange(card.change, found.value, base);
      setText(card.at, found.quantity ? this.at(found.quantity) : "");
    }
    for (const [name, value] of this.ticks) {
      const found = figures.quantities.get(name);
      setText(value, found.value === undefined ? "—" : this.shortOf(name, found.value));
      value.parentElement.hidden = found.absent !== undefined;
    }
  }

  showChange(element, value, base) {
    const text = value === undefined || base === undefined ? "" : changeText(value, base);
    setText(element, text);
    element.classList.toggle("up", text.startsWith("+"));
    element.classList.toggle("down", text.startsWith("−"));
  }

  // ---- picture

  // A color for each section of the report; rows are drawn in their section's.
  coloring() {
    const colors = new Map();
    this.report[1].forEach((number, i) => {
      const walk = (section) => {
        for (const [kind, , rows] of section.lines)
          if (kind === "rows") for (const [row, again] of rows) if (!again) colors.set(row, i % 10);
        section.inner.forEach((inner) => walk(this.table.entry(inner)));
      };
      walk(this.table.entry(number));
    });
    return colors;
  }

  pick = (kind, number) => {
    this.picked = { kind, number };
    this.showDetail();
  };

  showDetail() {
    const { words, figures, picked } = this;
    const known = picked && (picked.kind === "row" ? figures.rows : figures.places).has(picked.number);
    this.parts.detail.hidden = !known; // until then it would only cover the picture
    if (!known) {
      this.picked = null;
      return;
    }
    const total = figures.parameters;
    const facts = (...pairs) => h("dl", {}, ...pairs.filter(([, value]) => value).flatMap(([key, value]) =>
      [h("div", {}, h("dt", {}, key), h("dd", {}, value))]));
    if (picked.kind === "row") {
      const found = figures.rows.get(picked.number);
      const { row } = found;
      this.parts.detail.replaceChildren(
        h("h3", {}, h("code", {}, row.name), row.text ? h("span", { class: "describes" }, row.text) : null),
        facts(
          [words.shape, this.shapeText(row)],
          [words.each, found.each === undefined ? "" : `${found.dims.join(" × ")} = ${grouped(found.each)}`],
          [words.count, found.times === undefined ? "" : this.timesText(row, found)],
          [words.total, this.totalText(found)],
          [words.share, found.counted && found.total !== undefined ? percent(found.total, total) : ""],
          [words.dtype, row.format ?? row.dtype],
          ...(row.released ?? []).map(([scheme, name]) => [scheme, name]),
        ));
      return;
    }
    const { place, times, total: sum } = figures.places.get(picked.number);
    this.parts.detail.replaceChildren(
      h("h3", {}, h("code", {}, place.name), h("span", { class: "describes" },
        [place.text, place.module].filter(Boolean).join(" · "))),
      facts(
        [words.count, times === undefined ? "" : this.formulaWith(place.times, times)],
        [words.total, sum ? grouped(sum) : words.no_parameters],
        [words.share, sum ? percent(sum, total) : ""]));
  }

  formulaWith(node, value) {
    const text = this.text(node);
    return text === String(value) ? grouped(value) : `${text} = ${grouped(value)}`;
  }

  shapeText(row) {
    const dims = row.shape.map((node) => this.text(node));
    return row.kind === "map" ? dims.join(" → ") : `[${dims.join(", ")}]`;
  }

  timesText(row, found) {
    return this.formulaWith(row.times, found.times);
  }

  totalText(found) {
    if (found.row.shared) return fill(this.words[found.row.shared[0]], { target: found.row.shared[1] });
    return found.total === undefined ? "—" : `${this.text(found.row.total)} = ${grouped(found.total)}`;
  }

  // ---- shares

  headingOf(section) {
    return section.heading ?? this.words.other_rows;
  }

  rowsOf(section, found = []) {
    for (const [kind, , rows] of section.lines)
      if (kind === "rows") for (const [row, again] of rows) if (!again) found.push(row);
    section.inner.forEach((inner) => this.rowsOf(this.table.entry(inner), found));
    return found;
  }

  buildShares() {
    this.sharing = this.report[1].map((number, i) => {
      const section = this.table.entry(number);
      const rows = this.rowsOf(section).filter((row) => {
        const { kind, shared } = this.table.entry(row);
        return kind !== "scale" && !shared;
      });
      return { section, rows, color: i % 10 };
    }).filter(({ rows }) => rows.length);
    const strip = h("div", { class: "strip", "aria-hidden": "true" });
    const list = h("ul", { class: "bars" });
    for (const one of this.sharing) {
      one.slice = h("div", { class: `slice c${one.color}`, title: this.headingOf(one.section) });
      strip.append(one.slice);
      one.bar = h("div", { class: "fill" });
      one.amount = h("span", { class: "amount" });
      one.share = h("span", { class: "share" });
      list.append(h("li", { class: `c${one.color}` }, h("span", { class: "what" }, this.headingOf(one.section)),
        h("div", { class: "rail", "aria-hidden": "true" }, one.bar), one.amount, one.share));
    }
    this.parts.shares.replaceChildren(strip, list);
  }

  showShares(figures) {
    for (const one of this.sharing) {
      const sum = one.rows.reduce((total, row) => total + (figures.rows.get(row).total ?? 0n), 0n);
      const share = ratio(sum, figures.parameters);
      one.slice.style.flexGrow = share;
      one.slice.hidden = sum === 0n;
      one.bar.style.width = `${Math.min(100, share * 100)}%`;
      setText(one.amount, grouped(sum));
      setText(one.share, percent(sum, figures.parameters));
    }
  }

  // ---- cache

  showPlot(figures) {
    const { words } = this;
    const batch = this.table.variables.get("B") ?? 1n;
    setText(this.cacheNote, fill(words.cache_note, { batch: grouped(batch) }));
    const line = (state, name) => {
      if (!state.valid && state !== this.table.base) return () => undefined;
      if (name === "cache_bytes" && state.quantities.get(name)?.value !== undefined)
        return (tokens) => state.quantityAt(name, new Map([["B", batch], ["T", tokens]]));
      const each = state.quantities.get(name === "cache_bytes" ? "cache_bytes_per_token" : name)?.value;
      const scaled = (tokens) => times(times(each, batch), tokens);
      return each === undefined ? () => undefined : (tokens) => whole(scaled(tokens));
    };
    const whole = (value) => (isWhole(value) ? value : undefined);
    const here = line(figures, "cache_bytes");
    const series = [{ label: words.cache_here, kind: "here", at: here }];
    const base = line(this.table.base, "cache_bytes");
    if (base(1024n) !== here(1024n) || base(1048576n) !== here(1048576n))
      series.push({ label: words.cache_base, kind: "base", at: base });
    const expanded = line(figures, "cache_bytes_per_token_expanded");
    if (expanded(1024n) !== undefined && expanded(1024n) !== here(1024n))
      series.push({ label: words.cache_expanded, kind: "expanded", at: expanded });
    this.plot.update(series);
    const none = !this.plot.series.length;
    this.plot.element.toggleAttribute("hidden", none);
    if (none) setText(this.cacheNote, words.cache_none);
  }

  // ---- all figures

  buildFigures(figures) {
    const { words } = this;
    this.entries = new Map();
    const list = h("div", { class: "entries" });
    for (const [name, { quantity }] of figures.quantities) {
      const entry = { value: h("span", { class: "value" }), change: h("span", { class: "change" }),
        at: h("span", { class: "at" }), reason: h("p", { class: "error" }) };
      const [unit, convention] = words.quantities[name];
      const formula = quantity.formula === undefined ? null : h("details", {},
        h("summary", {}, words.formula),
        h("code", { class: "formula" }, this.text(quantity.formula)),
        ...(quantity.assumes?.length ? [h("p", { class: "note" }, words.assumes), ...quantity.assumes.map((node) =>
          h("code", { class: "formula" }, this.text(node)))] : []));
      entry.element = h("article", { class: "entry", "data-quantity": name },
        h("div", { class: "head" }, h("h3", {}, this.title(name), " ", h("code", {}, name)),
          h("p", { class: "number" }, entry.value, " ", h("span", { class: "unit" }, unit), entry.change)),
        entry.at, h("p", { class: "note" }, convention), entry.reason, formula);
      this.entries.set(name, entry);
      list.append(entry.element);
    }
    this.parts.figures.replaceChildren(list);
  }

  showFigures(figures) {
    for (const [name, entry] of this.entries) {
      const found = figures.quantities.get(name);
      setText(entry.value, found.value === undefined ? "—" : grouped(found.value));
      this.showChange(entry.change, found.value, this.table.base.quantities.get(name)?.value);
      setText(entry.at, this.at(found.quantity));
      setText(entry.reason, this.reasonText(found));
      entry.element.classList.toggle("absent", found.absent !== undefined);
    }
  }

  // ---- the table

  buildSections() {
    this.lines = [];
    this.parts.sections.replaceChildren(
      ...this.report[1].map((number, i) => this.sectionElement(this.table.entry(number), 3, i % 10)));
  }

  sectionElement(section, level, color) {
    const { words } = this;
    const rows = section.lines.filter(([kind]) => kind === "rows" || kind === "absent");
    const facts = section.lines.filter(([kind]) => kind === "value" || kind === "output");
    const table = rows.length ? h("table", {},
      h("thead", {}, h("tr", {}, ...["row", "shape", "each", "count", "total"].map((key) => h("th", { scope: "col" }, words[key])))),
      h("tbody", {}, ...rows.flatMap((line) => this.lineElements(line)))) : null;
    return h("div", { class: `section c${color}` },
      h(`h${Math.min(level, 6)}`, { class: "heading" }, this.headingOf(section)),
      table,
      facts.length ? h("ul", { class: "facts" }, ...facts.map((fact) => this.factElement(fact))) : null,
      ...section.inner.map((inner) => this.sectionElement(this.table.entry(inner), level + 1, color)));
  }

  lineElements([kind, label, rows]) {
    if (kind === "absent")
      return [h("tr", { class: "absent" }, h("th", { scope: "row" }, label), h("td", { colspan: 4 }, this.words.absent))];
    return rows.map(([number, again]) => {
      const row = this.table.entry(number);
      const cells = { each: h("td", { class: "number" }), times: h("span", {}),
        total: h("td", { class: "number" }), dims: h("span", { class: "dims" }) };
      const formula = this.text(row.times);
      this.lines.push({ number, again, ...cells });
      const name = [h("span", {}, label ?? row.text ?? row.name), h("code", {}, row.name)];
      cells.each.dataset.label = this.words.each;
      cells.total.dataset.label = this.words.total;
      return h("tr", {}, h("th", { scope: "row" }, ...name),
        h("td", { "data-label": this.words.shape }, h("code", {}, this.shapeText(row)), cells.dims),
        cells.each,
        h("td", { class: "number", "data-label": this.words.count }, cells.times,
          /\D/.test(formula) ? h("code", { class: "dims" }, formula) : null),
        cells.total);
    });
  }

  factElement([kind, label, content]) {
    const lead = label ? [h("span", { class: "label" }, label)] : [];
    const value = h("span", {});
    this.lines.push(kind === "output" ? { shape: content, value } : { fact: content, value });
    return h("li", {}, ...lead, " ", value);
  }

  showSections(figures) {
    for (const line of this.lines) {
      if (line.shape) {
        setText(line.value, `[${line.shape.map((node) => this.text(node)).join(", ")}]`);
      } else if (line.fact !== undefined) {
        const found = attempt(() => figures.find(line.fact));
        const text = this.text(line.fact);
        const literal = typeof found.value === "string" && text === JSON.stringify(found.value);
        setText(line.value, found.fault ? text : literal ? found.value
          : text === String(found.value) ? text : `${text} = ${typeof found.value === "string" ? found.value : valueText(found.value)}`);
      } else this.showLine(line, figures.rows.get(line.number));
    }
  }

  showLine(line, found) {
    const { words } = this;
    const { row } = found;
    setText(line.dims, found.each === undefined ? "" : found.dims.join(" × "));
    setText(line.each, found.each === undefined ? "—" : grouped(found.each));
    setText(line.times, found.times === undefined ? "—" : grouped(found.times));
    const shared = row.shared ? fill(words[row.shared[0]], { target: row.shared[1] }) : null;
    setText(line.total, shared ?? (line.again ? words.again : found.total === undefined ? "—" : grouped(found.total)));
  }

  // ---- conditions

  buildConditions(figures) {
    const { words, parts } = this;
    this.conditions = figures.requirements.map((found) => {
      const mark = h("span", { class: "mark", "aria-hidden": "true" });
      const state = h("span", { class: "state" });
      const element = h("li", {}, mark, h("code", {}, this.text(found.condition)), h("span", {}, found.reason), state);
      return { mark, state, element };
    });
    parts.requirements.replaceChildren(
      ...(this.conditions.length ? this.conditions.map((one) => one.element) : [h("li", {}, words.requirements_none)]));
    const { structures } = this.data;
    parts.decided.replaceChildren(...figures.structure.decided.map((node) => h("li", {}, h("code", {}, this.text(node)))));
    setText(parts.decidedNote, [fill(words.decided_note, { count: structures.length }),
      fill(words.structure, { number: figures.number + 1, count: structures.length })].join(" "));
    this.derived = this.data.lets.map(([name, node, text]) => ({ node, value: h("dd", {}), name, text }));
    parts.lets.replaceChildren(...this.derived.map(({ name, node, text, value }) =>
      h("div", {}, h("dt", {}, h("code", {}, `${name} = ${this.text(node)}`), text ? h("span", { class: "note" }, text) : null), value)));
  }

  showConditions(figures) {
    const { words } = this;
    figures.requirements.forEach(({ holds }, i) => {
      const { mark, state, element } = this.conditions[i];
      const broken = holds === false;
      element.classList.toggle("broken", broken);
      setText(mark, broken ? "✗" : "✓");
      setText(state, broken ? words.broken : words.holds);
    });
    for (const { node, value } of this.derived) {
      const found = attempt(() => figures.find(node));
      setText(value, found.fault ? "—" : isWhole(found.value) ? grouped(found.value) : valueText(found.value));
    }
  }

  // The same table on the command line.
  command(verb = "params") {
    const { data, table } = this;
    const name = data.variant ? `${data.spec}@${data.variant}` : data.spec;
    const given = new Map(Object.entries(data.overrides));
    for (const [param, value] of table.changed)
      given.set(param, Array.isArray(value) ? `[${table.text(value)}]` : table.text(value));
    const options = [...given].map(([param, value]) => `-D ${quoted(`${param}=${value}`)}`);
    return ["specgen", verb, name, ...options].join(" ");
  }
}

// A word of a command as a shell takes it.
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replace(/'/g, "'\\''")}'`);

const page = new Page(
  JSON.parse(document.getElementById("data").textContent),
  document.getElementById("page"),
);
window.specgen = { page, table: page.table };
