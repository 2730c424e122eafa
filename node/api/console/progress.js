// One command, stage by stage, as the node tells it.

import { ask, Refused, SignedOut } from "./api.js";
import { announce, el, fill, foreign, table } from "./dom.js";
import { age, amount, count, instant, meaning, ms, signed, standing } from "./format.js";
import { accountOf, look, onLive } from "./live.js";

const ENDED = ["done", "rejected", "failed"];
const STAGES = [
  ["Durable", "journal", "written to the journal; how long that took"],
  ["Locked", "lock", "the lock taken; how long that took"],
  ["Account read", "snapshot", "the first plan could be made"],
  ["First order", "first_order", "left for the exchange"],
  ["Last order", "last_order", "answered by the exchange"],
  ["Proven", "proof", "read again, whole, after the last order had ended"],
];
/** A drill takes no lock, and its only order is one that cancels nothing. */
const DRILL_STAGES = [
  STAGES[0],
  STAGES[2],
  ["Probe sent", "first_order", "the right to trade, shown by cancelling an order that does not exist"],
  ["Probe answered", "last_order", "by the exchange"],
  ["Rehearsed", "proof", "every part read as for a proof, and planned"],
];
const DURATIONS = ["journal", "lock"];

export function show(root, commandId) {
  const heading = el("h1", { tabindex: "-1" }, "Command");
  const connection = el("p", { class: "notice bad", role: "alert", hidden: true });
  const place = el("div", { "aria-busy": "true" }, el("p", { class: "notice" }, "Asking the node …"));
  fill(root, el("p", {}, el("a", { href: "#/" }, "Accounts"), " / ", el("a", { href: "#/history" }, "History")), heading, connection, place);
  let source = null;
  let newest = null;
  let heardAt = 0;
  let clock = null;
  let over = false;

  const draw = (result) => {
    newest = result;
    heardAt = performance.now();
    const name = nameOf(result.account_id);
    fill(heading, result.dry_run ? "Drill of " : "", result.action, ": ", foreign(name));
    const { word } = standing(result);
    place.setAttribute("aria-busy", String(!ENDED.includes(result.state)));
    clock = paint(result, place);
    tick();
    announce(`${result.action} ${name}: ${word}. ${count(result.orders.placed, "order")} placed, ${result.orders.cancelled} cancelled.`);
  };
  const tick = () => {
    if (!newest || !clock || ENDED.includes(newest.state)) return;
    const silent = (performance.now() - heardAt) / 1000;
    clock.textContent = `running for ${ms((newest.latency_ms.total ?? 0) + silent * 1000)}; last told ${age(silent)} ago`;
  };

  const follow = () => {
    source = new EventSource(`/api/v1/b2b/risk/commands/${encodeURIComponent(commandId)}/events`);
    source.onmessage = (event) => {
      connection.hidden = true;
      const result = JSON.parse(event.data);
      if (newest === null || result.seq >= newest.seq) draw(result);
      if (ENDED.includes(result.state)) {
        source.close();
        look();
      }
    };
    source.onopen = () => { connection.hidden = true; };
    source.onerror = () => {
      if (newest && ENDED.includes(newest.state)) return source.close();
      connection.hidden = false;
      fill(connection, el("strong", {}, "The stream is interrupted. "), "The command goes on at the node; what is shown is the last that was told. Connecting again …");
      if (source.readyState === EventSource.CLOSED && !over) retry = setTimeout(begin, 2000);
      return undefined;
    };
  };
  let retry = null;
  const begin = async () => {
    try {
      const result = await ask(`/api/v1/b2b/risk/commands/${encodeURIComponent(commandId)}`);
      if (over) return;
      connection.hidden = true;
      draw(result);
      if (!ENDED.includes(result.state)) follow();
    } catch (error) {
      if (over || error instanceof SignedOut) return;
      if (error instanceof Refused) {
        fill(place, el("p", { class: "notice bad" }, foreign(error.message)));
        return;
      }
      connection.hidden = false;
      fill(connection, "Not known how the command stands: ", foreign(error.message), ". Asking again …");
      retry = setTimeout(begin, 2000);
    }
  };
  begin();
  const away = onLive(tick);
  return () => {
    over = true;
    clearTimeout(retry);
    source?.close();
    away();
  };
}

function nameOf(accountId) {
  return accountId === "*" ? "all accounts" : accountOf(accountId)?.name ?? accountId;
}

/** Draws the result document; returns where the running time is told. */
function paint(result, place) {
  const { word, tone } = standing(result);
  const clock = el("span", { class: "muted" });
  const ended = ENDED.includes(result.state);
  const closes = ["CLOSE_ALL", "FLATTEN"].includes(result.action);
  fill(place,
    el("section", { class: `verdict verdict-${tone}`, "aria-label": "Verdict" },
      el("p", { class: "verdict-word" }, word), el("p", {}, meaning(result)),
      ended ? el("p", { class: "muted small" }, `Ended ${instant(result.at)}, after ${ms(result.latency_ms.total)}.`) : el("p", { class: "small" }, clock)),
    result.unjournaled && el("p", { class: "notice bad" }, "Not in the journal: the disk would not take it. A restart would not know of it."),
    stages(result, closes),
    closes && !result.dry_run && orders(result),
    result.errors.length > 0 && el("section", {}, el("h2", {}, "What went wrong"), el("ul", { class: "notice bad" }, result.errors.map((error) =>
      el("li", {}, el("b", {}, error.code), " ", foreign([error.slice, error.symbol].filter(Boolean).join(" ")), " ", foreign(error.message))))),
    result.children && children(result.children),
    result.planned && planned(result),
    !result.dry_run && result.positions.length > 0 && positions(result),
    !result.dry_run && result.balances.length > 0 && balances(result),
    (closes && ended && !result.children) && exposure(result),
    gaps(result),
    result.evidence.length > 0 && evidence(result),
    el("p", { class: "muted small wrap" }, "By ", foreign(result.issuer ?? "?"), result.reason ? [": ", el("q", {}, foreign(result.reason))] : "", ". Command ", el("code", {}, result.command_id), "."));
  return clock;
}

function stages(result, closes) {
  const shown = result.dry_run ? DRILL_STAGES.slice(0, closes ? undefined : 1) : closes ? STAGES : STAGES.slice(0, 2);
  if (result.children) return null;
  const measured = (name) => result.latency_ms[name] !== null && result.latency_ms[name] !== undefined;
  // That it is durable, and locked, is told before it is told how long that took.
  const known = { journal: result.state !== "rejected" && !result.unjournaled, lock: result.lock?.locked && result.action !== "UNLOCK" };
  const reached = shown.filter(([, name]) => measured(name) || known[name]).length;
  const ended = ENDED.includes(result.state);
  let next = !ended;
  return el("ol", { class: "stages", "aria-label": `Stages: ${reached} of ${shown.length} reached` }, shown.map(([title, name, what]) => {
    const value = result.latency_ms[name];
    const done = measured(name) || Boolean(known[name]);
    const now = !done && next;
    if (now) next = false;
    const state = done ? "done" : now ? "now" : "open";
    const word = done ? (!measured(name) ? "yes" : DURATIONS.includes(name) ? ms(value) : `+${ms(value)}`) : now ? "waiting" : ended ? "not needed or not reached" : "–";
    return el("li", { class: `stage stage-${state}`, title: what, "aria-current": now && "step" }, el("span", { class: "stage-name" }, title), el("span", { class: "stage-time" }, word));
  }));
}

function orders(result) {
  const facts = [["Rounds", result.rounds], ["Placed", result.orders.placed], ["Cancelled", result.orders.cancelled], ["Refused", result.orders.rejected], ["Unclear", result.orders.ambiguous]];
  return el("dl", { class: "counts" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function verdict(word) {
  const tone = word === "flat" ? "good" : ["dust", "held", "collateral"].includes(word) ? "" : word === "unsellable" || word === "market_closed" ? "fair" : "bad";
  return el("span", { class: tone && `tone-${tone}` }, word.replaceAll("_", " "));
}

function positions(result) {
  return el("section", {}, el("h2", {}, "Positions"), table("Positions of this command", [
    { title: "Symbol", cell: (each) => foreign(each.symbol) },
    { title: "Side", cell: (each) => each.side },
    { title: "Before", num: true, cell: (each) => each.before },
    { title: "After", num: true, cell: (each) => each.after ?? "not known" },
    { title: "Verdict", cell: (each) => verdict(each.verdict) },
  ], result.positions));
}

function balances(result) {
  return el("section", {}, el("h2", {}, "Balances"), table("Balances of this command", [
    { title: "Asset", cell: (each) => foreign(each.asset) },
    { title: "Part", cell: (each) => each.slice },
    { title: "Before", num: true, cell: (each) => each.before },
    { title: "After", num: true, cell: (each) => each.after ?? "not known" },
    { title: "Verdict", cell: (each) => verdict(each.verdict) },
  ], result.balances));
}

function exposure(result) {
  const unknown = result.net_exposure_unknown ?? [];
  return el("section", {}, el("h2", {}, result.dry_run ? "Net exposure that would be left" : "Net exposure left"),
    result.net_exposure.length > 0 ? el("ul", { class: "chips" }, result.net_exposure.map(({ asset, value }) => el("li", { class: "chip" }, foreign(asset), " ", el("b", {}, signed(amount(value))))))
      : unknown.length === 0 && el("p", {}, "None."),
    unknown.length > 0 && el("p", { class: "tone-bad" }, "Not known of: ", foreign(unknown.join(", "))));
}

function gaps(result) {
  const lines = [];
  if (result.not_covered.length > 0) lines.push(el("li", {}, "Left out by configuration: ", foreign(result.not_covered.join(", "))));
  if (result.unverified.length > 0) lines.push(el("li", {}, "Cannot be seen at this exchange: ", foreign(result.unverified.join(", "))));
  return lines.length > 0 && el("ul", { class: "notice fair" }, lines);
}

function evidence(result) {
  return el("section", {}, el("h2", {}, "Evidence"), table("Evidence: the reads behind the verdict", [
    { title: "Part", cell: (each) => each.slice },
    { title: "Positions", num: true, cell: (each) => each.positions },
    { title: "Orders", num: true, cell: (each) => each.open_orders },
    { title: "Triggers", num: true, cell: (each) => each.trigger_orders },
    { title: "Read at", num: true, cell: (each) => instant(each.read_at) },
  ], result.evidence));
}

function planned(result) {
  const words = Object.entries(result.planned).map(([what, number]) => `${number} ${what.replaceAll("_", " ")}`).join(", ");
  return el("section", {}, el("h2", {}, "A real command would begin with"), el("p", {}, words || "nothing", result.predicted_ms ? `; about ${ms(result.predicted_ms)}.` : "."),
    result.left_over?.length > 0 && table("What would be left over", [
      { title: "What", cell: (each) => foreign(each.name) },
      { title: "Part", cell: (each) => each.slice },
      { title: "Quantity", num: true, cell: (each) => each.quantity },
      { title: "Why", cell: (each) => verdict(each.verdict) },
    ], result.left_over));
}

function children(list) {
  return el("section", {}, el("h2", {}, "Accounts"), table("The command, account by account", [
    { title: "Account", cell: (each) => el("a", { href: `#/command/${each.command_id}` }, foreign(nameOf(each.account_id))) },
    { title: "State", cell: (each) => (each.state ?? "?").replaceAll("_", " ") },
    { title: "Verdict", cell: (each) => (each.verdict ?? "–").replaceAll("_", " ") },
  ], list));
}
