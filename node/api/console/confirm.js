// A lever is pulled deliberately: by typing the account's name; to unlock, also the epoch of the lock and a reason.

import { act, ask, newKey, Refused, SignedOut } from "./api.js";
import { announce, el, fill, foreign } from "./dom.js";
import { age, count, instant } from "./format.js";
import { accountOf, answerAge, grown, live, look, lost, onLive } from "./live.js";

const WORDS = {
  LOCK: {
    title: "Lock", button: "Lock",
    effect: "No new risk: your engine must stop, and the guard cancels orders that add exposure. Positions stay as they are.",
  },
  CLOSE_ALL: {
    title: "Close all", button: "Close all",
    effect: "Locks, cancels every order and closes every position at market. Spot balances stay: what hedged them is gone. This cannot be undone.",
  },
  FLATTEN: {
    title: "Flatten", button: "Flatten",
    effect: "Locks, cancels every order, closes every position at market, sells spot balances into the base currency and repays debts. This cannot be undone.",
  },
  UNLOCK: {
    title: "Unlock", button: "Unlock",
    effect: "Allows new risk again. Your engine may trade from this moment, and the guard stops watching.",
  },
};

/** Ask a person, then the node. */
export function confirmAction(action, accountId) {
  const dialog = document.getElementById("dialog");
  const all = accountId === "*";
  const account = all ? { id: "*", name: live.status.node_id } : accountOf(accountId);
  if (dialog.open || !account) return;
  const words = WORDS[action];
  const key = newKey();
  const name = field("confirm-name", all ? "Type the node's id" : "Type the account's name", account.name);
  const epoch = action === "UNLOCK" ? field("confirm-epoch", "Type the epoch of the lock", String(account.lock.epoch), "numeric") : null;
  const reason = field("confirm-reason", action === "UNLOCK" ? "Reason (required, recorded)" : "Reason (recorded)", null);
  reason.input.maxLength = 256;
  const unread = action === "UNLOCK" ? account.unread : [];
  const force = unread.length > 0 ? el("input", { type: "checkbox", id: "confirm-force" }) : null;
  const obstacle = el("p", { class: "notice bad", role: "alert", hidden: true });
  const outcome = el("div", { "aria-live": "assertive" });
  const go = el("button", { type: "submit", class: action === "UNLOCK" ? "caution" : action === "LOCK" ? "strong" : "danger", disabled: true }, words.button);
  const cancel = el("button", { type: "button", class: "plain", onclick: () => dialog.close() }, "Cancel");
  const hint = el("p", { class: "muted small", id: "confirm-hint" }, "The button works once everything is typed as asked.");
  const inputs = [name, epoch, reason].filter(Boolean);
  let sending = false;
  let sent = false;

  const blocked = () => {
    if (action !== "UNLOCK" || sent) return "";
    const now = accountOf(accountId);
    if (lost() || !now) return "The connection to the node is lost: an unlock needs to see how things are.";
    if (!now.lock.locked) return "The account is not locked any more.";
    if (now.lock.epoch !== account.lock.epoch) return `The lock has changed meanwhile: its epoch is ${now.lock.epoch} now. Close this, look, and begin again.`;
    return "";
  };
  const judge = () => {
    const why = blocked();
    obstacle.hidden = why === "";
    if (obstacle.textContent !== why) obstacle.textContent = why;
    const typed = name.input.value === account.name
      && (!epoch || epoch.input.value.trim() === String(account.lock.epoch))
      && (action !== "UNLOCK" || reason.input.value.trim() !== "");
    go.disabled = sending || sent || !typed || why !== "";
    hint.hidden = typed;
  };
  for (const each of inputs) each.input.addEventListener("input", judge);
  const away = onLive(() => { judge(); seen.textContent = lastSeen(all, accountId); });

  const path = action === "UNLOCK" ? "/api/v1/b2b/risk/unlock" : "/api/v1/b2b/risk/kill";
  const body = () => {
    const why = reason.input.value.trim();
    const common = { account_id: account.id, ...(why && { reason: why }) };
    if (action !== "UNLOCK") return { ...common, action };
    return { ...common, epoch: account.lock.epoch, ...(force?.checked && { force: true }) };
  };

  const send = async () => {
    const request = sent || body();
    sent = request;
    sending = true;
    judge();
    cancel.disabled = true;
    for (const each of inputs) each.input.readOnly = true;
    fill(outcome, el("p", { class: "notice busy" }, "Sending …"));
    try {
      await act("POST", path, request, key);
      dialog.close();
      announce(`${words.title} ${account.name}: accepted`);
      look();
      location.hash = `#/command/${key}`;
      return;
    } catch (error) {
      if (error instanceof SignedOut) fill(outcome, refusal("You are signed out. It was not begun: sign in and begin again.", ""));
      else if (error instanceof Refused) fill(outcome, refusal(`Refused (${error.code}). It was not begun.`, error.message));
      else fill(outcome, unclear(error.message));
    } finally {
      sending = false;
      cancel.disabled = false;
      cancel.textContent = "Close";
    }
  };

  const unclear = (why) => el("div", { class: "notice bad" },
    el("p", {}, el("strong", {}, "It is NOT known whether this took effect: "), foreign(why), "."),
    el("p", {}, "The node may be carrying it out. Sent again under the same key, it takes effect once, however often it arrives."),
    el("p", { class: "small" }, "Key: ", el("code", {}, key)),
    el("div", { class: "levers" },
      el("button", { type: "button", class: "strong", onclick: send }, "Send again, same key"),
      el("button", { type: "button", class: "plain", onclick: find }, "Ask the node whether it has it")));

  const find = async () => {
    try {
      await ask(`/api/v1/b2b/risk/commands/${key}`);
      dialog.close();
      location.hash = `#/command/${key}`;
    } catch (error) {
      const none = error instanceof Refused && error.code === "NOT_FOUND";
      const why = none ? "the node has not seen it yet, but it may still arrive" : error.message;
      fill(outcome, unclear(why));
    }
  };

  const seen = el("p", { class: "label" }, lastSeen(all, accountId));
  fill(dialog,
    el("form", { method: "dialog", novalidate: true, onsubmit: (event) => { event.preventDefault(); if (!go.disabled) send(); } },
      el("h2", { id: "dialog-title" }, `${words.title}: `, all ? `all ${live.status.accounts.length} accounts` : foreign(account.name)),
      el("p", {}, words.effect),
      seen,
      action === "UNLOCK" && account.lock.locked && el("p", {}, "Locked since ", account.lock.since ? instant(account.lock.since) : "an unknown time",
        account.lock.by ? [" by ", foreign(account.lock.by)] : "", account.lock.reason ? [": ", el("q", {}, foreign(account.lock.reason))] : "."),
      obstacle,
      name.root, epoch?.root, reason.root,
      force && el("label", { class: "check", for: "confirm-force" }, force, "Unlock although not read: ", foreign(unread.join(", "))),
      hint,
      outcome,
      el("div", { class: "levers end" }, cancel, go)));
  const guard = (event) => { if (sending) event.preventDefault(); };
  dialog.addEventListener("cancel", guard);
  dialog.addEventListener("close", () => {
    dialog.removeEventListener("cancel", guard);
    away();
    dialog.replaceChildren();
  }, { once: true });
  dialog.showModal();
  judge();
  name.input.focus();
}

function field(id, label, wanted, mode = "text") {
  const input = el("input", {
    id, type: "text", inputmode: mode, autocomplete: "off", autocapitalize: "none", autocorrect: "off", spellcheck: "false",
    "aria-describedby": "confirm-hint",
  });
  return { input, root: el("p", { class: "field" }, el("label", { for: id }, label, wanted !== null && [": ", el("code", {}, foreign(wanted))]), input) };
}

function refusal(title, message) {
  return el("p", { class: "notice bad" }, el("strong", {}, title), message ? [" ", foreign(message)] : "");
}

function lastSeen(all, accountId) {
  const accounts = all ? live.status?.accounts ?? [] : [accountOf(accountId)].filter(Boolean);
  if (accounts.length === 0) return "Nothing is known of it at the moment.";
  const slices = accounts.flatMap((account) => account.slices);
  const positions = slices.reduce((sum, slice) => sum + (slice.positions?.length ?? 0), 0);
  const orders = slices.reduce((sum, slice) => sum + (slice.open_orders ?? 0), 0);
  const ages = slices.map((slice) => grown(slice.whole_age_s ?? null));
  const never = ages.filter((each) => each === null).length;
  const oldest = Math.max(answerAge(), ...ages.filter((each) => each !== null));
  return `As last seen, up to ${age(oldest)} ago: ${count(positions, "position")}, ${count(orders, "order")}`
    + (never > 0 ? `; ${count(never, "part was", "parts were")} never read whole.` : ".");
}
