// How numbers and formulas are written.  Short forms are rounded and always stand beside the
// exact figure.

const PRECEDENCE = {
  cond: 0, or: 1, and: 2, not: 3, "==": 4, "!=": 4, "<": 4, "<=": 4, ">": 4, ">=": 4,
  "+": 5, "-": 5, "*": 6, "/": 6, "%": 6, neg: 7, "**": 8,
};

const SIGNS = { "*": " × ", "==": " = ", "!=": " ≠ ", "<=": " ≤ ", ">=": " ≥ ", neg: "−", "-": " − " };

// A formula in the table's notation, with the parentheses that it needs.
function formulaText(formulas, number) {
  return written(formulas, number)[0];
}

function written(formulas, number) {
  const node = formulas.nodes[number];
  if (formulas.symbols[number] !== null) return [formulas.symbols[number], 9];
  if (!Array.isArray(node)) return [valueText(node.leaf), 9];
  const [op, ...args] = node;
  const inside = (arg, level) => {
    const [text, own] = written(formulas, arg);
    return own < level ? `(${text})` : text;
  };
  const sign = SIGNS[op] ?? ` ${op} `;
  const level = PRECEDENCE[op];
  switch (op) {
    case "cond":
      return [`${inside(args[1], 1)} when ${inside(args[0], 1)} else ${inside(args[2], 0)}`, 0];
    case "neg":
      return [sign + inside(args[0], level), level];
    case "not":
      return [`not ${inside(args[0], level)}`, level];
    case "**":
      return [`${inside(args[0], 9)} ** ${inside(args[1], 7)}`, 8];
    case "list":
      return [`[${args.map((arg) => inside(arg, 0)).join(", ")}]`, 9];
    default:
      break;
  }
  if (level === undefined) return [`${op}(${args.map((arg) => inside(arg, 0)).join(", ")})`, 9];
  const chain = (arg) =>
    (op === "+" || op === "*") && Array.isArray(formulas.nodes[arg]) && formulas.nodes[arg][0] === op;
  const parts = args.map((arg, i) =>
    inside(arg, i === 0 || chain(arg) || op === "and" || op === "or" ? level : level + 1),
  );
  return [parts.join(sign), level];
}

// A value as a reader writes it in a table; whole numbers in groups of three.
function valueText(value) {
  if (typeof value === "boolean") return value ? "true" : "false";
  if (value === null) return "null";
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(plainText).join(", ")}]`;
  return plainText(value);
}

const plainText = (value) => (isQuotient(value) ? `${value.n}/${value.d}` : String(value));

function grouped(value) {
  if (!isWhole(value)) return plainText(value);
  const digits = absolute(value).toString().replace(/\B(?=(\d{3})+$)/g, ",");
  return value < 0n ? `−${digits}` : digits;
}

const DECIMAL = ["", "k", "M", "B", "T", "P", "E", "Z", "Y"];
const BYTES = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const OPERATIONS_OF = ["FLOPs", "kFLOPs", "MFLOPs", "GFLOPs", "TFLOPs", "PFLOPs", "EFLOPs", "ZFLOPs", "YFLOPs"];

// Four digits and a unit, rounded half up: 671.0 B.
function short(value, units = DECIMAL) {
  let power = 0;
  let scale = 1n;
  const size = absolute(value);
  while (power + 1 < units.length && size >= scale * 1000n) {
    scale *= 1000n;
    power += 1;
  }
  const unit = units[power] ? ` ${units[power]}` : "";
  if (power === 0) return `${value}${unit}`;
  const whole = size / scale;
  const places = whole >= 100n ? 1 : whole >= 10n ? 2 : 3;
  const ten = 10n ** BigInt(places);
  const digits = (size * ten * 2n + scale) / (scale * 2n);
  const text = `${digits / ten}.${String(digits % ten).padStart(places, "0")}`;
  return `${value < 0n ? "−" : ""}${text}${unit}`;
}

const unitsOf = (unit) =>
  ({ bytes: BYTES, 字节: BYTES, FLOPs: OPERATIONS_OF, operations: OPERATIONS_OF })[unit] ?? DECIMAL;

// A share of a whole with two decimals, rounded half up; a small one is not called none.
function percent(part, whole) {
  if (whole === 0n) return "";
  const hundredths = (part * 20000n + whole) / (2n * whole);
  if (hundredths === 0n && part !== 0n) return "<0.01%";
  return `${hundredths / 100n}.${String(hundredths % 100n).padStart(2, "0")}%`;
}

// A change against a base, signed: +12.50%.
function changeText(value, base) {
  if (value === base) return "";
  if (base === 0n) return "";
  const difference = value - base;
  const text = percent(absolute(difference), absolute(base));
  return (difference < 0n ? "−" : "+") + text;
}

// A part of a whole as a Number for drawing only.
const ratio = (part, whole) =>
  whole === 0n ? 0 : Number((part * 1000000n) / whole) / 1000000;

const fill = (text, values) =>
  text.replace(/\{(\w+)\}/g, (all, name) => (Object.hasOwn(values, name) ? String(values[name]) : all));
