// The map, seen from above: the areas of all planes, and the sampled entities.

import { drawMarks, marks } from "./borders.js";
import { health } from "./health.js";
import { drawLabel, LABEL_HEIGHT } from "./label.js";

const MARGIN = 10, DOT = 1.7, INSET = 2, INSET_OF_A_PLANE = 4;
const MAX_ASPECT = 2.6, MIN_ASPECT = 1;
const DASHES = { whole: [], alone: [9, 6], down: [2, 5] };

// Planes lie over each other, so each has a colour and a shape of its own; after the last one they begin again.
export const MARKS = ["●", "■", "▲", "◆"];
const SHAPES = [
  (pen, x, y) => pen.arc(x, y, DOT, 0, 7),
  (pen, x, y) => pen.rect(x - DOT, y - DOT, 2 * DOT, 2 * DOT),
  (pen, x, y) => { pen.moveTo(x, y - 2 * DOT); pen.lineTo(x + 2 * DOT, y + DOT); pen.lineTo(x - 2 * DOT, y + DOT); },
  (pen, x, y) => { pen.moveTo(x, y - 2 * DOT); pen.lineTo(x + DOT, y); pen.lineTo(x, y + 2 * DOT); pen.lineTo(x - DOT, y); },
];

export class WorldMap {
  constructor(canvas, sampled, unnamed, planes) {
    this.canvas = canvas;
    this.sampled = sampled;
    this.unnamed = unnamed;
    this.legend = planes;
    this.areas = [];
    this.planes = [];
    this.boxes = [];
    this.samples = new Map();
    this.due = false;
    new ResizeObserver(() => this.show()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.show());
    canvas.addEventListener("pointermove", (event) => { canvas.title = this.describe(event.offsetX, event.offsetY); });
  }

  world(areas) {
    this.areas = areas;
    this.canvas.style.aspectRatio = Math.min(MAX_ASPECT, Math.max(MIN_ASPECT, this.aspect()));
    const names = new Set(areas.map((area) => area.area));
    for (const name of this.samples.keys()) if (!names.has(name)) this.samples.delete(name);
    this.showPlanes([...new Set(areas.map((area) => area.plane))]);
    this.show();
  }

  showPlanes(planes) {
    if (planes.join() === this.planes.join()) return;
    this.planes = planes;
    this.legend.replaceChildren(...(planes.length > 1 ? planes : []).map((plane, place) => {
      const item = document.createElement("span"), mark = document.createElement("span");
      mark.className = `mark plane-${place % MARKS.length}`;
      mark.textContent = MARKS[place % MARKS.length];
      item.append(mark, plane);
      return item;
    }));
  }

  aspect() {
    const side = (axis) => Math.max(...this.areas.map((area) => area.bounds.max[axis]))
      - Math.min(...this.areas.map((area) => area.bounds.min[axis]));
    return this.areas.length ? side(0) / side(1) : MAX_ASPECT;
  }

  sample(sample) {
    this.samples.set(sample.area, sample);
    this.show();
  }

  show() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => { this.due = false; this.draw(); });
  }

  draw() {
    const { canvas, areas } = this, ratio = devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    this.boxes = [];
    if (!areas.length || !width) return;
    const style = getComputedStyle(canvas), colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const low = [0, 1].map((axis) => Math.min(...areas.map((area) => area.bounds.min[axis])));
    const high = [0, 1].map((axis) => Math.max(...areas.map((area) => area.bounds.max[axis])));
    const scale = Math.min((width - 2 * MARGIN) / (high[0] - low[0]), (height - 2 * MARGIN) / (high[1] - low[1]));
    const left = (width - scale * (high[0] - low[0])) / 2, top = (height - scale * (high[1] - low[1])) / 2;
    const x = (value) => left + scale * (value - low[0]);
    const y = (value) => top + scale * (high[1] - value);
    this.boxes = areas.map((area) => {
      const { min, max } = area.bounds, plane = this.planes.indexOf(area.plane);
      const inset = INSET + INSET_OF_A_PLANE * (plane % MARKS.length);  // outlines of equal areas stay apart
      const sides = [max[0] - min[0], max[1] - min[1]].map((side) => Math.max(1, scale * side - 2 * inset));
      return { area, plane, how: health(area), box: [x(min[0]) + inset, y(max[1]) + inset, ...sides] };
    });
    for (const { plane, box } of this.boxes) {
      pen.fillStyle = colour("fill");
      if (plane === 0) pen.fillRect(...box);
    }
    for (const each of this.boxes) this.drawEntities(pen, each, x, y, colour);
    for (const { how, box } of this.boxes) {
      pen.strokeStyle = colour(how);
      pen.lineWidth = how === "whole" ? 2 : 3;
      pen.setLineDash(DASHES[how]);
      pen.strokeRect(...box);
    }
    pen.setLineDash([]);
    const unnamed = this.boxes.filter((each) => !this.label(pen, each, colour)).map((each) => each.area.area);
    drawMarks(pen, marks(areas), { x, y, scale, colour });
    this.unnamed.textContent = unnamed.length ? `too narrow for a name: ${unnamed.join(", ")}` : "";
    this.count();
  }

  drawEntities(pen, { area, plane, how }, x, y, colour) {
    const points = this.samples.get(area.area)?.points ?? [], shape = SHAPES[plane % SHAPES.length];
    pen.fillStyle = how === "down" ? colour("soft") : colour(`plane-${plane % MARKS.length}`);
    pen.globalAlpha = 0.75;
    for (let i = 0; i < points.length; i += 2) {
      pen.beginPath();
      shape(pen, x(points[i]), y(points[i + 1]));
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  label(pen, { area, plane, how, box }, colour) {
    const active = area.replicas.find((replica) => replica.role === "active");
    const mark = this.planes.length > 1 ? MARKS[plane % MARKS.length] : "";
    return drawLabel(pen, {
      name: area.area, more: active ? `▲ ${active.replica}` : "no active", mark, box,
      skip: LABEL_HEIGHT * plane, ground: colour("sheet"), markInk: colour(`plane-${plane % MARKS.length}`),
      ink: how === "whole" ? colour("ink") : colour(how),
    });
  }

  count() {
    let shown = 0, all = 0, unplaced = 0;
    for (const sample of this.samples.values()) {
      if (sample.unplaced) { unplaced += sample.entities; continue; }
      shown += sample.points.length / 2;
      all += sample.entities;
    }
    const texts = [];
    if (all) texts.push(`${shown.toLocaleString("en")} of ${all.toLocaleString("en")} entities shown`);
    if (unplaced) texts.push(`${unplaced.toLocaleString("en")} entities have no position, so the map does not show them`);
    this.sampled.textContent = texts.join("; ");
  }

  describe(x, y) {
    const inside = this.boxes.filter(({ box: [left, top, width, height] }) =>
      x >= left && x <= left + width && y >= top && y <= top + height);
    return inside.map(({ area }) => `${area.area} (${area.plane})`).join(", ");
  }
}
