// The pairs: a card for each area. Cards are kept and filled anew, so that focus stays where it is.

import { health, WORDS } from "./health.js";
import { order } from "./link.js";

const SURE_FOR = 4000;

function made(tag, className, text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.textContent = text;
  return node;
}

export class Pairs {
  constructor(root, tell) {
    this.root = root;
    this.tell = tell;
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
    const root = made("article", "area"), head = made("div"), warned = made("p", "warned"), orders = made("div", "orders");
    const state = made("span", "state"), about = made("span", "about");
    const title = made("h3", "", name), table = made("table"), body = made("tbody");
    const header = made("tr");
    for (const [text, kind] of [["role", ""], ["replica", ""], ["term", "number"], ["tick", "number"], ["lag", "number"]]) {
      const cell = made("th", kind, text);
      cell.scope = "col";
      header.append(cell);
    }
    const top = made("thead");
    top.append(header);
    table.append(top, body);
    table.setAttribute("aria-label", `Members of ${name}`);
    head.append(title, state, about);
    const change = made("button", "", "Switch over");
    change.setAttribute("aria-label", `Switch ${name} over`);
    change.onclick = () => this.give(change, "/v1/switchover", { area: name },
      (told) => `${name} switched over: it stood still for ${told.gap_ms.toFixed(1)} ms; term ${told.term}`);
    orders.append(change);
    if (canKill) for (const role of ["active", "passive", "witness"]) orders.append(this.killer(name, role));
    root.append(head, warned, table, orders);
    this.root.append(root);
    return { root, state, about, warned, body };
  }

  killer(name, role) {
    const button = made("button", "", `Kill ${role}`);
    button.setAttribute("aria-label", `Kill the ${role} of ${name}`);
    let timer = 0;
    const calm = () => { clearTimeout(timer); timer = 0; button.classList.remove("sure"); button.textContent = `Kill ${role}`; };
    button.onblur = calm;
    button.onclick = () => {
      if (!timer) {
        button.classList.add("sure");
        button.textContent = `Really kill the ${role}?`;
        timer = setTimeout(calm, SURE_FOR);
        this.tell(`Press again to kill the ${role} of ${name}.`);
        return;
      }
      calm();
      this.give(button, "/v1/kill", { area: name, role },
        (told) => `killed ${told.replica}, the ${role} of ${name} (pid ${told.pid})`);
    };
    return button;
  }

  async give(button, path, body, words) {
    button.setAttribute("aria-busy", "true");
    try {
      this.tell(words(await order(path, body)));
    } catch (error) {
      this.tell(error.message, true);
    }
    button.removeAttribute("aria-busy");
  }

  fill(card, area) {
    const how = health(area);
    card.state.className = `state ${how}`;
    card.state.textContent = WORDS[how] + (area.missing ? `: ${area.missing}` : "");
    const entities = Math.max(0, ...area.replicas.map((replica) => replica.entities));
    card.about.textContent = `${area.plane} · ${entities.toLocaleString("en")} entities · generation ${area.generation}`;
    const diverged = area.replicas.filter((replica) => replica.divergences).map((replica) => replica.replica);
    const warnings = diverged.length
      ? [`${diverged.join(" and ")} came to another state than the active: the simulator's step is not deterministic`] : [];
    if (area.slow) warnings.push(area.slow);
    card.warned.textContent = warnings.length ? `⚠ ${warnings.join("; ")}` : "";
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
