// API keys: made, shown once, revoked. A key's text is never asked for again, and never leaves this page by itself.

import { act, ask, Refused, SignedOut } from "./api.js";
import { announce, el, fill, foreign, put, refill, table } from "./dom.js";
import { instant } from "./format.js";
import { accountOf, live, onLive } from "./live.js";

const PATH = "/api/v1/b2b/keys";
const SCOPES = [
  ["kill", "CLOSE_ALL, FLATTEN and LOCK"],
  ["lock", "LOCK"],
  ["read", "results, accounts, locks"],
];
const DAY_S = 86400;
const LIVES = [["30", "30 days"], ["90", "90 days"], ["365", "a year"], ["", "never"]];

export function show(root) {
  const made = el("div");
  const fault = el("div", { "aria-live": "assertive" });
  const form = el("div");
  const list = el("section", { "aria-label": "Keys" });
  fill(root, el("h1", {}, "API keys"),
    el("p", { class: "muted" }, "For the risk API. No key can unlock. At most five active keys an owner."),
    made, form, fault, list);
  let over = false;

  const load = async () => {
    try {
      const found = await ask(PATH);
      if (!over) drawList(list, found.keys, revoke);
    } catch (error) {
      if (over || error instanceof SignedOut) return;
      fill(list, el("p", { class: "notice bad", role: "alert" }, "The keys cannot be shown: ", foreign(error.message), "."));
    }
  };
  const create = async (wanted, button) => {
    button.disabled = true;
    fill(fault);
    try {
      const key = await act("POST", PATH, wanted);
      if (over) return;
      drawMade(made, key);
      announce("The key was made. It is shown once: copy it now.");
    } catch (error) {
      if (over || error instanceof SignedOut) return;
      if (error instanceof Refused) fill(fault, el("p", { class: "notice bad" }, "No key was made: ", foreign(error.message), "."));
      else fill(fault, el("p", { class: "notice bad" }, el("strong", {}, "It is NOT known whether a key was made: "), foreign(error.message), ". Look at the list: a key that you cannot have copied should be revoked."));
    } finally {
      button.disabled = false;
      load();
    }
  };
  const revoke = (key) => askToRevoke(key, load);
  const offer = (status) => refill(form, owners(status), (of) => drawForm(of, create));
  offer(live.status);
  load();
  const away = onLive(offer);
  return () => {
    over = true;
    away();
    fill(made);
  };
}

function owners(status) {
  const found = {};
  for (const account of status?.accounts ?? []) (found[account.owner] ??= []).push([account.id, account.name]);
  return found;
}

function drawForm(of, create) {
  const names = Object.keys(of);
  if (names.length === 0) return el("p", { class: "muted" }, "There is no owner with an account: a key would open nothing.");
  const owner = el("select", { id: "key-owner" }, names.map((name) => el("option", { value: name }, name)));
  const label = el("input", { id: "key-label", type: "text", maxlength: "64", autocomplete: "off" });
  const life = el("select", { id: "key-life" }, LIVES.map(([days, words]) => el("option", { value: days, selected: days === "90" }, words)));
  const scopes = SCOPES.map(([name, words]) => {
    const box = el("input", { type: "checkbox", id: `scope-${name}`, value: name, checked: name === "read" });
    return { box, root: el("label", { class: "check", for: `scope-${name}` }, box, el("span", {}, el("b", {}, name), `: ${words}`)) };
  });
  const accounts = el("fieldset");
  const choices = () => {
    const every = el("input", { type: "radio", name: "key-accounts", id: "key-all", value: "all", checked: true });
    const some = el("input", { type: "radio", name: "key-accounts", id: "key-some", value: "some" });
    const boxes = of[owner.value].map(([id, name]) => {
      const box = el("input", { type: "checkbox", id: `key-account-${id}`, value: id, onchange: () => { some.checked = true; } });
      return el("label", { class: "check", for: `key-account-${id}` }, box, foreign(name));
    });
    fill(accounts, el("legend", {}, "Accounts"),
      el("label", { class: "check", for: "key-all" }, every, "all of the owner's, now and later"),
      el("label", { class: "check", for: "key-some" }, some, "only these:"), el("div", { class: "indented" }, boxes));
  };
  owner.addEventListener("change", choices);
  choices();
  const button = el("button", { type: "submit", class: "strong" }, "Make the key");
  const hint = el("p", { class: "notice bad", role: "alert", hidden: true });
  return el("details", { class: "card" }, el("summary", {}, "New key"),
    el("form", { novalidate: true, onsubmit: (event) => {
      event.preventDefault();
      const chosen = scopes.filter(({ box }) => box.checked).map(({ box }) => box.value);
      const some = accounts.querySelector("#key-some").checked;
      const named = [...accounts.querySelectorAll("input[type=checkbox]")].filter((box) => box.checked).map((box) => box.value);
      const missing = chosen.length === 0 ? "Choose what the key may do." : some && named.length === 0 ? "Choose its accounts." : "";
      hint.hidden = missing === "";
      hint.textContent = missing;
      if (missing) return;
      create({
        owner: owner.value, scopes: chosen,
        ...(some && { accounts: named }),
        ...(label.value.trim() && { label: label.value.trim() }),
        ...(life.value && { expires_in_s: Number(life.value) * DAY_S }),
      }, button);
    } },
    el("p", { class: "field" }, el("label", { for: "key-owner" }, "Owner"), owner),
    el("p", { class: "field" }, el("label", { for: "key-label" }, "Label (so that you know it again)"), label),
    el("fieldset", {}, el("legend", {}, "It may"), scopes.map((each) => each.root)),
    accounts,
    el("p", { class: "field" }, el("label", { for: "key-life" }, "Ends"), life),
    hint, button));
}

/** The only time that the key's text is seen: it is in this element, and nowhere once it is left. */
function drawMade(place, key) {
  const text = el("code", { class: "secret", tabindex: "0", "aria-label": "The new key" }, key.api_key);
  const copied = el("span", { role: "status", class: "muted" });
  const copy = el("button", { type: "button", class: "strong", onclick: async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      copied.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(text);
      copied.textContent = "The browser does not let the page copy: it is selected, copy it by hand.";
    }
  } }, "Copy");
  const away = el("button", { type: "button", class: "plain", onclick: () => fill(place) }, "I have stored it: take it away");
  fill(place, el("section", { class: "notice good", "aria-label": "New key" },
    el("p", {}, el("strong", {}, "This is shown once. "), "Whoever has it can command the accounts. Store it now; lost, it can only be revoked."),
    text, el("div", { class: "levers" }, copy, away, copied)));
  copy.focus();
}

function drawList(place, keys, revoke) {
  fill(place, el("h2", {}, "Keys"));
  if (keys.length === 0) {
    put(place, el("p", { class: "muted" }, "None yet."));
    return;
  }
  const newest = [...keys].reverse();
  put(place, table("API keys, newest first", [
    { title: "Key", line: true, cell: (key) => el("code", {}, `ad_b2b_${key.id}_…`) },
    { title: "Label", cell: (key) => key.label && foreign(key.label) },
    { title: "Owner", cell: (key) => foreign(key.owner) },
    { title: "May", line: true, cell: (key) => key.scopes.join(", ") },
    { title: "Accounts", cell: (key) => foreign(key.accounts.map((id) => (id === "*" ? "all" : accountOf(id)?.name ?? id)).join(", ")) },
    { title: "Made", line: true, cell: (key) => instant(key.created_at) },
    { title: "Last used", line: true, cell: (key) => (key.last_used_at ? instant(key.last_used_at) : "never") },
    { title: "Ends", line: true, cell: (key) => (key.revoked_at ? `revoked ${instant(key.revoked_at)}` : key.expires_at ? instant(key.expires_at) : "never") },
    { title: "State", line: true, cell: (key) => (key.state === "active"
      ? el("button", { type: "button", class: "danger-quiet", "aria-label": `Revoke ${key.id}`, onclick: () => revoke(key) }, "Revoke …")
      : el("span", { class: "tone-bad" }, key.state)) },
  ], newest, { stacked: true }));
}

function askToRevoke(key, done) {
  const dialog = document.getElementById("dialog");
  if (dialog.open) return;
  const typed = el("input", { id: "revoke-id", type: "text", autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
  const go = el("button", { type: "submit", class: "danger", disabled: true }, "Revoke");
  const outcome = el("div", { "aria-live": "assertive" });
  typed.addEventListener("input", () => { go.disabled = typed.value.trim() !== key.id; });
  fill(dialog, el("form", { method: "dialog", novalidate: true, onsubmit: async (event) => {
    event.preventDefault();
    if (go.disabled) return;
    go.disabled = true;
    try {
      await act("DELETE", `${PATH}/${encodeURIComponent(key.id)}`);
      dialog.close();
      announce(`Key ${key.id} is revoked.`);
    } catch (error) {
      go.disabled = false;
      const words = error instanceof Refused ? "Not revoked: " : error instanceof SignedOut ? "Not revoked. You are signed out: " : "It is NOT known whether it was revoked (again is harmless): ";
      fill(outcome, el("p", { class: "notice bad" }, words, foreign(error.message), "."));
    }
    done();
  } },
  el("h2", { id: "dialog-title" }, "Revoke the key ", key.label ? foreign(key.label) : key.id),
  el("p", {}, "It ends at once and for good. Whoever uses it is refused from then on."),
  el("p", { class: "field" }, el("label", { for: "revoke-id" }, "Type the key's id: ", el("code", {}, key.id)), typed),
  outcome,
  el("div", { class: "levers end" }, el("button", { type: "button", class: "plain", onclick: () => dialog.close() }, "Cancel"), go)));
  dialog.addEventListener("close", () => dialog.replaceChildren(), { once: true });
  dialog.showModal();
  typed.focus();
}
