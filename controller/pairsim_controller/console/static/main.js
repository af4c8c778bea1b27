// Puts the page together.

import { connect } from "./link.js";
import { WorldMap } from "./map.js";
import { Pairs } from "./pairs.js";
import { Timeline } from "./timeline.js";

const SHOWN_FOR = 8000;
const byId = (id) => document.getElementById(id);
let hiding = 0;

function tell(sentence, bad = false) {
  const box = byId("told");
  box.textContent = sentence;
  box.classList.toggle("bad", bad);
  clearTimeout(hiding);
  hiding = setTimeout(() => { box.textContent = ""; }, SHOWN_FOR);
}

const map = new WorldMap(byId("map"), byId("sampled"));
const pairs = new Pairs(byId("pairs"), tell);
const timeline = new Timeline(byId("timeline"));

function count(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
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
    byId("spares").textContent = world.spares.length
      ? `Spares: ${world.spares.map((spare) => spare.name).join(", ")}`
      : "No spares: a replica that is lost waits for a new process.";
  },
  onSample(sample) { map.sample(sample); },
  onLink(on) {
    const link = byId("link");
    link.textContent = on ? "live" : "the world does not answer; trying again";
    link.classList.toggle("off", !on);
  },
});
