// The label of an area on the map: across if it fits, upwards in a narrow area, shortened if nothing fits.

const SIZE = 13, PADDING = 6, GAP = 5, MIN_CHARACTERS = 2;
export const LABEL_HEIGHT = SIZE + 9;

export function drawLabel(pen, { name, more, mark, box, skip, ground, ink, markInk }) {
  // Returns false if there is no room for the label.
  const [left, top, width, height] = box;
  pen.font = `600 ${SIZE}px system-ui, sans-serif`;
  const start = mark ? `${mark} ` : "", wide = (text) => pen.measureText(text).width + 2 * PADDING;
  const upwards = wide(start + name) > width - 2 * GAP && height > width;
  const [along, across] = upwards ? [height, width] : [width, height];
  const room = along - 2 * GAP;
  const text = wide(`${start}${name}  ${more}`) <= room ? `${name}  ${more}` : shorten(name, (part) => wide(start + part) <= room);
  if (across < LABEL_HEIGHT || text.length < Math.min(MIN_CHARACTERS, name.length)) return false;
  // Labels of planes that lie over each other stand one below the other, as far as there is room.
  const edge = Math.min(GAP + skip, across - LABEL_HEIGHT - Math.min(GAP, (across - LABEL_HEIGHT) / 2));
  pen.save();
  if (upwards) {
    pen.translate(left, top + height);
    pen.rotate(-Math.PI / 2);
  } else {
    pen.translate(left, top);
  }
  pen.fillStyle = ground;
  pen.globalAlpha = 0.88;
  pen.fillRect(GAP, edge, wide(start + text), LABEL_HEIGHT);
  pen.globalAlpha = 1;
  pen.fillStyle = markInk;
  if (mark) pen.fillText(mark, GAP + PADDING, edge + SIZE + 2);
  pen.fillStyle = ink;
  pen.fillText(text, GAP + PADDING + (mark ? pen.measureText(start).width : 0), edge + SIZE + 2);
  pen.restore();
  return true;
}

function shorten(name, fits) {
  if (fits(name)) return name;
  let length = name.length - 1;
  while (length > 0 && !fits(`${name.slice(0, length)}…`)) length -= 1;
  return length > 0 ? `${name.slice(0, length)}…` : "";
}
