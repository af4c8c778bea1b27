// The health of an area, and the words that the page shows for it.

export function health(area) {
  if (!area.replicas.some((replica) => replica.role === "active")) return "down";
  return area.redundant ? "whole" : "alone";
}

export const WORDS = { whole: "● redundant", alone: "◐ not redundant", down: "○ no active" };
