// The connection to the world: it reconnects by itself and reports whether it is open.

const FIRST_DELAY_MS = 500, MAX_DELAY_MS = 8000;

export function connect({ onWorld, onSample, onLink }) {
  let delay = FIRST_DELAY_MS;
  const open = () => {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/v1/console`);
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.kind === "world") {
        delay = FIRST_DELAY_MS;
        onLink(true);
        onWorld(message);
      } else if (message.kind === "sample") {
        onSample(message);
      }
    };
    socket.onclose = () => {
      onLink(false);
      setTimeout(open, delay);
      delay = Math.min(2 * delay, MAX_DELAY_MS);
    };
  };
  open();
}

export async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  const result = await answer.json();
  if (!answer.ok) throw new Error(result.error ?? `the world answered ${answer.status}`);
  return result;
}
