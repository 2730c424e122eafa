// Latencies, drawn: how they are distributed, and how they went over time. Logarithmic, so that a bad one is seen.

import { el, fill, svg, table } from "./dom.js";
import { ms } from "./format.js";

const BINS_PER_DECADE = 8;
const LABEL_WIDTH = 34;
const MARGIN = { left: 54, right: 14, top: 22, bottom: 26 };

/** Value below which the given part of the sorted values lies. */
export function quantile(sorted, part) {
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
}

/** Figures of a list of milliseconds. */
export function figures(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return {
    n: sorted.length, min: sorted[0], p50: quantile(sorted, 0.5), p90: quantile(sorted, 0.9), p95: quantile(sorted, 0.95),
    p99: quantile(sorted, 0.99), max: sorted.at(-1),
  };
}

/** Both drawings of executions (`{ms, at, action, id}`), oldest first, drawn again as wide as there is room. */
export function latencyPlots(root, executions, title) {
  const found = figures(executions.map((each) => each.ms));
  const shape = el("figure", { class: "plot" });
  const course = el("figure", { class: "plot" });
  const columns = ["n", "min", "p50", "p90", "p95", "p99", "max"].map((name) => ({ title: name, num: true, cell: () => (name === "n" ? found.n : ms(found[name])) }));
  fill(root, table(`${title}: figures`, columns, [found], { stacked: true }), el("div", { class: "plots" }, shape, course));
  let width = 0;
  const draw = () => {
    const wide = Math.max(260, Math.floor(shape.clientWidth));
    if (wide === width) return;
    width = wide;
    fill(shape, el("figcaption", {}, "Distribution of the time to the proof"), distribution(executions, found, wide));
    fill(course, el("figcaption", {}, "One after the other, newest on the right"), sequence(executions, found, wide));
  };
  const observer = new ResizeObserver(draw);
  observer.observe(shape);
  draw();
  return () => observer.disconnect();
}

function decades(low, high) {
  const from = Math.floor(Math.log10(Math.max(low, 0.1)) * 2) / 2;
  const to = Math.ceil(Math.log10(Math.max(high, 0.1)) * 2 + 0.001) / 2;
  return [from, Math.max(to, from + 0.5)];
}

function ticks(from, to) {
  const found = [];
  for (let decade = Math.floor(from); decade <= Math.ceil(to); decade += 1) {
    for (const step of [1, 2, 5]) {
      const value = step * 10 ** decade;
      const place = Math.log10(value);
      if (place >= from - 1e-9 && place <= to + 1e-9) found.push(value);
    }
  }
  return found;
}

function tick(value) {
  return value < 1000 ? `${value} ms` : `${value / 1000} s`;
}

function distribution(executions, found, width) {
  const height = 170;
  const [from, to] = decades(found.min, found.max);
  const x = (value) => MARGIN.left + ((Math.log10(Math.max(value, 0.1)) - from) / (to - from)) * (width - MARGIN.left - MARGIN.right);
  const bins = new Array(Math.max(1, Math.round((to - from) * BINS_PER_DECADE))).fill(0);
  for (const { ms: value } of executions) {
    const place = Math.floor(((Math.log10(Math.max(value, 0.1)) - from) / (to - from)) * bins.length);
    bins[Math.min(bins.length - 1, Math.max(0, place))] += 1;
  }
  const most = Math.max(...bins);
  const floor = height - MARGIN.bottom;
  const y = (number) => floor - (number / most) * (floor - MARGIN.top);
  const step = (width - MARGIN.left - MARGIN.right) / bins.length;
  const bars = bins.map((number, index) => number > 0 && svg("rect", {
    class: "bar", x: (MARGIN.left + index * step + 1).toFixed(1), width: Math.max(1, step - 2).toFixed(1), y: y(number).toFixed(1), height: (floor - y(number)).toFixed(1), rx: 1.5,
  }, svg("title", {}, `${number} between ${ms(10 ** (from + (index * (to - from)) / bins.length))} and ${ms(10 ** (from + ((index + 1) * (to - from)) / bins.length))}`)));
  const label = `Distribution of ${found.n} executions: half within ${ms(found.p50)}, 95 of 100 within ${ms(found.p95)}, the slowest ${ms(found.max)}`;
  return svg("svg", { class: "chart", role: "img", "aria-label": label, viewBox: `0 0 ${width} ${height}`, width, height },
    axis(from, to, x, floor, width),
    svg("text", { class: "tick", x: MARGIN.left - 6, y: y(most) + 4, "text-anchor": "end" }, most),
    bars,
    x(found.p95) - x(found.p50) < LABEL_WIDTH
      ? [mark("p50, p95", x(found.p95), floor), mark("", x(found.p50), floor)]
      : [mark("p50", x(found.p50), floor), mark("p95", x(found.p95), floor)]);
}

function axis(from, to, x, floor, width) {
  const values = ticks(from, to);
  let last = -Infinity;
  return [
    svg("line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: floor, y2: floor }),
    values.map((value) => {
      const place = x(value);
      if (place - last < 46) return svg("line", { class: "axis", x1: place, x2: place, y1: floor, y2: floor + 3 });
      last = place;
      return [svg("line", { class: "axis", x1: place, x2: place, y1: floor, y2: floor + 5 }), svg("text", { class: "tick", x: place, y: floor + 18, "text-anchor": "middle" }, tick(value))];
    }),
  ];
}

function mark(name, place, floor) {
  return [
    svg("line", { class: "quantile", x1: place, x2: place, y1: MARGIN.top - 6, y2: floor }),
    name && svg("text", { class: "tick strong", x: place, y: MARGIN.top - 10, "text-anchor": "middle" }, name),
  ];
}

function sequence(executions, found, width) {
  const height = 170;
  const [from, to] = decades(found.min, found.max);
  const floor = height - MARGIN.bottom;
  const y = (value) => floor - ((Math.log10(Math.max(value, 0.1)) - from) / (to - from)) * (floor - MARGIN.top);
  const step = (width - MARGIN.left - MARGIN.right) / Math.max(executions.length, 1);
  let last = Infinity;
  const lines = ticks(from, to).map((value) => {
    const place = y(value);
    if (last - place < 16) return null;
    last = place;
    return [svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: place, y2: place }), svg("text", { class: "tick", x: MARGIN.left - 6, y: place + 4, "text-anchor": "end" }, tick(value))];
  });
  const dots = executions.map((each, index) => svg("circle", { class: each.residue ? "dot dot-residue" : "dot", cx: (MARGIN.left + step * (index + 0.5)).toFixed(1), cy: y(each.ms).toFixed(1), r: executions.length > 150 ? 2 : 3.5 },
    svg("title", {}, `${each.action} ${ms(each.ms)}, ${each.at}`)));
  return svg("svg", { class: "chart", role: "img", "aria-label": `The ${found.n} executions in their order, between ${ms(found.min)} and ${ms(found.max)}`, viewBox: `0 0 ${width} ${height}`, width, height },
    lines, dots, svg("text", { class: "tick", x: MARGIN.left, y: floor + 18 }, executions[0].at.slice(0, 10)),
    svg("text", { class: "tick", x: width - MARGIN.right, y: floor + 18, "text-anchor": "end" }, executions.at(-1).at.slice(0, 10)));
}
