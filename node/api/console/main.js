// Begins, leads from page to page, and says loudly when what is shown is no longer true.

import { signIn, signOut, SignedOut, stay, whoAmI } from "./api.js";
import { announce, el, fill, foreign } from "./dom.js";
import { age } from "./format.js";
import * as history from "./history.js";
import * as keys from "./keys.js";
import { answerAge, live, lost, onLive, start, stop } from "./live.js";
import * as overview from "./overview.js";
import * as progress from "./progress.js";

const STAY_EVERY_MS = 30000;
const WARN_BEFORE_S = 120;

const content = document.getElementById("content");
const nav = document.getElementById("nav");
const pill = document.getElementById("connection");
const banner = document.getElementById("lost");
const out = document.getElementById("sign-out");

let leave = () => {};
let touched = 0;
/** When the session ends if nobody touches the page, by this page's clock; null where there is none. */
let endsAt = null;

function route() {
  if (nav.hidden) return;
  document.getElementById("dialog").close();
  leave();
  leave = () => {};
  const [, page = "", argument = ""] = location.hash.split("/");
  const pages = { "": overview.show, history: history.show, keys: keys.show, command: progress.show };
  for (const link of nav.querySelectorAll("a")) {
    const current = link.getAttribute("href") === `#/${page}`;
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const show = pages[page];
  if (!show) {
    fill(content, el("p", { class: "notice bad" }, "No such page. ", el("a", { href: "#/" }, "Accounts")));
    return;
  }
  leave = show(content, decodeURIComponent(argument)) ?? (() => {});
}

/** Old is never shown as if it were new. */
function watch(status) {
  document.getElementById("node-id").textContent = status?.node_id ?? "";
  if (status === null && live.trouble === null) return;
  const old = lost() || status === null;
  pill.className = old ? "pill pill-bad" : "pill pill-good";
  pill.textContent = status === null ? "no answer" : old ? `lost for ${age(answerAge())}` : live.trouble ? `retrying, ${age(answerAge())} old` : "live";
  document.body.classList.toggle("stale", old);
  if (old) {
    const words = status === null ? `The node does not answer: ${live.trouble}.`
      : `CONNECTION LOST. What you see is ${age(answerAge())} old and may be wrong by now. Trying again …`;
    if (banner.textContent !== words) banner.textContent = words;
  } else if (endsAt !== null && endsAt - performance.now() < WARN_BEFORE_S * 1000) {
    const words = `You will be signed out in ${age(Math.max(0, (endsAt - performance.now()) / 1000))}: touch the page to stay.`;
    if (banner.textContent !== words) banner.textContent = words;
  }
  banner.hidden = !old && !(endsAt !== null && endsAt - performance.now() < WARN_BEFORE_S * 1000);
}

function enter(state) {
  endsAt = null;
  remember(state);
  nav.hidden = false;
  pill.hidden = false;
  out.hidden = state.by !== "session";
  start((why) => askForToken(why));
  route();
}

function remember(state) {
  endsAt = state.idle_left_s === null || state.idle_left_s === undefined ? null : performance.now() + state.idle_left_s * 1000;
}

function askForToken(why = "") {
  stop();
  leave();
  leave = () => {};
  document.getElementById("dialog").close();
  endsAt = null;
  nav.hidden = true;
  pill.hidden = true;
  out.hidden = true;
  banner.hidden = true;
  document.body.classList.remove("stale");
  document.getElementById("node-id").textContent = "";
  announce("");
  const token = el("input", { id: "token", type: "password", autocomplete: "current-password", required: true, maxlength: "1024", spellcheck: "false" });
  const fault = el("p", { class: "notice bad", role: "alert", hidden: why === "" }, why);
  const button = el("button", { type: "submit", class: "strong" }, "Sign in");
  fill(content, el("form", { class: "sign-in card", onsubmit: async (event) => {
    event.preventDefault();
    if (token.value === "") return;
    button.disabled = true;
    try {
      const state = await signIn(token.value);
      token.value = "";
      enter(state);
    } catch (error) {
      fault.hidden = false;
      fill(fault, foreign(error.message), ".");
      token.select();
    } finally {
      button.disabled = false;
    }
  } },
  el("h1", {}, "Sign in"),
  el("p", { class: "muted" }, "With the operator's token of this node."),
  fault,
  el("p", { class: "field" }, el("label", { for: "token" }, "Token"), token), el("div", { class: "levers" }, button)));
  token.focus();
}

async function begin() {
  try {
    enter(await whoAmI());
  } catch (error) {
    if (error instanceof SignedOut) askForToken();
    else {
      fill(content, el("p", { class: "notice bad", role: "alert" }, "The node does not answer: ", foreign(error.message), ". Trying again …"));
      setTimeout(begin, 2000);
    }
  }
}

/** The session lives while somebody is there: not because a page is open. */
async function keepSession() {
  if (endsAt === null || touched === 0) return;
  touched = 0;
  try {
    remember(await stay());
  } catch (error) {
    if (error instanceof SignedOut) askForToken("The session has ended.");
  }
}

for (const kind of ["pointerdown", "keydown", "touchstart"]) {
  addEventListener(kind, () => {
    const first = touched === 0;
    touched = performance.now();
    if (first && endsAt !== null && endsAt - performance.now() < WARN_BEFORE_S * 1000) keepSession();
  }, { passive: true });
}
setInterval(keepSession, STAY_EVERY_MS);
addEventListener("hashchange", () => { route(); content.focus(); });
out.addEventListener("click", async () => {
  try {
    await signOut();
    askForToken("Signed out.");
  } catch (error) {
    if (error instanceof SignedOut) askForToken("Signed out.");
    else announce(`Not signed out: ${error.message}`);
  }
});
onLive(watch);
begin();
