// The least and greatest number of each output of a model: node ort_ranges.js MODULES FOLDER MODEL BATCH SIZE prints them as JSON, by the output's name. input.f32 lies in
// FOLDER too.
"use strict";
const fs = require("fs");
const path = require("path");

const [modules, folder, model, batch, size] = process.argv.slice(2);
const ort = require(path.join(modules, "onnxruntime-node"));

async function main() {
  const session = await ort.InferenceSession.create(path.join(folder, model), { graphOptimizationLevel: "disabled" });
  const bytes = fs.readFileSync(path.join(folder, "input.f32"));
  const data = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const found = await session.run({ x: new ort.Tensor("float32", data, [Number(batch), 3, Number(size), Number(size)]) });
  const ranges = {};
  for (const [name, tensor] of Object.entries(found)) {
    let low = Infinity;
    let high = -Infinity;
    for (const v of tensor.data) {
      low = Math.min(low, v);
      high = Math.max(high, v);
    }
    ranges[name] = [low, high];
  }
  console.log(JSON.stringify(ranges));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
