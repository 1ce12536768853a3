/** Runs the model off the page's thread, so that the page stays alive. It keeps the last outputs for other thresholds. */

import * as ort from "./onnxruntime/ort.js";
import { innerPoints } from "./drawing.js";
import { modelInput, panoptic } from "./segmentation.js";

let settings, session, last; // `last`: the outputs, layout and size of the last picture
let queue = Promise.resolve();

onmessage = ({ data }) => {
  queue = queue.then(() => ANSWERS[data.type](data)).catch((error) => {
    postMessage({ type: "error", number: data.number, message: error.message ?? String(error) });
  });
};

const ANSWERS = {
  async load({ settings: given }) {
    settings = given;
    const model = await download("model.onnx", settings.model_bytes);
    session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    postMessage({ type: "ready", threads: self.crossOriginIsolated ? ort.env.wasm.numThreads : 1 });
  },

  async picture({ number, file, thresholds }) {
    if (!session) throw new Error("The model is not loaded: reload the page.");
    const start = performance.now();
    const { pixels, size, shown, bitmap } = await read(file);
    postMessage({ type: "photo", number, bitmap, shown }, [bitmap]);
    const { input, content } = modelInput(pixels, size, settings);
    const prepared = performance.now();
    const [rows, columns] = settings.canvas;
    const feeds = { pixel_values: new ort.Tensor("float32", input, [1, 3, rows, columns]) };
    const { class_queries_logits: classes, masks_queries_logits: masks } = await session.run(feeds);
    const outputs = {
      classLogits: classes.data, maskLogits: masks.data, queries: classes.dims[1], classes: classes.dims[2], maskSize: masks.dims.slice(2),
    };
    last = { outputs, layout: { canvas: settings.canvas, content }, shown };
    answer(number, thresholds, { size, read: prepared - start, model: performance.now() - prepared });
  },

  thresholds({ number, thresholds }) {
    if (last) answer(number, thresholds, {});
  },
};

/** Posts the segments of the last picture. */
function answer(number, thresholds, facts) {
  const start = performance.now();
  const { ids, segments } = panoptic(last.outputs, last.layout, last.shown, thresholds, settings.stuff);
  const segmentation = performance.now() - start, points = innerPoints(ids, last.shown, segments.length);
  postMessage({ type: "segments", number, ids, segments, points, shown: last.shown, facts, segmentation }, [ids.buffer]);
}

/** A file, and its progress as messages. */
async function download(path, bytes) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path} did not load (${response.status}): put the whole folder on the server.`);
  const parts = [], reader = response.body.getReader();
  for (let loaded = 0, part; !(part = await reader.read()).done; ) {
    parts.push(part.value);
    postMessage({ type: "progress", share: Math.min(1, (loaded += part.value.length) / bytes), bytes });
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** An upright image's RGBA pixels on white, its size, the size at which it is shown, and the image at that size. */
async function read(file) {
  const asStored = { imageOrientation: "from-image", colorSpaceConversion: "none" }; // Python's readers convert no colours either
  let image;
  try {
    image = await createImageBitmap(file, asStored);
  } catch {
    throw new Error(`${file.name || "This file"} is no picture that this browser can open: choose a JPEG, PNG or WebP.`);
  }
  const { width, height } = image;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, width, height).data;
  const scale = Math.min(1, settings.longest_shown / Math.max(width, height));
  const shown = [Math.max(1, Math.round(height * scale)), Math.max(1, Math.round(width * scale))];
  const options = { resizeHeight: shown[0], resizeWidth: shown[1], resizeQuality: "high" };
  const bitmap = await (scale < 1 ? createImageBitmap(context.canvas, options) : createImageBitmap(context.canvas));
  image.close();
  return { pixels, size: [height, width], shown, bitmap };
}
