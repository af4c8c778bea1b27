// The map, seen from above: the areas, and the sampled entities.

import { health } from "./health.js";

const MARGIN = 10, LABEL = 13, DOT = 1.7;
const MAX_ASPECT = 2.6, MIN_ASPECT = 1;
const DASHES = { whole: [], alone: [9, 6], down: [2, 5] };

export class WorldMap {
  constructor(canvas, sampled) {
    this.canvas = canvas;
    this.sampled = sampled;
    this.areas = [];
    this.samples = new Map();
    this.due = false;
    new ResizeObserver(() => this.show()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.show());
  }

  world(areas) {
    this.areas = areas;
    this.canvas.style.aspectRatio = Math.min(MAX_ASPECT, Math.max(MIN_ASPECT, this.aspect()));
    const names = new Set(areas.map((area) => area.area));
    for (const name of this.samples.keys()) if (!names.has(name)) this.samples.delete(name);
    this.show();
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
    if (!areas.length || !width) return;
    const colour = (name) => getComputedStyle(canvas).getPropertyValue(`--${name}`).trim();
    const low = [0, 1].map((axis) => Math.min(...areas.map((area) => area.bounds.min[axis])));
    const high = [0, 1].map((axis) => Math.max(...areas.map((area) => area.bounds.max[axis])));
    const scale = Math.min((width - 2 * MARGIN) / (high[0] - low[0]), (height - 2 * MARGIN) / (high[1] - low[1]));
    const left = (width - scale * (high[0] - low[0])) / 2, top = (height - scale * (high[1] - low[1])) / 2;
    const x = (value) => left + scale * (value - low[0]);
    const y = (value) => top + scale * (high[1] - value);
    let shown = 0, all = 0;
    for (const area of areas) {
      const { min, max } = area.bounds, how = health(area), sample = this.samples.get(area.area);
      const box = [x(min[0]) + 2, y(max[1]) + 2, scale * (max[0] - min[0]) - 4, scale * (max[1] - min[1]) - 4];
      pen.fillStyle = colour("fill");
      pen.fillRect(...box);
      if (sample) {
        pen.fillStyle = how === "down" ? colour("soft") : colour("dot");
        pen.globalAlpha = 0.75;
        for (let i = 0; i < sample.points.length; i += 2) {
          pen.beginPath();
          pen.arc(x(sample.points[i]), y(sample.points[i + 1]), DOT, 0, 7);
          pen.fill();
        }
        pen.globalAlpha = 1;
        shown += sample.points.length / 2;
        all += sample.entities;
      }
      pen.strokeStyle = colour(how);
      pen.lineWidth = how === "whole" ? 2 : 3;
      pen.setLineDash(DASHES[how]);
      pen.strokeRect(...box);
      pen.setLineDash([]);
      if (box[2] > 44 && box[3] > 24) this.label(pen, area, how, box, colour);
    }
    this.sampled.textContent = all ? `${shown.toLocaleString("en")} of ${all.toLocaleString("en")} entities shown` : "";
  }

  label(pen, area, how, [left, top, width], colour) {
    const active = area.replicas.find((replica) => replica.role === "active");
    const text = `${area.area}  ${active ? `▲ ${active.replica}` : "no active"}`;
    pen.font = `600 ${LABEL}px system-ui, sans-serif`;
    const wide = Math.min(pen.measureText(text).width + 12, width - 8);
    pen.fillStyle = colour("sheet");
    pen.globalAlpha = 0.88;
    pen.fillRect(left + 5, top + 5, wide, LABEL + 9);
    pen.globalAlpha = 1;
    pen.fillStyle = how === "whole" ? colour("ink") : colour(how);
    pen.save();
    pen.beginPath();
    pen.rect(left + 5, top + 5, wide, LABEL + 9);
    pen.clip();
    pen.fillText(text, left + 11, top + LABEL + 7);
    pen.restore();
  }
}
