// Speaks with the node. What is not known to have happened is said to be unknown, never guessed.

const ASK_WITHIN_MS = 4000;
const ACT_WITHIN_MS = 8000;

const session = { csrf: null };

/** The session ended, or never was. */
export class SignedOut extends Error {}

/** The node refused, and said why. */
export class Refused extends Error {
  constructor(code, message, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** No answer, or none that tells whether it took effect. */
export class Unclear extends Error {}

/** Ask for a document; fails with SignedOut, Refused or Unclear. */
export async function ask(path) {
  return call("GET", path, { within: ASK_WITHIN_MS });
}

/** Change something. With `key`, the same request may be sent again: it takes effect once. */
export async function act(method, path, body, key = null) {
  return call(method, path, { body, key, within: ACT_WITHIN_MS });
}

/** How the node knows us; throws SignedOut where it does not. */
export async function whoAmI() {
  return remember(await ask("/api/v1/operator/session"));
}

export async function signIn(token) {
  return remember(await act("POST", "/api/v1/operator/session", { token }));
}

export async function stay() {
  return remember(await act("POST", "/api/v1/operator/session/renew"));
}

export async function signOut() {
  await act("DELETE", "/api/v1/operator/session");
  session.csrf = null;
}

function remember(state) {
  session.csrf = state.csrf_token;
  return state;
}

/** A new name for a command: sent again under it, a command takes effect once. */
export function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

async function call(method, path, { body, key, within }) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  if (method !== "GET" && session.csrf) headers["X-CSRF-Token"] = session.csrf;
  let answer;
  let document;
  try {
    answer = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "same-origin",
      redirect: "error",
      signal: AbortSignal.timeout(within),
    });
    document = await answer.json();
  } catch (error) {
    if (error.name === "TimeoutError") throw new Unclear(`no answer within ${within / 1000} s`);
    if (answer) throw new Unclear(`an answer (${answer.status}) that is not the node's`);
    throw new Unclear("the connection failed");
  }
  if (answer.ok) return document;
  const fault = document?.error;
  // A failure of the node's is a refusal only if it comes with the document that refuses.
  const failed = answer.status >= 500 && (fault?.code === "TIMEOUT" || !document?.result);
  if (!fault?.code || failed) {
    throw new Unclear(fault?.message ?? `an answer (${answer.status}) that is not the node's`);
  }
  if (answer.status === 401 && path !== "/api/v1/operator/session") throw new SignedOut(fault.message);
  if (answer.status === 401 && method === "GET") throw new SignedOut(fault.message);
  throw new Refused(fault.code, fault.message, answer.status);
}
