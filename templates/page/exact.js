// Exact arithmetic as the table has it.  A whole number is a BigInt, a quotient {n, d} in lowest
// terms with d > 1, a real a Number; nothing is ever rounded to a whole number.  The rules are
// those of specgen/expr/evaluate.py, and the tests hold the two to each other.

class Fault extends Error {
  constructor(key, values = {}) {
    super(key);
    this.key = key;
    this.values = values;
  }
}

const LIMITS = { magnitude: 1n << 200n, exponent: 512n };

const isWhole = (value) => typeof value === "bigint";
const isReal = (value) => typeof value === "number";
const isQuotient = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isNumber = (value) => isWhole(value) || isReal(value) || isQuotient(value);

const absolute = (n) => (n < 0n ? -n : n);

function divisor(a, b) {
  while (b !== 0n) [a, b] = [b, a % b];
  return absolute(a);
}

// n / d as a whole number or a quotient in lowest terms.
function quotient(n, d) {
  if (d === 0n) throw new Fault("error_zero");
  const common = divisor(n, d);
  if (d < 0n) [n, d] = [-n, -d];
  n /= common;
  d /= common;
  return d === 1n ? n : { n, d };
}

const numerator = (value) => (isWhole(value) ? value : value.n);
const denominator = (value) => (isWhole(value) ? 1n : value.d);

const bits = (n) => absolute(n).toString(2).length;

// The nearest Number, ties to even: 55 bits of the quotient and whether anything is left over.
function toReal(value) {
  if (isReal(value)) return value;
  if (isWhole(value)) return Number(value);
  const { n, d } = value;
  const shift = 55 - (bits(n) - bits(d));
  const top = shift >= 0 ? absolute(n) << BigInt(shift) : absolute(n);
  const bottom = shift >= 0 ? d : d << BigInt(-shift);
  const left = top % bottom === 0n ? 0n : 1n;
  const found = Number((top / bottom) | left) * 2 ** -shift;
  return n < 0n ? -found : found;
}

// A real as the exact fraction that it is; comparisons with sizes are exact.
function fraction(real) {
  let shift = 0;
  while (!Number.isInteger(real)) {
    real *= 2;
    shift += 1;
  }
  return quotient(BigInt(real), 1n << BigInt(shift));
}

function compare(a, b) {
  if (isReal(a) && isReal(b)) return a < b ? -1 : a > b ? 1 : 0;
  if (isReal(a) && !Number.isFinite(a)) return a > 0 ? 1 : -1;
  if (isReal(b) && !Number.isFinite(b)) return b > 0 ? -1 : 1;
  const [left, right] = [a, b].map((value) => (isReal(value) ? fraction(value) : value));
  const [l, r] = [numerator(left) * denominator(right), numerator(right) * denominator(left)];
  return l < r ? -1 : l > r ? 1 : 0;
}

function same(a, b) {
  if (isNumber(a) && isNumber(b)) return compare(a, b) === 0;
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, i) => same(item, b[i]));
  return a === b;
}

function bounded(value) {
  if (isWhole(value) && absolute(value) > LIMITS.magnitude) throw new Fault("error_limit");
  if (isQuotient(value)) {
    if (absolute(value.n) > LIMITS.magnitude || value.d > LIMITS.magnitude)
      throw new Fault("error_limit");
  }
  return value;
}

function floor(value) {
  if (isWhole(value)) return value;
  if (isReal(value)) {
    if (!Number.isFinite(value)) throw new Fault("error_limit");
    return BigInt(Math.floor(value));
  }
  const down = value.n / value.d;
  return value.n < 0n ? down - 1n : down;
}

const negative = (value) => (isQuotient(value) ? { n: -value.n, d: value.d } : -value);

// An operator on two numbers: on reals as soon as one of them is real.
function mixed(onReals, onExact) {
  return (a, b) => (isReal(a) || isReal(b) ? onReals(toReal(a), toReal(b)) : onExact(a, b));
}

const plus = mixed((a, b) => a + b, (a, b) =>
  isWhole(a) && isWhole(b)
    ? a + b
    : quotient(
        numerator(a) * denominator(b) + numerator(b) * denominator(a),
        denominator(a) * denominator(b),
      ),
);

const times = mixed((a, b) => a * b, (a, b) =>
  isWhole(a) && isWhole(b)
    ? a * b
    : quotient(numerator(a) * numerator(b), denominator(a) * denominator(b)),
);

const over = mixed(
  (a, b) => {
    if (b === 0) throw new Fault("error_zero");
    return a / b;
  },
  (a, b) => quotient(numerator(a) * denominator(b), denominator(a) * numerator(b)),
);

const remainder = mixed(
  (a, b) => {
    if (b === 0) throw new Fault("error_zero");
    const left = a % b;
    return left !== 0 && left < 0 !== b < 0 ? left + b : left;
  },
  (a, b) => plus(a, negative(times(b, floor(over(a, b))))),
);

function power(base, exponent) {
  if (isReal(base) || !isWhole(exponent)) return real(Math.pow)(base, exponent);
  if (absolute(exponent) > LIMITS.exponent) throw new Fault("error_limit");
  const [n, d] = [numerator(base), denominator(base)];
  return exponent >= 0n
    ? quotient(n ** exponent, d ** exponent)
    : quotient(d ** -exponent, n ** -exponent);
}

// A function of reals; where it has no finite value, that is a fault.
function real(compute) {
  return (...args) => {
    const given = args.map(toReal);
    const found = compute(...given);
    if (Number.isNaN(found) || (!Number.isFinite(found) && given.every(Number.isFinite)))
      throw new Fault("error_limit");
    return found;
  };
}

const OPERATIONS = {
  "+": plus,
  "-": (a, b) => plus(a, negative(b)),
  "*": times,
  "/": over,
  "%": remainder,
  "**": power,
  neg: negative,
  "<": (a, b) => compare(a, b) < 0,
  "<=": (a, b) => compare(a, b) <= 0,
  ">": (a, b) => compare(a, b) > 0,
  ">=": (a, b) => compare(a, b) >= 0,
  ceil: (a) => -floor(negative(a)),
  floor,
  ln: real(Math.log),
  exp: real(Math.exp),
  sqrt: real(Math.sqrt),
  cos: real(Math.cos),
  sin: real(Math.sin),
  tanh: real(Math.tanh),
  abs: (a) => (compare(a, 0n) < 0 ? negative(a) : a),
  min: (a, b) => (compare(b, a) < 0 ? b : a),
  max: (a, b) => (compare(b, a) > 0 ? b : a),
};

function truth(value) {
  if (typeof value !== "boolean") throw new Fault("error_kind");
  return value;
}

function apply(op, args) {
  if (op === "==") return same(args[0], args[1]);
  if (op === "!=") return !same(args[0], args[1]);
  if (op === "not") return !truth(args[0]);
  if (op === "list") return args;
  if (op === "length" || op === "contains") {
    if (!Array.isArray(args[0])) throw new Fault("error_kind");
    if (op === "length") return BigInt(args[0].length);
    return args[0].some((item) => same(item, args[1]));
  }
  if (!args.every(isNumber)) throw new Fault("error_kind");
  return bounded(OPERATIONS[op](...args));
}

// The nodes of the page's data: names, literals, and operators on nodes before them.
class Formulas {
  constructor(nodes) {
    this.nodes = nodes.map((node) => (Array.isArray(node) ? node : { leaf: literal(node) }));
    this.symbols = nodes.map((node) => (typeof node === "string" ? node : null));
  }

  // A function from a node's number to its value, where `valueOf` knows the names.
  at(valueOf) {
    const known = new Array(this.nodes.length);
    const find = (number) => {
      let found = known[number];
      if (found === undefined) {
        try {
          found = { value: this.compute(number, find, valueOf) };
        } catch (fault) {
          if (!(fault instanceof Fault)) throw fault;
          found = { fault };
        }
        known[number] = found;
      }
      if (found.fault) throw found.fault;
      return found.value;
    };
    return find;
  }

  compute(number, find, valueOf) {
    const node = this.nodes[number];
    if (this.symbols[number] !== null) return valueOf(this.symbols[number]);
    if (!Array.isArray(node)) return node.leaf;
    const [op, ...args] = node;
    switch (op) {
      case "cond":
        return truth(find(args[0])) ? find(args[1]) : find(args[2]);
      case "and":
        return args.every((arg) => truth(find(arg)));
      case "or":
        return args.some((arg) => truth(find(arg)));
      default:
        return apply(op, args.map(find));
    }
  }

  // The names in an expression, each once.
  namesIn(number, found = new Set()) {
    const node = this.nodes[number];
    if (this.symbols[number] !== null) found.add(this.symbols[number]);
    else if (Array.isArray(node)) node.slice(1).forEach((arg) => this.namesIn(arg, found));
    return found;
  }
}

function literal(node) {
  if (typeof node === "number") return BigInt(node);
  if (typeof node !== "object" || node === null) return node;
  if ("i" in node) return BigInt(node.i);
  if ("f" in node) return realOf(node.f);
  return node.t;
}

const realOf = (text) =>
  text === "inf" ? Infinity : text === "-inf" ? -Infinity : text === "nan" ? NaN : Number(text);
