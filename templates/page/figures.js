// The table as a whole: what its parameters are, which of its structures that makes it, and every
// figure of it.  Knows no document; the tests and the console use it as `specgen.table`.

const NUMERIC = new Set(["size", "count", "real"]);
const LISTS = new Set(["counts", "reals"]);

class Table {
  constructor(data) {
    LIMITS.magnitude = BigInt(data.limits.magnitude);
    LIMITS.exponent = BigInt(data.limits.exponent);
    this.data = data;
    this.size = BigInt(data.limits.size);
    this.formulas = new Formulas(data.nodes);
    this.params = new Map(data.params.map((param) => [param.name, param]));
    this.lets = new Map(data.lets.map(([name, node]) => [name, node]));
    this.defaults = new Map(Object.entries(data.variables).map(([n, v]) => [n, BigInt(v)]));
    this.changed = new Map();
    this.variables = new Map(this.defaults);
    this.structure = 0;
    this.base = this.figures();
  }

  entry(number) {
    return this.data.pool[number];
  }

  // ---- changing

  // Sets a param or a variable; `null` gives it back to the table, and so does the table's own value
  // where it follows no others.
  set(name, value) {
    if (this.params.has(name)) {
      if (value === null || (!this.follows(name).length && same(value, this.base.values.get(name)?.value)))
        this.changed.delete(name);
      else this.changed.set(name, value);
    } else if (this.defaults.has(name)) {
      this.variables.set(name, value === null ? this.defaults.get(name) : value);
    }
  }

  // The params that a param's own definition takes its value from.
  follows(name) {
    const node = this.params.get(name)?.set;
    return node === undefined ? [] : [...this.formulas.namesIn(node)];
  }

  reset() {
    this.changed.clear();
    this.variables = new Map(this.defaults);
  }

  // What a text means for a param or a variable; undefined where it means nothing.
  read(name, text) {
    const kind = this.params.get(name)?.kind ?? "variable";
    const trimmed = text.trim();
    switch (kind) {
      case "size":
      case "count":
        return /^\d{1,40}$/.test(trimmed) ? BigInt(trimmed) : undefined;
      case "variable":
        return readDecimal(trimmed);
      case "real":
        return readReal(trimmed);
      case "flag":
        return trimmed === "true" ? true : trimmed === "false" ? false : undefined;
      case "counts":
      case "reals": {
        const inner = trimmed.replace(/^\[|\]$/g, "").trim();
        const items = inner === "" ? [] : inner.split(",").map((item) => item.trim());
        const found = items.map((item) =>
          kind === "reals" ? readReal(item) : /^\d{1,40}$/.test(item) ? BigInt(item) : undefined,
        );
        return found.includes(undefined) ? undefined : found;
      }
      default:
        return text;
    }
  }

  // The text that `read` takes back to the value.
  text(value) {
    if (Array.isArray(value)) return value.map((item) => this.text(item)).join(",");
    if (isQuotient(value)) return decimalText(value);
    return String(value);
  }

  // ---- computing

  // Every figure for the parameters as they are now.
  figures() {
    const settled = new Map();
    const active = new Set();
    const valueOf = (name) => {
      if (this.params.has(name)) return setting(name);
      if (this.lets.has(name)) return find(this.lets.get(name));
      if (this.variables.has(name)) return this.variables.get(name);
      throw new Fault("error_name", { name });
    };
    const setting = (name) => {
      if (!settled.has(name)) {
        if (active.has(name)) throw new Fault("error_cycle", { name });
        active.add(name);
        try {
          const given = this.changed.has(name)
            ? this.changed.get(name)
            : find(this.params.get(name).set);
          settled.set(name, { value: this.fitted(this.params.get(name), given) });
        } catch (fault) {
          if (!(fault instanceof Fault)) throw fault;
          settled.set(name, { fault });
        }
        active.delete(name);
      }
      const found = settled.get(name);
      if (found.fault) throw found.fault;
      return found.value;
    };
    const find = this.formulas.at(valueOf);
    return new Figures(this, find, valueOf);
  }

  // The value as the param's kind has it.
  fitted(param, value) {
    const whole = (item, low) => isWhole(item) && item >= low && item <= this.size;
    const limit = this.size;
    switch (param.kind) {
      case "size":
        if (whole(value, 1n)) return value;
        throw new Fault("wanted_size", { limit });
      case "count":
        if (whole(value, 0n)) return value;
        throw new Fault("wanted_count", { limit });
      case "real":
        if (isNumber(value)) return toReal(value);
        throw new Fault("wanted_real");
      case "flag":
        if (typeof value === "boolean") return value;
        throw new Fault("wanted_flag");
      case "counts":
        if (Array.isArray(value) && value.every((item) => whole(item, 0n))) return value;
        throw new Fault("wanted_list");
      case "reals":
        if (Array.isArray(value) && value.every(isNumber)) return value.map(toReal);
        throw new Fault("wanted_list");
      default:
        if (typeof value === "string" && (param.choices ?? [value]).includes(value)) return value;
        throw new Fault("wanted_choice", { choices: (param.choices ?? []).join(", ") });
    }
  }
}

function readReal(text) {
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) && Number.isFinite(Number(text))
    ? Number(text)
    : undefined;
}

// A decimal as the exact number that it says: half a byte is 1/2.
function readDecimal(text) {
  const found = /^(\d{1,40})(?:\.(\d{1,20}))?$/.exec(text);
  if (!found) return undefined;
  const places = found[2] ?? "";
  const value = quotient(BigInt(found[1] + places), 10n ** BigInt(places.length));
  return compare(value, 0n) > 0 ? value : undefined;
}

// A quotient as a decimal where it has an end, as those that were read have.
function decimalText(value) {
  let places = 0;
  let scale = 1n;
  while ((value.n * scale) % value.d !== 0n && places < 20) {
    places += 1;
    scale *= 10n;
  }
  const digits = String((value.n * scale) / value.d).padStart(places + 1, "0");
  return places ? `${digits.slice(0, -places)}.${digits.slice(-places)}` : digits;
}

// One state of the table.  `problems` say why no figure holds: { kind, ... }; a figure that has
// no value of its own says why in `reason`.
class Figures {
  constructor(table, find, valueOf) {
    this.table = table;
    this.find = find;
    this.valueOf = valueOf;
    this.problems = [];
    this.values = new Map();
    for (const [name, param] of table.params) {
      const found = attempt(() => valueOf(name));
      this.values.set(name, found);
      if (found.fault) this.problems.push({ kind: "value", name, fault: found.fault, param });
    }
    const held = table.data.structures.findIndex((structure) => this.all(structure.decided));
    if (held >= 0) table.structure = held;
    else if (!this.problems.length) this.problems.push({ kind: "structure" });
    this.number = table.structure;
    this.structure = table.data.structures[this.number];
    this.requirements = this.structure.requires.map(([condition, reason]) => ({
      condition,
      reason,
      holds: this.holds(condition),
    }));
    if (held >= 0 || this.problems.some((problem) => problem.kind === "value"))
      for (const found of this.requirements)
        if (found.holds === false) this.problems.push({ kind: "requirement", ...found });
    this.rows = new Map(this.structure.rows.map((number) => [number, this.row(number)]));
    this.places = new Map();
    this.walk(this.structure.tree);
    this.quantities = new Map();
    for (const number of this.structure.quantities) {
      const quantity = table.entry(number);
      this.quantities.set(quantity.name, this.quantity(quantity));
    }
    this.valid = this.problems.length === 0;
    this.parameters = this.quantities.get("parameters")?.value ?? 0n;
  }

  // Whether a condition holds; undefined where it has no value.
  holds(condition) {
    const found = attempt(() => this.find(condition));
    return found.fault ? undefined : found.value === true;
  }

  all(conditions) {
    return conditions.every((condition) => this.holds(condition) === true);
  }

  quantity(quantity) {
    if (quantity.formula === undefined) return { quantity, absent: quantity.absent };
    const broken = (quantity.assumes ?? []).find((condition) => this.holds(condition) !== true);
    if (broken !== undefined) return { quantity, reason: { kind: "formula", condition: broken } };
    const pinned = quantity.counted_for ?? [];
    const moved = pinned.some(([name, node]) => {
      const found = this.values.get(this.table.entry(name));
      return found.fault || !same(found.value, this.find(node));
    });
    if (moved) return { quantity, reason: { kind: "counted" } };
    const found = attempt(() => this.find(quantity.formula));
    if (found.fault) return { quantity, reason: { kind: "fault", fault: found.fault } };
    if (isWhole(found.value)) return { quantity, value: found.value };
    const fault = new Fault("not_whole", { what: quantity.name, value: plainText(found.value) });
    return { quantity, reason: { kind: "fault", fault } };
  }

  // The value of a quantity for other variables, the params as they are.
  quantityAt(name, variables) {
    const known = this.quantities.get(name);
    if (known?.value === undefined) return undefined;
    const valueOf = (symbol) => variables.get(symbol) ?? this.valueOf(symbol);
    const found = attempt(() => this.table.formulas.at(valueOf)(known.quantity.formula));
    return isWhole(found.value) ? found.value : undefined;
  }

  row(number) {
    const row = this.table.entry(number);
    const found = { row, number, counted: row.kind !== "scale" && !row.shared };
    const whole = (node, what) => {
      const result = attempt(() => this.find(node));
      if (result.fault) {
        this.problems.push({ kind: "row", fault: result.fault });
        return undefined;
      }
      if (isWhole(result.value) && result.value >= 0n) return result.value;
      const key = isWhole(result.value) ? "negative" : "not_whole";
      const values = { what, row: row.name, value: plainText(result.value) };
      this.problems.push({ kind: "row", fault: new Fault(key, values) });
      return undefined;
    };
    found.dims = row.shape.map((node) => whole(node, "size_of"));
    if (found.dims.includes(undefined)) return found;
    if (!this.all(row.assumes ?? [])) return found;
    found.times = whole(row.times, "times_of");
    if (found.times === undefined) return found;
    found.each = found.dims.reduce((product, dim) => product * dim, 1n);
    found.total = found.times * found.each;
    return found;
  }

  // Totals of every place, from its rows up; counts of parts are whole numbers.  A place is
  // `mixed` where its copies are not all alike: one copy is then an average.
  walk(number) {
    const place = this.table.entry(number);
    const found = { place, number, total: 0n, once: 0n };
    const times = attempt(() => this.find(place.times));
    found.times = isWhole(times.value) ? times.value : undefined;
    if (place.repeated !== undefined) {
      const repeated = attempt(() => this.find(place.repeated));
      const fine = isWhole(repeated.value) && repeated.value >= 0n && repeated.value <= this.table.size;
      if (!fine) {
        const value = repeated.fault ? "?" : plainText(repeated.value);
        const fault = new Fault("not_whole", { what: "times_of", row: place.name, value });
        this.problems.push({ kind: "row", fault });
      } else found.repeated = repeated.value;
    }
    const uneven = (times) => Boolean(times && found.times && times % found.times);
    for (const [kind, item] of place.items) {
      if (kind === "place") {
        this.walk(item);
        const inner = this.places.get(item);
        found.total += inner.total;
        found.mixed ||= inner.mixed || uneven(inner.times);
      } else {
        const row = this.rows.get(item);
        if (row.counted) found.total += row.total ?? 0n;
        found.mixed ||= uneven(row.times);
      }
    }
    this.places.set(number, found);
  }
}

function attempt(compute) {
  try {
    return { value: compute() };
  } catch (fault) {
    if (fault instanceof Fault) return { fault };
    throw fault;
  }
}
