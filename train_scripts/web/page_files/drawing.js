/** Segments -> colours, an overlay's pixels, and the points at which names stand. Nothing here needs a browser. */

const OVERLAY_SIDE = 1200; // pixels, at least which the overlay has, so that edges stay sharp on small pictures
const FAINT = 0.4; // of the colour that other segments keep beside the one that is pointed at
const VOID = [0, 0, 0, 150];
const EDGE = [255, 255, 255, 255];

/** Each segment's [red, green, blue]: its class's colour, of several instances of a thing in turn the class's shades. */
export function segmentColors(segments, colors) {
  const seen = new Map();
  return segments.map(({ label }) => {
    const instance = seen.get(label) ?? 0;
    seen.set(label, instance + 1);
    return colors[label][instance % colors[label].length];
  });
}

/** How many pixels of the overlay a pixel of the map becomes. */
export function overlayScale([height, width]) {
  return Math.max(1, Math.round(OVERLAY_SIDE / Math.max(height, width)));
}

/** RGBA pixels of the map, `scale` times as large, with light edges. `chosen` (an id, or -1) stands out from the others. */
export function overlayPixels(ids, [height, width], colors, scale, chosen = -1) {
  const rows = height * scale, columns = width * scale, edge = Math.max(1, Math.round(Math.max(rows, columns) / 600));
  const pixels = new Uint8ClampedArray(4 * rows * columns), line = new Int32Array(columns);
  for (let y = 0; y < rows; y++) {
    const row = Math.floor(y / scale) * width, below = Math.floor(Math.min(y + edge, rows - 1) / scale) * width;
    for (let x = 0; x < columns; x++) line[x] = Math.floor(x / scale);
    for (let x = 0; x < columns; x++) {
      const id = ids[row + line[x]];
      const onEdge = id !== ids[row + line[Math.min(x + edge, columns - 1)]] || id !== ids[below + line[x]];
      const color = onEdge ? EDGE : id < 0 ? VOID : colors[id], at = 4 * (y * columns + x);
      pixels[at] = color[0];
      pixels[at + 1] = color[1];
      pixels[at + 2] = color[2];
      pixels[at + 3] = (color[3] ?? 255) * (chosen < 0 || id === chosen || onEdge ? 1 : FAINT);
    }
  }
  return pixels;
}

/** Of each segment the point farthest from its border, and how far that is: [{x, y, room}], in pixels of the map. */
export function innerPoints(ids, [height, width], count) {
  const distance = new Float32Array(height * width), diagonal = Math.SQRT2;
  const step = (at, x, y, dx, dy, length) => {
    const inside = x + dx >= 0 && x + dx < width && y + dy >= 0 && y + dy < height;
    const other = at + dy * width + dx;
    const reached = inside && ids[other] === ids[at] ? distance[other] + length : length / 2;
    if (reached < distance[at]) distance[at] = reached;
  };
  distance.fill(Infinity);
  for (let y = 0, at = 0; y < height; y++)
    for (let x = 0; x < width; x++, at++) {
      step(at, x, y, -1, 0, 1), step(at, x, y, 0, -1, 1), step(at, x, y, -1, -1, diagonal), step(at, x, y, 1, -1, diagonal);
    }
  const points = Array.from({ length: count }, () => ({ x: 0, y: 0, room: 0 }));
  for (let y = height - 1, at = height * width - 1; y >= 0; y--)
    for (let x = width - 1; x >= 0; x--, at--) {
      step(at, x, y, 1, 0, 1), step(at, x, y, 0, 1, 1), step(at, x, y, 1, 1, diagonal), step(at, x, y, -1, 1, diagonal);
      if (ids[at] >= 0 && distance[at] > points[ids[at]].room) points[ids[at]] = { x: x + 0.5, y: y + 0.5, room: distance[at] };
    }
  return points;
}
