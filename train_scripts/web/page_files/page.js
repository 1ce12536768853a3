/** The page: a picture in by choosing, dropping or pasting, segments out; sliders ask for other segments of the same outputs. */

import { overlayPixels, overlayScale, segmentColors } from "./drawing.js";

const SLIDERS = ["score", "mask", "overlap"];
const OPACITY = 0.6;
const element = (id) => document.getElementById(id);

/** What is shown of the last picture: {ids, segments, shown, colors, points}. Tests read it when the body's state is "shown". */
export const view = { result: null };

let settings, number = 0, chosen = -1, facts = {}; // `number` of the last picture: answers about earlier ones are left out
let outdated = false; // whether a slider was moved since the last request
let loaded; // ends the waiting for the model
const ready = new Promise((resolve) => (loaded = resolve));
const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });

start().catch((error) => showError(error.message));

async function start() {
  listen();
  const response = await fetch("settings.json");
  if (!response.ok) throw new Error(`settings.json did not load (${response.status}): put the whole folder on the server.`);
  settings = await response.json();
  describeModel();
  resetSliders();
  showExamples();
  worker.postMessage({ type: "load", settings });
}

worker.onerror = () => showError("The model's code did not load: use a recent browser, and put the whole folder on the server.");
worker.onmessage = ({ data }) => {
  if (data.number !== undefined && data.number < number) return;
  ({ progress: showProgress, ready: showReady, photo: showPhoto, segments: showSegments, error: (answer) => showError(answer.message) })[data.type](data);
};

// Pictures in

function listen() {
  element("file").addEventListener("change", ({ target }) => {
    open(target.files[0]);
    target.value = ""; // so that the same file can be chosen again
  });
  element("another").addEventListener("click", () => element("file").click());
  element("drop").addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") element("file").click();
  });
  addEventListener("paste", (event) => event.clipboardData.files.length && open(event.clipboardData.files[0]));
  for (const name of ["dragenter", "dragover", "dragleave", "drop"])
    addEventListener(name, (event) => {
      event.preventDefault();
      document.body.classList.toggle("dropping", name === "dragenter" || name === "dragover");
      if (name === "drop") openDropped(event.dataTransfer);
    });
  for (const name of SLIDERS) element(name).addEventListener("input", () => (showValues(), askAgain()));
  element("opacity").addEventListener("input", showValues);
  element("reset").addEventListener("click", () => (resetSliders(), askAgain()));
  element("save").addEventListener("click", save);
  element("overlay").addEventListener("pointermove", point);
  element("overlay").addEventListener("pointerdown", point);
  element("overlay").addEventListener("pointerleave", ({ pointerType }) => pointerType === "mouse" && choose(-1));
  new ResizeObserver(() => fit()).observe(element("frame"));
}

function openDropped(transfer) {
  if (transfer.files.length) open(transfer.files[0]);
  else showError("What was dropped is no file: save the picture first, or copy and paste it.");
}

/** Segments a file, when the model is there. */
async function open(file) {
  if (!file) return;
  const mine = ++number;
  setState("busy");
  await ready;
  if (mine !== number) return;
  showStatus("Segmenting…");
  worker.postMessage({ type: "picture", number: mine, file, thresholds: thresholds() });
}

/** Asks for the segments at other thresholds, one request at a time: sliders move faster than large pictures are segmented. */
function askAgain() {
  outdated = !view.result || !["shown", "error"].includes(document.body.dataset.state); // an error leaves the last picture
  if (outdated) return;
  setState("updating");
  worker.postMessage({ type: "thresholds", number, thresholds: thresholds() });
}

function thresholds() {
  return Object.fromEntries(SLIDERS.map((name) => [name, Number(element(name).value)]));
}

function resetSliders() {
  for (const name of SLIDERS) element(name).value = settings.thresholds[name];
  element("opacity").value = OPACITY;
  showValues();
}

function showValues() {
  for (const name of [...SLIDERS, "opacity"]) {
    const slider = element(name);
    slider.closest("label").querySelector("output").textContent = Number(slider.value).toFixed(2);
  }
  element("overlay").style.opacity = element("opacity").value;
}

// What the worker says

function describeModel() {
  const size = settings.canvas.toReversed().join(" × "), megabytes = (settings.model_bytes / 1e6).toFixed(1);
  element("model").textContent = `${settings.names.length} classes · ${size} pixels · ${settings.precision}, ${megabytes} MB`;
}

function showProgress({ share, bytes }) {
  showStatus(`Loading the model: ${Math.round(share * 100)} % of ${(bytes / 1e6).toFixed(1)} MB`);
}

function showReady({ threads }) {
  loaded();
  if (number > 0) return; // a picture waits
  showStatus(threads > 1 ? `Ready, with ${threads} threads.` : "Ready.");
  setState("ready");
}

function showPhoto({ bitmap, shown }) {
  const photo = element("photo");
  [photo.height, photo.width] = shown;
  photo.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  view.result = null;
  element("overlay").width = 0;
  element("tags").replaceChildren();
  element("drop").hidden = true;
  for (const id of ["view", "another"]) element(id).hidden = false;
  fit();
}

function showSegments({ ids, segments, points, shown, facts: news, segmentation }) {
  facts = { ...facts, ...news, segmentation };
  const colors = segmentColors(segments, settings.colors);
  view.result = { ids, segments, shown, colors, points };
  const scale = overlayScale(shown), overlay = element("overlay");
  [overlay.height, overlay.width] = shown.map((edge) => edge * scale);
  element("save").hidden = false;
  element("count").textContent = segments.length || "";
  element("empty").hidden = segments.length > 0;
  element("empty").textContent = "None at these thresholds: try a lower class score.";
  element("segments").replaceChildren(...segments.map(listEntry));
  choose(-1);
  fit();
  setState("shown");
  const whole = facts.read + facts.model + segmentation, [height, width] = facts.size;
  const parts = `read ${duration(facts.read)}, model ${duration(facts.model)}, segments ${duration(segmentation)}`;
  showStatus(`${width} × ${height} in ${duration(whole)}: ${parts}`);
  if (outdated) askAgain();
}

function duration(milliseconds) {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

function showStatus(text) {
  element("status").textContent = text;
  element("status").className = "";
}

function showError(message) {
  element("status").textContent = message;
  element("status").className = "error";
  setState("error");
}

/** loading, ready, busy, shown, updating or error: for the style sheet and for tests. */
function setState(state) {
  document.body.dataset.state = state;
}

// Segments out

function listEntry({ id, label, score, area }) {
  const entry = document.createElement("li"), chip = document.createElement("i");
  const name = document.createElement("span"), numbers = document.createElement("small");
  chip.style.background = `rgb(${view.result.colors[id]})`;
  name.textContent = settings.names[label];
  numbers.textContent = `${score.toFixed(3)} · ${share(area)}`;
  numbers.title = "class score · share of the picture";
  entry.append(chip, name, numbers);
  entry.tabIndex = 0;
  for (const event of ["pointerenter", "focus"]) entry.addEventListener(event, () => choose(id));
  for (const event of ["pointerleave", "blur"]) entry.addEventListener(event, () => choose(-1));
  return entry;
}

function share(area) {
  const percent = (100 * area) / (view.result.shown[0] * view.result.shown[1]);
  return `${percent < 1 ? "< 1" : Math.round(percent)} %`;
}

/** Makes a segment stand out, in the picture and in the list; -1: none. */
function choose(id) {
  chosen = id;
  element("tip").hidden = true;
  [...element("segments").children].forEach((entry, index) => entry.classList.toggle("chosen", index === id));
  [...element("tags").children].forEach((tag) => tag.classList.toggle("faint", id >= 0 && Number(tag.dataset.id) !== id));
  requestAnimationFrame(draw);
}

function draw() {
  if (!view.result) return;
  const { ids, shown, colors } = view.result, { width, height } = element("overlay");
  const pixels = overlayPixels(ids, shown, colors, overlayScale(shown), chosen);
  element("overlay").getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
}

/** Shows class and score of the segment under the pointer. */
function point({ offsetX, offsetY, target }) {
  if (!view.result) return;
  const { ids, segments, shown } = view.result;
  const row = Math.min(shown[0] - 1, Math.floor((offsetY / target.clientHeight) * shown[0]));
  const column = Math.min(shown[1] - 1, Math.floor((offsetX / target.clientWidth) * shown[1]));
  const id = ids[Math.max(0, row) * shown[1] + Math.max(0, column)];
  if (id !== chosen) choose(id);
  const tip = element("tip"), name = document.createElement("b");
  name.textContent = id < 0 ? "no segment" : settings.names[segments[id].label];
  tip.replaceChildren(name, id < 0 ? "" : `score ${segments[id].score.toFixed(3)}`);
  tip.hidden = false;
  tip.style.left = `${Math.max(0, Math.min(offsetX + 14, target.clientWidth - tip.offsetWidth))}px`;
  tip.style.top = `${offsetY + 18 + tip.offsetHeight > target.clientHeight ? offsetY - tip.offsetHeight - 12 : offsetY + 18}px`;
}

/** Gives the picture the largest size that the window has room for, and names the segments where there is room. */
function fit() {
  const figure = element("view"), photo = element("photo");
  if (figure.hidden) return;
  const room = [element("frame").clientWidth, Math.max(280, innerHeight * 0.74)];
  const scale = Math.min(room[0] / photo.width, room[1] / photo.height);
  figure.style.width = `${photo.width * scale}px`;
  figure.style.height = `${photo.height * scale}px`;
  if (!view.result) return;
  const { segments, points } = view.result, tags = element("tags");
  tags.replaceChildren(...segments.map(({ id, label }) => {
    const tag = document.createElement("span");
    tag.dataset.id = id;
    tag.textContent = settings.names[label];
    tag.style.left = `${points[id].x * scale}px`;
    tag.style.top = `${points[id].y * scale}px`;
    return tag;
  }));
  for (const tag of [...tags.children]) if (tag.offsetHeight > 3 * points[tag.dataset.id].room * scale) tag.remove();
}

/** Offers the picture with its segments as a file. */
function save() {
  const { width, height } = element("overlay"), canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  context.drawImage(element("photo"), 0, 0, width, height);
  context.globalAlpha = Number(element("opacity").value);
  context.drawImage(element("overlay"), 0, 0);
  const link = Object.assign(document.createElement("a"), { download: "segments.png", href: canvas.toDataURL("image/png") });
  link.click();
}

function showExamples() {
  const buttons = settings.examples.map((path, index) => {
    const button = document.createElement("button"), image = document.createElement("img");
    image.src = path;
    image.alt = `Example ${index + 1}`;
    button.type = "button";
    button.append(image);
    button.addEventListener("click", async () => open(new File([await (await fetch(path)).blob()], path)));
    return button;
  });
  element("examples").replaceChildren(...buttons);
  element("examples").hidden = buttons.length === 0;
}
