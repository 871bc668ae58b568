// ONNX Runtime's side of inference: node ort.js MODULES FOLDER NAME THREADS BATCH SIZE. MODULES is the node_modules folder with onnxruntime-node, FOLDER has NAME.onnx and
// input.f32; the embedding goes to NAME.f32.
"use strict";
const fs = require("fs");
const path = require("path");
const readline = require("readline");

const [modules, folder, name, threads, batch, size] = process.argv.slice(2);
const ort = require(path.join(modules, "onnxruntime-node"));

function floats(file) {
  const bytes = fs.readFileSync(path.join(folder, file));
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

async function main() {
  const session = await ort.InferenceSession.create(path.join(folder, `${name}.onnx`), {
    executionProviders: ["cpu"],
    executionMode: "sequential",
    graphOptimizationLevel: "all",
    intraOpNumThreads: Number(threads),
    interOpNumThreads: 1,
  });
  const x = new ort.Tensor("float32", floats("input.f32"), [Number(batch), 3, Number(size), Number(size)]);
  const first = (await session.run({ x })).e.data;
  fs.writeFileSync(path.join(folder, `${name}.f32`), Buffer.from(first.buffer, first.byteOffset, first.byteLength));
  await session.run({ x });
  console.log("ready " + JSON.stringify({ version: ort.env.versions.node || ort.env.versions.common }));
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const start = performance.now();
    for (let i = Number(line); i > 0; i--) {
      await session.run({ x });
    }
    console.log((performance.now() - start) / 1e3);
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
