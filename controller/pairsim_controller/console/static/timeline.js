// The timeline: events, the newest first.

const MARKS = { founded: "✦", takeover: "⚡", switchover: "⇄", renewed: "↻", lost: "◐", restored: "●", ended: "✕" };

function describe(event) {
  const at = event.tick ? ` at tick ${event.tick.toLocaleString("en")}` : "";
  switch (event.kind) {
    case "founded": return `${event.replica} is active, in term ${event.term}${at}`;
    case "switchover": return `${event.replica} is active, handed over by ${event.before}, in term ${event.term}${at}`;
    case "takeover": return `${event.replica} is active in place of ${event.before}, in term ${event.term}${at}`;
    case "renewed": return `${event.replica} stays active, in term ${event.term}${at}`;
    case "lost": return `not redundant for ${event.seconds.toFixed(0)} s: ${event.about}`;
    case "restored": return `redundant again${event.seconds ? ` after ${event.seconds.toFixed(1)} s` : ""}: ${event.about}`;
    default: return event.about;
  }
}

export class Timeline {
  constructor(root) {
    this.root = root;
    this.first = -1;
    this.last = 0;
  }

  show(events) {
    // A restarted world numbers its events from 1 again, and this page may be older than the world.
    if (!events.length || events.at(-1).number < this.last) { this.root.replaceChildren(); this.last = 0; }
    for (const event of events) {
      if (event.number <= this.last) continue;
      this.last = event.number;
      const item = document.createElement("li");
      const time = document.createElement("time");
      const moment = new Date(1000 * event.at);
      time.dateTime = moment.toISOString();
      time.textContent = `${moment.toLocaleTimeString("en-GB")}.${String(moment.getMilliseconds()).padStart(3, "0")}`;
      const parts = [[`mark ${event.kind}`, MARKS[event.kind]], ["where", event.area], ["what", describe(event)]];
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
