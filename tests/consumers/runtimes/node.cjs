// A graph in onnxruntime-node: each line that comes in is the inputs of a call, each that goes out its outputs.
const [, , modules, path] = process.argv;
const ort = require(modules);
const lines = require("readline").createInterface({ input: process.stdin });
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const arrays = { float32: Float32Array, int64: BigInt64Array, int32: Int32Array };

const unpacked = ({ type, dims, data }) => {
  const bytes = new Uint8Array(Buffer.from(data, "base64"));
  return new ort.Tensor(type, new arrays[type](bytes.buffer), dims);
};
const packed = ({ type, dims, data }) => {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return { type, dims, data: bytes.toString("base64") };
};
const mapped = (object, change) =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));

(async () => {
  try {
    const session = await ort.InferenceSession.create(path);
    say({ takes: session.inputNames });
    for await (const line of lines) {
      const results = await session.run(mapped(JSON.parse(line), unpacked));
      say({ gives: mapped(results, packed) });
    }
  } catch (error) {
    say({ error: String(error) });
  }
})();
