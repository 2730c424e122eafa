// The accounts: what holds them, what was last seen in them and how old that is, and the levers.

import { act, newKey } from "./api.js";
import { confirmAction } from "./confirm.js";
import { announce, el, fill, foreign, put, refill, table } from "./dom.js";
import { age, amount, count, instant, ms, signed, since } from "./format.js";
import { grown, live, look, lost, onLive } from "./live.js";

/** Older than this, a read is marked. The node itself counts a slice as unread after a minute. */
const OLD_S = 15;
const VERY_OLD_S = 60;
/** Orders and balances may be so much older than positions before it is told beside them. */
const ORDERS_OLDER_S = 5;

export function show(root) {
  const node = el("section", { class: "facts", "aria-label": "Node" });
  const everyone = el("div", { class: "everyone" });
  const cards = el("div", { class: "cards" });
  fill(root, el("h1", { class: "unseen" }, "Accounts"), node, everyone, cards);
  const known = new Map();

  const update = (status) => {
    if (status === null) {
      refill(cards, live.trouble, () => el("p", { class: "notice" }, live.trouble ? `No answer yet: ${live.trouble}` : "Asking the node …"));
      return;
    }
    refill(node, nodeFacts(status), drawFacts);
    refill(everyone, status.accounts.length > 1 && status.accounts.map((account) => account.id), (several) => several && leversForAll(status));
    const ids = status.accounts.map((account) => account.id);
    if (refill(cards, ids, () => null)) {
      known.clear();
      for (const account of status.accounts) {
        const card = accountCard(account);
        known.set(account.id, card);
        cards.append(card.root);
      }
      if (ids.length === 0) put(cards, el("p", { class: "notice" }, "No account is configured: nothing is protected."));
    }
    for (const account of status.accounts) known.get(account.id).update(account);
  };
  update(live.status);
  return onLive(update);
}

function nodeFacts(status) {
  const facts = [
    status.ready ? ["Node", "ready", "good"] : ["Node", `not ready: ${status.reasons.join("; ")}`, "bad"],
    status.broker === null ? ["Broker", "none configured", ""]
      : status.broker?.connected ? ["Broker", "connected", "good"] : ["Broker", "not connected", "bad"],
    status.journal?.healthy ? ["Journal", "writable", "good"] : ["Journal", "cannot be written", "bad"],
  ];
  if (status.outbox_depth) facts.push(["Outbox", count(status.outbox_depth, "event waits", "events wait"), "fair"]);
  facts.push(["Version", status.version, ""], ["Up since", instant(status.started_at), ""]);
  return facts;
}

function drawFacts(facts) {
  return el("dl", {}, facts.map(([name, value, tone]) =>
    el("div", {}, el("dt", {}, name), el("dd", { class: tone && `tone-${tone}` }, value))));
}

function leversForAll(status) {
  const everyone = { id: "*", name: status.node_id, all: true };
  return [
    el("span", { class: "muted" }, `All ${status.accounts.length} accounts`),
    lever("LOCK", everyone, "Lock all …"),
    lever("CLOSE_ALL", everyone, "Close all positions …"),
    lever("FLATTEN", everyone, "Flatten all …"),
  ];
}

function lever(action, account, label) {
  const tone = action === "UNLOCK" ? "caution" : action === "LOCK" ? "strong" : "danger-quiet";
  const whose = account.all ? "all accounts" : account.name;
  return el("button", { type: "button", class: tone, "aria-label": `${label.replace(" …", "")}: ${whose}`, onclick: () => confirmAction(action, account.id) }, label);
}

function accountCard(account) {
  const badge = el("span", { class: "badge" });
  const lock = el("p", { class: "lock-line" });
  const trouble = el("div");
  const running = el("div");
  const exposure = el("div", { class: "exposure" });
  const seen = el("div", { class: "seen" });
  const positions = el("div");
  const drill = el("p", { class: "muted small" });
  const unlock = el("span", { class: "lever-place" });
  const inside = el("details", {}, el("summary", {}, "Positions and balances"), positions);
  const root = el("article", { class: "card", "aria-labelledby": `name-${account.id}` },
    el("header", {},
      el("div", {},
        el("h2", { id: `name-${account.id}` }, foreign(account.name)),
        el("p", { class: "muted small" }, account.exchange, " · ", foreign(account.owner), " · permission ", account.permission)),
      badge),
    lock, trouble, running,
    el("div", { class: "levers" },
      lever("LOCK", account, "Lock …"), lever("CLOSE_ALL", account, "Close all …"), lever("FLATTEN", account, "Flatten …"),
      unlock, el("button", { type: "button", class: "plain", "aria-label": `Drill: ${account.name}`, onclick: () => rehearse(account) }, "Drill")),
    exposure, seen, inside, drill);
  const ages = new Map();

  return {
    root,
    update(now) {
      const old = lost();
      refill(badge, [now.state, now.lock.locked, old], ([state, locked]) => drawBadge(badge, state, locked, old));
      refill(lock, now.lock && [now.lock.locked, now.lock.epoch, now.lock.since, now.lock.by, now.lock.reason], () => drawLock(now.lock));
      refill(trouble, now.reasons, (reasons) => reasons.length > 0 &&
        el("ul", { class: "notice bad" }, reasons.map((reason) => el("li", {}, foreign(reason)))));
      refill(running, now.live_commands, (ids) => ids.length > 0 &&
        el("p", { class: "notice busy" }, `${count(ids.length, "command is", "commands are")} being carried out: `,
          ids.map((id, index) => [index > 0 && ", ", el("a", { href: `#/command/${id}` }, `watch ${id.slice(0, 8)}`)])));
      refill(exposure, [now.net_exposure, now.net_exposure_unknown, old], () => drawExposure(now, old));
      refill(seen, now.slices.map(({ slice, age_s, open_orders, trigger_orders, positions: held }) =>
        [slice, age_s === null, open_orders, trigger_orders, held?.length]), () => drawSlices(now, ages));
      for (const slice of now.slices) drawAges(slice, ages.get(slice.slice), now.unread.includes(slice.slice));
      refill(positions, now.slices.map((slice) => [slice.slice, slice.positions, slice.balances]), () => drawHoldings(now));
      refill(drill, drillWords(now), (words) => words);
      refill(unlock, now.lock.locked, (locked) => locked && lever("UNLOCK", account, "Unlock …"));
    },
  };
}

function drawBadge(badge, state, locked, old) {
  const tone = state === "degraded" ? "bad" : locked ? "locked" : "open";
  badge.className = `badge badge-${old ? "old" : tone}`;
  const words = state === "degraded" ? (locked ? "locked, degraded" : "degraded") : locked ? "locked" : "armed, unlocked";
  return old ? `was ${words}` : words;
}

function drawLock(lock) {
  if (!lock.locked) return [el("strong", {}, "Not locked."), el("span", { class: "muted" }, ` Epoch ${lock.epoch}.`)];
  return [
    el("strong", {}, "Locked"), lock.since ? ` since ${instant(lock.since)}` : "",
    lock.by ? [" by ", foreign(lock.by)] : "", lock.reason ? [": ", el("q", {}, foreign(lock.reason))] : ".",
    el("span", { class: "muted" }, ` Epoch ${lock.epoch}.`),
  ];
}

function drawExposure(account, old) {
  const when = old ? "When last seen" : "As last seen";
  const known = account.net_exposure.map(({ asset, value }) => el("li", { class: "chip" }, foreign(asset), " ", el("b", {}, signed(amount(value)))));
  const unknown = account.net_exposure_unknown;
  return [
    el("p", { class: "label" }, `${when}: net exposure beside ${account.base_currency}`),
    known.length > 0 && el("ul", { class: "chips" }, known),
    known.length === 0 && unknown.length === 0 && el("p", {}, "None."),
    unknown.length > 0 && el("p", { class: "tone-bad" }, "Not known of: ", foreign(unknown.join(", "))),
  ];
}

function drawSlices(account, ages) {
  ages.clear();
  return table(`Parts of ${account.name}, as last seen`, [
    { title: "Part", cell: (slice) => slice.slice },
    { title: "Positions", num: true, cell: (slice) => slice.positions?.length ?? "?" },
    { title: "Orders", num: true, cell: (slice) => slice.open_orders ?? "?" },
    { title: "Triggers", num: true, cell: (slice) => slice.trigger_orders ?? "?" },
    { title: "Seen", num: true, cell: (slice) => {
      const place = el("span", { class: "age" });
      ages.set(slice.slice, place);
      return place;
    } },
  ], account.slices);
}

/** Positions are read more often than orders and balances: where these are clearly older, both ages are told. */
function drawAges(slice, place, unread) {
  const youngest = grown(slice.age_s);
  const whole = grown(slice.whole_age_s ?? null);
  const words = youngest === null ? ["never"] : [`${age(youngest)} ago`];
  if (youngest !== null && whole === null) words.push("orders never");
  else if (youngest !== null && whole - youngest > ORDERS_OLDER_S) words.push(`orders ${age(whole)} ago`);
  refill(place, words, ([first, second]) => [first, second && el("span", { class: "small muted" }, second)]);
  const oldest = Math.max(youngest ?? Infinity, whole ?? Infinity);
  const tone = unread || oldest > VERY_OLD_S ? "age tone-bad" : youngest > OLD_S ? "age tone-fair" : "age";
  if (place.className !== tone) place.className = tone;
}

function drawHoldings(account) {
  const held = account.slices.flatMap((slice) => (slice.positions ?? []).map((position) => ({ slice: slice.slice, ...position })));
  const owned = account.slices.flatMap((slice) => (slice.balances ?? []).map((balance) => ({ slice: slice.slice, ...balance })));
  return [
    held.length > 0 ? table(`Positions of ${account.name}, as last seen`, [
      { title: "Symbol", cell: (position) => foreign(position.symbol) },
      { title: "Side", cell: (position) => position.side },
      { title: "Contracts", num: true, cell: (position) => position.contracts },
      { title: "Value", num: true, cell: (position) => amount(position.value) },
    ], held) : el("p", { class: "muted" }, "No position was seen."),
    owned.length > 0 ? table(`Balances of ${account.name}, as last seen`, [
      { title: "Asset", cell: (balance) => foreign(balance.asset) },
      { title: "Part", cell: (balance) => balance.slice },
      { title: "Total", num: true, cell: (balance) => balance.total },
      { title: "Debt", num: true, cell: (balance) => balance.debt ?? "0" },
    ], owned) : el("p", { class: "muted" }, "No balance was seen."),
  ];
}

function drillWords(account) {
  const newest = account.last_drill;
  if (!newest) return "Never drilled: nobody knows whether this account could be closed.";
  const when = `${age(since(newest.at))} ago (${newest.action}${newest.predicted_ms ? `, about ${ms(newest.predicted_ms)} predicted` : ""})`;
  if (newest.state === "done") return `Last drill passed ${when}.`;
  const passed = account.last_drill_at ? ` The last that passed was ${age(since(account.last_drill_at))} ago.` : " None ever passed.";
  return `LAST DRILL DID NOT PASS, ${when}.${passed}`;
}

/** A drill changes nothing: it needs no confirmation. */
async function rehearse(account) {
  const key = newKey();
  try {
    await act("POST", "/api/v1/b2b/risk/kill", { account_id: account.id, action: "CLOSE_ALL", dry_run: true, reason: "console" }, key);
    look();
    location.hash = `#/command/${key}`;
  } catch (error) {
    announce(`The drill was not begun: ${error.message}`);
    document.getElementById("content").prepend(
      el("p", { class: "notice bad", role: "alert" }, `The drill of ${account.name} was not begun, or it is not known: `, foreign(error.message)));
  }
}

