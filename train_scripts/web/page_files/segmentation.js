/**
 * Pixels -> the model's input, and the model's outputs -> panoptic segments, with the numbers of the Python package.
 *
 * Nothing here needs a browser: the tests run it in node. Sizes are [height, width]; planes are flat arrays, row by row.
 * Q queries, C classes (the outputs have one more, no-object), h, w mask logits, H, W pixels of the result.
 */

/** The size [height, width] an image is resized to, as `content_size` in image_processing/sizes.py. */
export function contentSize([height, width], { canvas, stretch }) {
  const [rows, columns] = canvas;
  if (stretch) return [rows, columns];
  const short = Math.min(height, width), long = Math.max(height, width);
  let edge = rows, exact = rows; // of the short side; not yet rounded
  if ((long / short) * rows > columns) {
    exact = (columns * short) / long;
    edge = roundHalfEven(exact);
  }
  let h, w;
  if ((height <= width && height === edge) || (width <= height && width === edge)) [h, w] = [height, width];
  else if (width < height) [h, w] = [Math.trunc((exact * height) / width), edge];
  else [h, w] = [edge, Math.trunc((exact * width) / height)];
  if (h > rows || w > columns) {
    const scale = Math.min(rows / height, columns / width);
    h = Math.min(rows, roundHalfEven(height * scale));
    w = Math.min(columns, roundHalfEven(width * scale));
  }
  return [Math.max(h, 1), Math.max(w, 1)];
}

function roundHalfEven(value) {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + (floor % 2) : Math.round(value);
}

/** Resizes 8-bit RGBA pixels with antialiasing: bilinear, in the fixed-point arithmetic of torch. Returns RGBA. */
export function resizePixels(pixels, [height, width], [newHeight, newWidth]) {
  let rows = pixels;
  if (newWidth !== width) {
    const { first, counts, weights, reach, bits } = filterWeights(width, newWidth);
    const narrowed = new Uint8ClampedArray(height * newWidth * 4);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < newWidth; x++)
        mix(narrowed, 4 * (y * newWidth + x), rows, 4 * (y * width + first[x]), 4, weights, x * reach, counts[x], bits);
    rows = narrowed;
  }
  if (newHeight !== height) {
    const { first, counts, weights, reach, bits } = filterWeights(height, newHeight);
    const lowered = new Uint8ClampedArray(newHeight * newWidth * 4);
    for (let y = 0; y < newHeight; y++)
      for (let x = 0; x < newWidth; x++)
        mix(lowered, 4 * (y * newWidth + x), rows, 4 * (first[y] * newWidth + x), 4 * newWidth, weights, y * reach, counts[y], bits);
    rows = lowered;
  }
  return rows;
}

/** One pixel's red, green and blue: the weighted sum of `count` pixels, `step` apart; the clamped array cuts it to 0..255. */
function mix(to, at, from, start, step, weights, offset, count, bits) {
  const half = 1 << (bits - 1);
  let red = half, green = half, blue = half;
  for (let k = 0, source = start; k < count; k++, source += step) {
    const weight = weights[offset + k];
    red += from[source] * weight;
    green += from[source + 1] * weight;
    blue += from[source + 2] * weight;
  }
  to[at] = red >> bits;
  to[at + 1] = green >> bits;
  to[at + 2] = blue >> bits;
  to[at + 3] = 255;
}

/** The triangle filter of each new pixel as integers of `bits` fractional bits: as many as 16-bit weights have room for. */
function filterWeights(size, newSize) {
  const scale = size / newSize, support = Math.max(scale, 1), reach = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(newSize), counts = new Int32Array(newSize), exact = new Float64Array(newSize * reach);
  let largest = 0;
  for (let x = 0; x < newSize; x++) {
    const centre = scale * (x + 0.5);
    first[x] = Math.max(Math.trunc(centre - support + 0.5), 0);
    counts[x] = Math.min(Math.trunc(centre + support + 0.5), size) - first[x];
    let total = 0;
    for (let k = 0; k < counts[x]; k++) {
      exact[x * reach + k] = Math.max(0, 1 - Math.abs((k + first[x] - centre + 0.5) / support));
      total += exact[x * reach + k];
    }
    for (let k = 0; k < counts[x]; k++) {
      exact[x * reach + k] /= total;
      largest = Math.max(largest, exact[x * reach + k]);
    }
  }
  let bits = 0;
  while (bits < 22 && Math.trunc(0.5 + largest * 2 ** (bits + 1)) < 1 << 15) bits++;
  return { first, counts, weights: Int32Array.from(exact, (value) => Math.trunc(value * 2 ** bits + 0.5)), reach, bits };
}

/**
 * The model's input of one image, float32 [3, canvas], and the image's size in it.
 *
 * Padding is black at the right and bottom. It is normalised like all pixels, so it is (0 - mean) / std.
 */
export function modelInput(pixels, size, settings) {
  const content = contentSize(size, settings), [height, width] = content, [rows, columns] = settings.canvas;
  const resized = resizePixels(pixels, size, content);
  const levels = settings.mean.map((mean, channel) => normalisedLevels(mean, settings.std[channel], settings.rescale_factor));
  const input = new Float32Array(3 * rows * columns);
  levels.forEach((level, channel) => {
    const plane = input.subarray(channel * rows * columns, (channel + 1) * rows * columns).fill(level[0]);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) plane[y * columns + x] = level[resized[4 * (y * width + x) + channel]];
  });
  return { input, content };
}

/** What each of the 256 levels becomes, in float32 as the image processor computes it. */
function normalisedLevels(mean, std, rescaleFactor) {
  const [offset, divisor] = [mean, std].map((value) => Math.fround(Math.fround(value) * Math.fround(1 / rescaleFactor)));
  return Float32Array.from({ length: 256 }, (_, level) => Math.fround(level - offset) / divisor);
}

/** Bilinear resizing of a plane without antialiasing; of the result only the first `shown` rows and columns. */
export function resizePlane(plane, [height, width], size, shown = size) {
  if (size[0] === height && size[1] === width && shown[0] === height && shown[1] === width) return plane;
  const across = neighbours(width, size[1], shown[1]), down = neighbours(height, size[0], shown[0]);
  const result = new Float32Array(shown[0] * shown[1]), row = new Float32Array(width);
  for (let y = 0; y < shown[0]; y++) {
    const upper = down.low[y] * width, lower = down.high[y] * width, below = down.share[y];
    for (let x = 0; x < width; x++) row[x] = (1 - below) * plane[upper + x] + below * plane[lower + x];
    for (let x = 0; x < shown[1]; x++)
      result[y * shown[1] + x] = (1 - across.share[x]) * row[across.low[x]] + across.share[x] * row[across.high[x]];
  }
  return result;
}

/** Of each new pixel the old ones before and after its centre, and the share of the one after. */
function neighbours(size, newSize, count) {
  const low = new Int32Array(count), high = new Int32Array(count), share = new Float32Array(count);
  for (let x = 0; x < count; x++) {
    const centre = Math.max(0, Math.fround(size / newSize) * (x + 0.5) - 0.5);
    low[x] = Math.min(Math.trunc(centre), size - 1);
    high[x] = Math.min(low[x] + 1, size - 1);
    share[x] = centre - low[x];
  }
  return { low, high, share };
}

/**
 * Panoptic segments: each pixel goes to the confident query with the largest score x mask probability.
 *
 * outputs     {classLogits, maskLogits, queries, classes (C + 1), maskSize [h, w]}
 * layout      {canvas, content}: sizes of the model's input, and of the image in it
 * target      [H, W] of the result
 * thresholds  {score, mask, overlap}, as `threshold`, `mask_threshold`, `overlap_mask_area_threshold` in Python
 * stuff       classes of which an image has one segment at most
 *
 * Returns {ids, segments}: ids are Int32 (H x W), -1 is void, and segments a list of {id, label, score, area}.
 */
export function panoptic(outputs, layout, target, thresholds, stuff) {
  const candidates = confidentQueries(outputs, thresholds.score);
  const pixels = target[0] * target[1], planeSize = outputs.maskSize[0] * outputs.maskSize[1];
  const best = new Float32Array(pixels).fill(-1), winners = new Int32Array(pixels).fill(-1);
  const maskAreas = candidates.map(({ query, score }, k) => {
    const logits = outputs.maskLogits.subarray(query * planeSize, (query + 1) * planeSize);
    const inInput = resizePlane(logits, outputs.maskSize, layout.canvas, layout.content);
    return compete(resizePlane(inInput, layout.content, target), k, score, best, winners, thresholds.mask);
  });
  const areas = new Int32Array(2 * candidates.length); // pixels that query k wins outside (2 k) and inside its mask (2 k + 1)
  for (const winner of winners) if (winner >= 0) areas[winner]++;
  const { segmentOf, segments } = numberSegments(candidates, areas, maskAreas, thresholds.overlap, new Set(stuff));
  const ids = winners.map((winner) => (winner >= 0 && winner % 2 ? segmentOf[winner >> 1] : -1));
  for (const id of ids) if (id >= 0) segments[id].area++;
  return { ids, segments };
}

/** The queries whose best class is a real one and has a probability above the threshold. */
function confidentQueries({ classLogits, queries, classes }, threshold) {
  const confident = [];
  for (let query = 0; query < queries; query++) {
    const logits = classLogits.subarray(query * classes, (query + 1) * classes);
    const label = logits.indexOf(Math.max(...logits));
    const score = Math.fround(1 / logits.reduce((sum, logit) => sum + Math.exp(logit - logits[label]), 0));
    if (label !== classes - 1 && score > Math.fround(threshold)) confident.push({ query, label, score });
  }
  return confident;
}

/** Takes query k into the running `best` and `winners`, and returns its mask's area in pixels. */
function compete(logits, k, score, best, winners, maskThreshold) {
  let area = 0;
  for (let i = 0; i < logits.length; i++) {
    const probability = Math.fround(1 / (1 + Math.exp(-logits[i])));
    const inside = probability >= maskThreshold ? 1 : 0;
    const weighted = Math.fround(probability * score);
    area += inside;
    if (weighted > best[i]) { // of equals the first wins
      best[i] = weighted;
      winners[i] = 2 * k + inside;
    }
  }
  return area;
}

/** The segment id of each query (-1: none), and the segments; stuff of one class shares the first one's id. */
function numberSegments(candidates, areas, maskAreas, overlap, stuff) {
  const segments = [], idOfStuff = new Map();
  const segmentOf = candidates.map(({ label, score }, k) => {
    const won = Math.fround((areas[2 * k] + areas[2 * k + 1]) / maskAreas[k]);
    if (!(areas[2 * k + 1] > 0 && maskAreas[k] > 0 && won > overlap)) return -1;
    if (idOfStuff.has(label)) return idOfStuff.get(label);
    const id = segments.length;
    if (stuff.has(label)) idOfStuff.set(label, id);
    segments.push({ id, label, score: Math.round(score * 1e6) / 1e6, area: 0 });
    return id;
  });
  return { segmentOf, segments };
}
