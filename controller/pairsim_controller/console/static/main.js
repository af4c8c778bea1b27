// Assembles the page.

import { balanceWords } from "./borders.js";
import { connect } from "./link.js";
import { WorldMap } from "./map.js";
import { Pairs } from "./pairs.js";
import { Timeline } from "./timeline.js";

const MESSAGE_MS = 8000;
const byId = (id) => document.getElementById(id);
const box = byId("message");
let hiding = 0;

// Shows a message above the buttons that it is about: there it covers no button, and no button moves.
function notify(message, near, bad = false) {
  if (box.parentElement !== near) near.prepend(box);
  box.textContent = message;
  box.classList.toggle("bad", bad);
  clearTimeout(hiding);
  hiding = setTimeout(() => { box.textContent = ""; }, MESSAGE_MS);
}

const map = new WorldMap(byId("map"), byId("sampled"), byId("unnamed"), byId("planes"));
const pairs = new Pairs(byId("pairs"), notify);
const timeline = new Timeline(byId("timeline"));

function count(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}

// A plane without a balance now keeps its line, so that the page does not move in a takeover.
function showBalances({ areas, balances = [] }) {
  const found = new Map(balances.map((balance) => [balance.plane, balance]));
  const lines = new Map([...byId("balances").children].map((item) => [item.dataset.plane, item]));
  const planes = new Set(areas.map((area) => area.plane));
  for (const plane of planes) {
    const balance = found.get(plane), item = lines.get(plane) ?? (balance && document.createElement("li"));
    if (!item) continue;
    item.dataset.plane = plane;
    item.classList.toggle("old", !balance);
    if (balance) {
      item.classList.toggle("off", balance.unaccounted !== 0);
      item.textContent = balanceWords(balance);
    }
    if (!item.parentElement) byId("balances").append(item);
  }
  for (const [plane, item] of lines) if (!planes.has(plane)) item.remove();
}

connect({
  onWorld({ world, events, kill, note }) {
    const whole = world.areas.filter((area) => area.redundant).length;
    byId("summary").textContent = note ||
      `${count(world.areas.length, "area")}, ${whole} redundant · ${count(world.spares.length, "spare")}`;
    document.title = whole === world.areas.length ? "pairsim" : `(${world.areas.length - whole}) pairsim`;
    map.world(world.areas);
    pairs.world(world.areas, kill);
    timeline.show(events);
    showBalances(world);
    byId("spares").textContent = world.spares.length
      ? `Spares: ${world.spares.map((spare) => spare.name).join(", ")}`
      : "No spares: a lost replica is replaced only when another process starts.";
  },
  onSample(sample) { map.sample(sample); },
  onLink(on) {
    const link = byId("link");
    link.textContent = on ? "live" : "the world does not answer; reconnecting";
    link.classList.toggle("off", !on);
  },
});
