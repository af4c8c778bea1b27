// What crosses the borders of areas: the words about each neighbour, and the marks on the borders of the map.

const STALLED_SECONDS = 5, WAITS_SECONDS = 1, MAX_MARKS = 60, SIZE = 12, PADDING = 5, GAP = 13;
const ARROWS = { right: "→", left: "←", up: "↑", down: "↓" };

// "flows", "waits" (nothing was taken for a second) or "stalled" (for five).
export function flow(neighbour) {
  if (neighbour.waiting_seconds >= STALLED_SECONDS) return "stalled";
  return neighbour.waiting_seconds >= WAITS_SECONDS ? "waits" : "flows";
}

export const nameOf = (neighbour) => neighbour.area || `area number ${neighbour.number}`;
const rate = (value) => `${value < 10 && value % 1 ? value.toFixed(1) : Math.round(value).toLocaleString("en")}/s`;

function waiting(neighbour) {
  if (flow(neighbour) === "flows") return "";
  const what = neighbour.waiting ? `${neighbour.waiting.toLocaleString("en")} wait` : "commands wait";
  return `, ${what} for ${Math.round(neighbour.waiting_seconds)} s`;
}

// One text for each neighbour of an area, by name, so that no text changes its place while entities cross.
export function words(area) {
  const neighbours = [...(area.borders?.neighbours ?? [])].sort((a, b) => nameOf(a).localeCompare(nameOf(b)));
  return neighbours.map((each) => ({
    how: flow(each),
    text: `${nameOf(each)} → ${rate(each.out_per_second)} ← ${rate(each.in_per_second)}${waiting(each)}`
      + (each.connected ? "" : " (no connection)"),
  }));
}

export function balanceWords(balance) {
  const number = (value) => value.toLocaleString("en");
  const off = balance.unaccounted;
  return `${balance.plane}: ${number(balance.present)} entities: ${number(balance.born)} born, ${number(balance.died)} died, `
    + `${number(balance.on_their_way)} on their way` + (off ? `, ⚠ ${number(Math.abs(off))} ${off > 0 ? "missing" : "too many"}` : "");
}

// Where two areas touch, seen from above, and the way over the border from the first one; null if they do not.
function crossing(from, to) {
  const overlap = (axis) => [Math.max(from.min[axis], to.min[axis]), Math.min(from.max[axis], to.max[axis])];
  const [x, y] = [overlap(0), overlap(1)], [wide, high] = [x[1] - x[0], y[1] - y[0]];
  if (wide === 0 && high > 0) return { at: [x[0], (y[0] + y[1]) / 2], length: high, way: from.min[0] < to.min[0] ? "right" : "left" };
  if (high === 0 && wide > 0) return { at: [(x[0] + x[1]) / 2, y[0]], length: wide, way: from.min[1] < to.min[1] ? "up" : "down" };
  return null;
}

// The marks for the map: one for each direction of a border over which entities go, or for which they wait.
export function marks(areas) {
  const byName = new Map(areas.map((area) => [area.area, area])), found = [];
  for (const area of areas) {
    for (const neighbour of area.borders?.neighbours ?? []) {
      const other = byName.get(neighbour.area), how = flow(neighbour);
      if (!other || (how === "flows" && !neighbour.out_per_second)) continue;
      const where = crossing(area.bounds, other.bounds);
      const text = how === "flows" ? rate(neighbour.out_per_second) : `${neighbour.waiting.toLocaleString("en")} wait`;
      if (where) found.push({ ...where, how, text: `${ARROWS[where.way]} ${text}`, weight: neighbour.waiting_seconds * 1e6 + neighbour.out_per_second });
    }
  }
  return found.sort((a, b) => b.weight - a.weight).slice(0, MAX_MARKS);
}

// Draws the marks at the middles of their borders, one direction above the other one.
export function drawMarks(pen, found, { x, y, scale, colour }) {
  pen.font = `600 ${SIZE}px system-ui, sans-serif`;
  for (const { at, length, way, how, text } of found) {
    const across = way === "right" || way === "left", wide = pen.measureText(text).width + 2 * PADDING;
    if (scale * length < (across ? 4 * GAP : wide + GAP)) continue;
    const middle = [x(at[0]), y(at[1]) + (way === "right" || way === "up" ? -GAP : GAP)];
    pen.globalAlpha = 0.9;
    pen.fillStyle = colour("sheet");
    pen.fillRect(middle[0] - wide / 2, middle[1] - SIZE / 2 - 4, wide, SIZE + 8);
    pen.globalAlpha = 1;
    pen.fillStyle = colour({ flows: "ink", waits: "alone", stalled: "down" }[how]);
    pen.fillText(text, middle[0] - wide / 2 + PADDING, middle[1] + SIZE / 2 - 2);
  }
}
