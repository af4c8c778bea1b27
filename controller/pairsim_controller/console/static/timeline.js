// The timeline: events, the newest first.

const MARKS = {
  founded: "✦", takeover: "⚡", switchover: "⇄", renewed: "↻", standstill: "■", resumed: "▶", redundant: "●", swapped: "●",
  lost: "◐", restored: "●", diverged: "≠", ordered: "✎", waiting: "…", flowing: "→", members: "+", released: "−", backup: "↓", problem: "!", ended: "✕", world: "○",
};

export class Timeline {
  constructor(root) {
    this.root = root;
    this.first = -1;
    this.last = 0;
  }

  show(events) {
    // A world without its history numbers its events from 1 again, and this page may be older than the world.
    if (!events.length || events.at(-1).number < this.last) { this.root.replaceChildren(); this.last = 0; }
    for (const event of events) {
      if (event.number <= this.last) continue;
      this.last = event.number;
      const item = document.createElement("li");
      const time = document.createElement("time");
      const moment = new Date(1000 * event.at);
      time.dateTime = moment.toISOString();
      const day = moment.toDateString() === new Date().toDateString() ? "" : `${moment.toLocaleDateString("en-CA")} `;
      time.textContent = `${day}${moment.toLocaleTimeString("en-GB")}.${String(moment.getMilliseconds()).padStart(3, "0")}`;
      const parts = [[`mark ${event.kind}`, MARKS[event.kind] ?? ""], ["where", event.area], ["what", event.sentence]];
      item.append(time, ...parts.map(([kind, text]) => {
        const part = document.createElement("span");
        part.className = kind;
        part.textContent = text;
        return part;
      }));
      item.dataset.kind = event.kind;
      this.root.prepend(item);
      if (this.root.children.length > 200) this.root.lastChild.remove();
    }
  }
}
