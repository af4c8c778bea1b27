// The line to the world: it comes back by itself, and says when it is not there.

const FIRST = 500, LONGEST = 8000;

export function connect({ onWorld, onSample, onLink }) {
  let pause = FIRST;
  const open = () => {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/v1/console`);
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.kind === "world") {
        pause = FIRST;
        onLink(true);
        onWorld(message);
      } else if (message.kind === "sample") {
        onSample(message);
      }
    };
    socket.onclose = () => {
      onLink(false);
      setTimeout(open, pause);
      pause = Math.min(2 * pause, LONGEST);
    };
  };
  open();
}

export async function order(path, body) {
  const answer = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error ?? `the world answered ${answer.status}`);
  return told;
}
