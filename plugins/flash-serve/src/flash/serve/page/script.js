"use strict";
const find = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const address = new URL("v1/predict", document.baseURI).href;
let about = null;
let file = null;
let shown = null;

function make(tag, attributes = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...inside);
  return element;
}

// ---------------------------------------------------------------- the form

// One per column, in their order: a form leaves out what has no name, and a column may have none.
const controls = [];

function field(name, control, note) {
  control.name = name;
  control.id = "field-" + controls.length;
  controls.push(control);
  const label = make("label", { for: control.id }, name.trim() ? name : "(no name)");
  if (note) label.append(make("span", { class: "quiet" }, " " + note));
  return make("div", { class: "field" }, label, control);
}

function isNumber(each) {
  return each.type === "number" || each.type === "duration";
}

function noteOf(each) {
  const notes = [];
  if (each.type === "duration") notes.push("in seconds");
  if (each.may_be_missing) notes.push("may be empty");
  return notes.join(", ");
}

function controlOf(each) {
  let control;
  if (each.type === "category" && each.values.length && each.values.length <= 200) {
    control = make("select");
    for (const value of each.values) control.append(new Option(value, value));
    control.append(new Option("(not known)", ""));
  } else if (each.type === "category" || each.type === "text") {
    control = make("input", { type: "text" });
    if (each.values.length) {
      const list = make("datalist", { id: "values-" + about.fields.indexOf(each) });
      for (const value of each.values) list.append(new Option(value, value));
      document.body.append(list);
      control.setAttribute("list", list.id);
    }
  } else if (isNumber(each)) {
    control = make("input", { type: "number", step: "any", inputmode: "decimal" });
  } else {
    control = make("input", { type: "text", placeholder: "2024-12-31" });
  }
  if (each.typical !== null) control.value = String(each.typical);
  return control;
}

// What is uploaded, and what is chosen from if the task names no extensions.
const UPLOADS = { image: ["photo", "image/*"], audio: ["recording", "audio/*"], file: ["file", ""] };

function build() {
  const fields = find("fields");
  if (about.kind in UPLOADS) {
    const [noun, types] = UPLOADS[about.kind];
    const input = make("input", { type: "file", id: "file" });
    input.accept = about.extensions.join(",") || types;
    const drop = make("div", { class: "drop", id: "drop" }, make("p", { id: "chosen" }, `Drop a ${noun} here, or choose one.`), input);
    input.addEventListener("change", () => choose(input.files[0]));
    for (const kind of ["dragenter", "dragover"]) {
      drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
    }
    for (const kind of ["dragleave", "drop"]) {
      drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.remove("over"); });
    }
    drop.addEventListener("drop", (event) => choose(event.dataTransfer.files[0]));
    fields.append(drop);
    find("submit").disabled = true;
  } else if (about.kind === "table") {
    for (const each of about.fields) fields.append(field(each.name, controlOf(each), noteOf(each)));
  } else if (about.kind === "text") {
    const names = about.fields.length ? about.fields.map((each) => each.name) : ["Text"];
    for (const name of names) fields.append(field(name, make("textarea", { required: "" })));
  } else {
    fields.append(field("Numbers", make("textarea", { required: "", placeholder: "[0.5, 1, 2]" }), "one sample, as JSON"));
  }
}

function choose(chosen) {
  if (!chosen) return;
  file = chosen;
  find("chosen").textContent = chosen.name;
  find("submit").disabled = false;
  const old = document.querySelector("#drop img, #drop audio");
  if (old) old.remove();
  if (about.kind === "file") return;
  if (shown) URL.revokeObjectURL(shown);
  shown = URL.createObjectURL(chosen);
  const seen = about.kind === "image";
  find("drop").prepend(make(seen ? "img" : "audio", seen ? { src: shown, alt: "" } : { src: shown, controls: "" }));
}

// ---------------------------------------------------------------- the request

function valueOf(each, control) {
  // A category may be an empty text; what is not known stands after all categories.
  if (control.options) return control.selectedIndex < each.values.length ? control.value : null;
  if (control.value.trim() === "") return null;
  return isNumber(each) ? Number(control.value) : control.value;
}

function content() {
  const given = (place, each) => about.kind === "table" ? valueOf(each, controls[place]) : controls[place].value;
  if (about.fields.length) {
    return { [about.key]: [Object.fromEntries(about.fields.map((each, place) => [each.name, given(place, each)]))] };
  }
  return { [about.key]: [about.kind === "text" ? controls[0].value : JSON.parse(controls[0].value)] };
}

async function send(event) {
  event.preventDefault();
  const button = find("submit");
  button.disabled = true;
  find("error").hidden = true;
  const start = performance.now();
  try {
    let answer, body = null;
    if (file) {
      const form = new FormData();
      form.append(about.key, file, file.name);
      answer = await fetch(address, { method: "POST", body: form });
    } else {
      body = JSON.stringify(content());
      answer = await fetch(address, { method: "POST", body, headers: { "Content-Type": "application/json" } });
    }
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error);
    show(found.predictions[0], performance.now() - start);
    commands(body);
  } catch (error) {
    find("result").hidden = find("code").hidden = true;
    find("error").textContent = error instanceof SyntaxError ? "Expected numbers as JSON, such as [0.5, 1, 2]." : error.message;
    find("error").hidden = false;
  }
  button.disabled = false;
}

// ---------------------------------------------------------------- the answer

const isBoxes = (value) => value !== null && typeof value === "object" && Array.isArray(value.boxes) && Array.isArray(value.scores);

// A class for each pixel: rows of numbers, as long as each other.
const isMap = (value) => about.kind === "image" && Array.isArray(value) && value.length > 0
  && value.every((row) => Array.isArray(row) && row.length === value[0].length && row.every(Number.isInteger));

// The classes of a map, that of the most pixels first, each with the number of them.
function areas(map) {
  const counts = new Map();
  for (const row of map) for (const each of row) counts.set(each, (counts.get(each) ?? 0) + 1);
  return [...counts].sort((one, other) => other[1] - one[1]);
}

// Colors that are far from each other, also of neighbors.
const colorOf = (place) => `hsl(${(place * 137.5) % 360} 90% 50%)`;
const className = (place) => String(about.classes?.[place] ?? place);

function words(value) {
  if (value === null) return "nothing";
  if (typeof value === "number") return String(Number(value.toPrecision(6)));
  if (typeof value === "string") return value;
  if (isBoxes(value)) return value.boxes.length === 1 ? "1 object" : `${value.boxes.length} objects`;
  if (Array.isArray(value)) return value.length ? value.map(words).join(", ") : "none";
  return JSON.stringify(value);
}

function show(answer, milliseconds) {
  const prediction = find("prediction");
  const value = answer.prediction;
  const names = about.names;
  const map = isMap(value) ? areas(value) : null;
  const named = Array.isArray(value) && names && !map && !answer.probabilities && names.length === value.length;
  prediction.textContent = map ? map.map(([place]) => className(place)).join(", ")
    : named ? value.map((each, place) => `${names[place]}: ${words(each)}`).join("\n") : words(value);
  prediction.classList.toggle("long", prediction.textContent.length > 80);
  const rows = map ? map.map(([place, count]) => [className(place), count / value.length / value[0].length, colorOf(place)])
    : answer.probabilities ? answer.probabilities.map((each) => [each.label, each.probability])
    : isBoxes(value) ? value.labels.map((label, place) => [label, value.scores[place]]) : [];
  find("probabilities").tBodies[0].replaceChildren(...rows.map(([label, share, color]) => make("tr", {},
    make("td", {}, ...(color ? [swatch(color)] : []), String(label)),
    make("td", {}, make("progress", { max: "1", value: String(share ?? 0), "aria-label": String(label) })),
    make("td", {}, share === null ? "–" : `${(100 * share).toFixed(1)} %`))));
  picture(isBoxes(value) ? value : null, map ? value : null);
  find("time").textContent = `${Math.round(milliseconds)} ms`;
  find("result").hidden = false;
}

function shape(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// The lengths of runs of zeros and ones, in turns, in COCO's digits of 5 bits; from the fourth on less the one before the last.
function runLengths(counts) {
  const lengths = [];
  for (let place = 0; place < counts.length;) {
    let length = 0, shift = 0, digit;
    do {
      digit = counts.charCodeAt(place++) - 48;
      length |= (digit & 31) << shift;
      shift += 5;
    } while (digit & 32);
    if (digit & 16) length |= -1 << shift;
    lengths.push(lengths.length > 2 ? length + lengths.at(-2) : length);
  }
  return lengths;
}

// The pixels of a mask, which are counted down its columns, as a path.
function pathOf({ size: [height], counts }) {
  const parts = [];
  let pixel = 0;
  for (const [place, length] of runLengths(counts).entries()) {
    const end = pixel + length;
    while (place % 2 && pixel < end) {
      const top = pixel % height, tall = Math.min(end - pixel, height - top);
      parts.push(`M${(pixel - top) / height} ${top}h1v${tall}h-1z`);
      pixel += tall;
    }
    pixel = end;
  }
  return parts.join("");
}

function swatch(color) {
  const element = make("span", { class: "swatch" });
  element.style.backgroundColor = color;
  return element;
}

// The runs of a class in the rows of a map, as a path.
function pathsOf(map) {
  const parts = new Map();
  for (const [top, row] of map.entries()) {
    for (let left = 0, right; left < row.length; left = right) {
      for (right = left + 1; row[right] === row[left]; right++);
      if (!parts.has(row[left])) parts.set(row[left], []);
      parts.get(row[left]).push(`M${left} ${top}h${right - left}v1h${left - right}z`);
    }
  }
  return [...parts].map(([place, runs]) => {
    const path = shape("path", { d: runs.join(""), "data-class": place });
    path.style.fill = colorOf(place);
    return path;
  });
}

function picture(found, map) {
  find("picture").hidden = about.kind !== "image";
  if (about.kind !== "image") return;
  const photo = find("photo");
  photo.onload = () => {
    const boxes = find("boxes");
    const width = photo.naturalWidth, height = photo.naturalHeight, size = width / 28;
    boxes.setAttribute("viewBox", `0 0 ${width} ${height}`);
    boxes.replaceChildren(...(map ? pathsOf(map) : []));
    for (const [place, [left, top, right, bottom]] of (found ? found.boxes : []).entries()) {
      const mask = found.masks?.[place], points = found.keypoints?.[place];
      if (typeof mask?.counts === "string") boxes.append(shape("path", { d: pathOf(mask) }));
      const box = shape("rect", { x: left, y: top, width: right - left, height: bottom - top });
      const text = shape("text", { x: left + size / 4, y: Math.max(top, size) + size, "font-size": size, "stroke-width": size / 6 });
      text.textContent = found.labels[place];
      boxes.append(box, text);
      for (const [x, y] of points ?? []) boxes.append(shape("circle", { cx: x, cy: y, r: size / 5 }));
    }
  };
  photo.src = shown;
}

// ---------------------------------------------------------------- the same from a program

const quoted = (text) => "'" + text.replaceAll("'", "'\\''") + "'";

function pythonOf(value) {
  if (value === null) return "None";
  if (Array.isArray(value)) return `[${value.map(pythonOf).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${pythonOf(each)}`).join(", ")}}`;
  return JSON.stringify(value);
}

function commands(body) {
  if (body === null) {
    find("curl").textContent = `curl ${address} \\\n  -F ${quoted(`${about.key}=@${file.name}`)}`;
    find("python").textContent = `import requests\n\nwith open(${JSON.stringify(file.name)}, "rb") as file:\n    answer = requests.post("${address}", files={"${about.key}": file})\nprint(answer.json()["predictions"])`;
  } else {
    find("curl").textContent = `curl ${address} \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(body)}`;
    find("python").textContent = `import requests\n\nanswer = requests.post(\n    "${address}",\n    json=${pythonOf(JSON.parse(body))},\n)\nprint(answer.json()["predictions"])`;
  }
  find("code").hidden = false;
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const text = find(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text);
      button.textContent = "Selected";
    }
  });
}

const LEADS = {
  table: "Fill in a row.", text: "Type a text.", image: "Drop a photo.", audio: "Drop a recording.", file: "Drop a file.", numbers: "Type numbers.",
};

fetch(new URL("v1/task", document.baseURI)).then((answer) => answer.json()).then((found) => {
  about = found;
  document.title = find("title").textContent = about.title;
  const classes = about.classes ?? [];
  const some = classes.slice(0, 8).join(", ") + (classes.length > 8 ? ", ..." : "");
  find("lead").textContent = LEADS[about.kind] + (some ? ` The classes are ${some}.` : "");
  build();
  find("form").addEventListener("submit", send);
  document.body.dataset.ready = "yes";
});
