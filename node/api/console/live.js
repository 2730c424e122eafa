// The node's status, polled; and how old what is shown has become.

import { ask, SignedOut } from "./api.js";

const EVERY_MS = 2000;
const TICK_MS = 500;
/** After this without an answer, what is shown counts as old. */
export const LOST_AFTER_S = 5;

export const live = {
  /** The newest answer; null before the first. */
  status: null,
  /** Why the last question had no answer. */
  trouble: null,
};

const asOf = { performance: 0, wall: 0 };
const listeners = new Set();
let running = false;
let timer = null;
let asking = false;
let onSignedOut = () => {};

/** Call with every answer, and twice a second besides: ages grow without anybody saying so. */
export function onLive(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Seconds since the newest answer was asked for: it may be that old. Whichever clock ran on (sleep) counts. */
export function answerAge() {
  if (live.status === null) return Infinity;
  return Math.max(performance.now() - asOf.performance, Date.now() - asOf.wall, 0) / 1000;
}

/** Whether what is shown may be wrong by now. */
export function lost() {
  return live.status !== null && answerAge() > LOST_AFTER_S;
}

/** An age that the node told with its newest answer, as of now. */
export function grown(ageSeconds) {
  return ageSeconds === null || ageSeconds === undefined ? null : ageSeconds + answerAge();
}

/** Begin to ask; `signedOut` is called once the node no longer knows us. */
export function start(signedOut) {
  running = true;
  onSignedOut = signedOut;
  look();
}

/** Ask now: something has just changed, or somebody has come back. */
export async function look() {
  clearTimeout(timer);
  if (asking || !running) return;
  asking = true;
  const before = { performance: performance.now(), wall: Date.now() };
  try {
    const status = await ask("/api/v1/node/status");
    if (!running) return;
    live.status = status;
    live.trouble = null;
    Object.assign(asOf, before);
  } catch (error) {
    if (error instanceof SignedOut && running) {
      stop();
      onSignedOut(error.message);
      return;
    }
    live.trouble = error.message;
  } finally {
    asking = false;
  }
  tell();
  if (running) timer = setTimeout(look, EVERY_MS);
}

addEventListener("online", look);
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
setInterval(() => { if (running) tell(); }, TICK_MS);

/** Forget everything that was shown. */
export function stop() {
  running = false;
  live.status = null;
  live.trouble = null;
  clearTimeout(timer);
}

function tell() {
  for (const listener of [...listeners]) listener(live.status);
}

/** An account of the newest answer, by name or id. */
export function accountOf(nameOrId) {
  return live.status?.accounts.find((account) => account.id === nameOrId || account.name === nameOrId) ?? null;
}
