// What was commanded, how it ended, and how long the proofs took.

import { ask, SignedOut } from "./api.js";
import { el, fill, foreign, put, table } from "./dom.js";
import { instant, ms, standing } from "./format.js";
import { accountOf, live, onLive } from "./live.js";
import { latencyPlots } from "./plots.js";

const PAGE = 50;

export function show(root) {
  const choice = el("select", { id: "history-account", onchange: () => load() });
  const plots = el("section", { "aria-label": "Latencies" });
  const list = el("section", { "aria-label": "Commands" });
  const stamp = el("p", { class: "muted small" });
  fill(root, el("h1", {}, "History"),
    el("div", { class: "toolbar" }, el("label", { for: "history-account" }, "Account"), choice,
      el("button", { type: "button", class: "plain", onclick: () => load() }, "Ask again"), stamp),
    plots, list);
  let clean = () => {};
  let over = false;
  let turn = 0;

  const offer = () => {
    const names = live.status?.accounts.map((account) => account.name) ?? [];
    if (names.length === choice.options.length - 1) return;
    const before = choice.value;
    fill(choice, el("option", { value: "" }, "all"), names.map((name) => el("option", { value: name }, name)));
    choice.value = names.includes(before) ? before : "";
  };
  const load = async () => {
    turn += 1;
    const mine = turn;
    const of = choice.value ? `&account=${encodeURIComponent(choice.value)}` : "";
    try {
      const [found, page] = await Promise.all([ask(`/api/v1/node/latencies?limit=200${of}`), ask(`/api/v1/node/commands?limit=${PAGE}${of}`)]);
      if (over || mine !== turn) return;
      stamp.textContent = `As of ${instant(new Date().toISOString())}`;
      clean();
      clean = drawPlots(plots, found.executions);
      const rows = [...page.commands];
      drawList(list, rows, page.next_before, of);
    } catch (error) {
      if (over || mine !== turn || error instanceof SignedOut) return;
      clean();
      clean = () => {};
      fill(plots);
      fill(list, el("p", { class: "notice bad", role: "alert" }, "The history cannot be shown: ", foreign(error.message), "."));
    }
  };
  offer();
  load();
  const away = onLive(offer);
  return () => {
    over = true;
    clean();
    away();
  };
}

function drawPlots(place, executions) {
  const proven = executions.filter((each) => each.latency_ms.proof !== null)
    .map((each) => ({ ms: each.latency_ms.proof, at: each.at, action: each.action, residue: each.verdict !== "flat" }));
  if (proven.length === 0) {
    fill(place, el("h2", {}, "Time to the proof"), el("p", { class: "muted" }, "No execution yet: a drill shows what one would take."));
    return () => {};
  }
  const inside = el("div");
  fill(place, el("h2", {}, "Time from receipt to the proof"), el("p", { class: "muted small" }, "Every CLOSE_ALL and FLATTEN that was proven, drills left out."), inside);
  return latencyPlots(inside, proven, "Time to the proof");
}

function drawList(place, rows, before, of) {
  fill(place, el("h2", {}, "Commands"));
  if (rows.length === 0) {
    put(place, el("p", { class: "muted" }, "None yet."));
    return;
  }
  put(place, table("Commands, newest first", [
    { title: "Received", line: true, cell: ({ received_at, result }) => el("a", { href: `#/command/${result.command_id}` }, instant(received_at)) },
    { title: "Account", cell: ({ result }) => foreign(result.account_id === "*" ? "all" : accountOf(result.account_id)?.name ?? result.account_id) },
    { title: "Action", line: true, cell: ({ result }) => (result.dry_run ? `${result.action} (drill)` : result.action) },
    { title: "Verdict", line: true, cell: ({ result }) => { const { word, tone } = standing(result); return el("span", { class: `tone-${tone}` }, word); } },
    { title: "Proof", num: true, cell: ({ result }) => ms(result.latency_ms.proof) },
    { title: "Total", num: true, cell: ({ result }) => ms(result.latency_ms.total) },
    { title: "By", line: true, cell: ({ door, result }) => [foreign(result.issuer ?? "?"), ` (${door})`] },
    { title: "Reason", cell: ({ result }) => result.reason && foreign(result.reason) },
  ], rows, { stacked: true }));
  if (before === null) return;
  const more = el("button", { type: "button", class: "plain", onclick: async () => {
    more.disabled = true;
    try {
      const page = await ask(`/api/v1/node/commands?limit=${PAGE}${of}&before=${before}`);
      drawList(place, [...rows, ...page.commands], page.next_before, of);
    } catch (error) {
      more.disabled = false;
      put(place, el("p", { class: "notice bad", role: "alert" }, foreign(error.message)));
    }
  } }, "Older ones");
  put(place, el("p", {}, more));
}
