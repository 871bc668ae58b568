// ONNX Runtime from the start of the process to the first embedding: node ort_start.js MODULES FOLDER MODEL THREADS SIZE LEVEL [OPTIMISED]. MODEL and input.f32 lie in
// FOLDER; the embedding goes to start.f32. LEVEL is that of graph optimisation; OPTIMISED: a file that gets the optimised model.
"use strict";
const fs = require("fs");
const path = require("path");

const [modules, folder, model, threads, size, level, optimised] = process.argv.slice(2);
const ort = require(path.join(modules, "onnxruntime-node"));

async function main() {
  const options = {
    executionProviders: ["cpu"],
    executionMode: "sequential",
    graphOptimizationLevel: level,
    intraOpNumThreads: Number(threads),
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  };
  if (optimised) {
    options.optimizedModelFilePath = path.join(folder, optimised);
  }
  const session = await ort.InferenceSession.create(path.join(folder, model), options);
  const bytes = fs.readFileSync(path.join(folder, "input.f32"));
  const x = new ort.Tensor("float32", new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4), [1, 3, Number(size), Number(size)]);
  const e = (await session.run({ x })).e.data;
  fs.writeFileSync(path.join(folder, "start.f32"), Buffer.from(e.buffer, e.byteOffset, e.byteLength));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
