// The pairs: one card per area. Cards are reused and refilled, so the keyboard focus stays where it is.

import { words } from "./borders.js";
import { health, WORDS } from "./health.js";
import { post } from "./link.js";

const CONFIRM_MS = 4000;

function element(tag, className, text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.textContent = text;
  return node;
}

export class Pairs {
  constructor(root, notify) {
    this.root = root;
    this.notify = notify;
    this.cards = new Map();
  }

  world(areas, canKill) {
    for (const [name, card] of this.cards) {
      if (!areas.some((area) => area.area === name)) { card.root.remove(); this.cards.delete(name); }
    }
    for (const area of areas) {
      if (!this.cards.has(area.area)) this.cards.set(area.area, this.card(area.area, canKill));
      this.fill(this.cards.get(area.area), area);
    }
  }

  card(name, canKill) {
    const root = element("article", "area"), head = element("div"), warnings = element("p", "warnings"), borders = element("ul", "borders"), actions = element("div", "actions");
    const state = element("span", "state"), about = element("span", "about");
    const title = element("h3", "", name), table = element("table"), body = element("tbody");
    const header = element("tr");
    for (const [text, kind] of [["role", ""], ["replica", ""], ["term", "number"], ["tick", "number"], ["lag", "number"]]) {
      const cell = element("th", kind, text);
      cell.scope = "col";
      header.append(cell);
    }
    const top = element("thead");
    top.append(header);
    table.append(top, body);
    table.setAttribute("aria-label", `Members of ${name}`);
    head.append(title, state, about);
    const change = element("button", "", "Switch over");
    change.setAttribute("aria-label", `Switch ${name} over`);
    change.onclick = () => this.send(change, "/v1/switchover", { area: name },
      (result) => `${name} switched over: it paused for ${result.gap_ms.toFixed(1)} ms; term ${result.term}`);
    actions.append(change);
    if (canKill) for (const role of ["active", "passive", "witness"]) actions.append(this.killer(name, role));
    borders.setAttribute("aria-label", `Borders of ${name}, in entities per second`);
    root.append(head, warnings, table, borders, actions);
    this.root.append(root);
    return { root, state, about, warnings, borders, body };
  }

  killer(name, role) {
    const button = element("button", "", `Kill ${role}`);
    button.setAttribute("aria-label", `Kill the ${role} of ${name}`);
    let timer = 0;
    const reset = () => { clearTimeout(timer); timer = 0; button.classList.remove("sure"); button.textContent = `Kill ${role}`; };
    button.onblur = reset;
    button.onclick = () => {
      if (!timer) {
        button.classList.add("sure");
        button.textContent = `Really kill the ${role}?`;
        timer = setTimeout(reset, CONFIRM_MS);
        this.notify(`Press again to kill the ${role} of ${name}.`, button.parentElement);
        return;
      }
      reset();
      this.send(button, "/v1/kill", { area: name, role },
        (result) => `killed ${result.replica}, the ${role} of ${name} (pid ${result.pid})`);
    };
    return button;
  }

  async send(button, path, body, message) {
    button.setAttribute("aria-busy", "true");
    try {
      this.notify(message(await post(path, body)), button.parentElement);
    } catch (error) {
      this.notify(error.message, button.parentElement, true);
    }
    button.removeAttribute("aria-busy");
  }

  fill(card, area) {
    const how = health(area);
    card.state.className = `state ${how}`;
    card.state.textContent = WORDS[how] + (area.missing ? `: ${area.missing}` : "");
    const entities = Math.max(0, ...area.replicas.map((replica) => replica.entities));
    const outside = Math.max(0, ...area.replicas.map((replica) => replica.outside));
    const some = `${entities.toLocaleString("en")} ${entities === 1 ? "entity" : "entities"}` + (outside ? ` (${outside.toLocaleString("en")} outside)` : "");
    card.about.textContent = `${area.plane} · ${some} · generation ${area.generation}`;
    const diverged = area.replicas.filter((replica) => replica.divergences).map(({ replica, role }) => role === "active"
      ? `${replica}, the active now, had computed another state than the active before it`
      : `${replica} computed another state than the active`);
    const warnings = diverged.length ? [`${diverged.join(" and ")}: the simulator's step is not deterministic`] : [];
    if (area.slow) warnings.push(area.slow);
    card.warnings.textContent = warnings.length ? `⚠ ${warnings.join("; ")}` : "";
    const links = words(area);
    while (card.borders.children.length > links.length) card.borders.lastChild.remove();
    links.forEach(({ how, text }, place) => {
      const item = card.borders.children[place] ?? card.borders.appendChild(element("li"));
      item.className = how;
      if (item.textContent !== text) item.textContent = text;
    });
    const rows = area.replicas.map((r) => [r.role, r.replica, r.term, r.tick.toLocaleString("en"), r.lag_ticks]);
    rows.push(["witness", area.witness.name || "none yet", "", "", ""]);
    while (card.body.rows.length > rows.length) card.body.deleteRow(-1);
    rows.forEach((cells, place) => {
      const row = card.body.rows[place] ?? card.body.insertRow();
      cells.forEach((text, column) => {
        const cell = row.cells[column] ?? row.insertCell();
        cell.className = column === 0 ? `role ${cells[0]}` : column > 1 ? "number" : "";
        if (cell.textContent !== String(text)) cell.textContent = text;
      });
    });
  }
}
