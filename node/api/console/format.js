// How durations, instants and states are said.

/** Seconds as an age: "2 s", "4 min", "3 h", "5 d". */
export function age(seconds) {
  if (seconds === null || seconds === undefined) return "never";
  if (seconds < 1) return "<1 s";
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

/** Milliseconds. */
export function ms(value) {
  if (value === null || value === undefined) return "–";
  if (value < 100) return `${value.toFixed(1)} ms`;
  if (value < 10000) return `${Math.round(value)} ms`;
  return `${(value / 1000).toFixed(1)} s`;
}

/** An instant in the reader's own time; the whole of it is in the title. */
export function instant(text) {
  const at = new Date(text);
  const pad = (value, length = 2) => String(value).padStart(length, "0");
  const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  return `${day} ${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

/** Seconds since an instant by this machine's clock; never negative. */
export function since(text) {
  return Math.max(0, (Date.now() - new Date(text).getTime()) / 1000);
}

/** A decimal string with its sign, for what may be short. */
export function signed(text) {
  return text.startsWith("-") ? `\u2212${text.slice(1)}` : `+${text}`;
}

/** A decimal string of money or size, shortened for reading: two decimals from 1 on. */
export function amount(text) {
  if (text === null || text === undefined) return "?";
  const value = Number(text);
  if (!Number.isFinite(value) || Math.abs(value) < 1) return text;
  return value.toLocaleString("en-US", { minimumFractionDigits: 0, maximumFractionDigits: 2 });
}

/** One or many. */
export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}

export const ACTIONS = {
  LOCK: "Lock",
  CLOSE_ALL: "Close all",
  FLATTEN: "Flatten",
  UNLOCK: "Unlock",
};

const TONES = {
  flat: "good", locked: "good", unlocked: "good", drill_passed: "good",
  flat_with_residue: "fair",
  not_flat: "bad", unknown: "bad", drill_failed: "bad", rejected: "bad", failed: "bad", incomplete: "bad",
  accepted: "busy", running: "busy",
};

/** How a command stands, in a word and a tone. */
export function standing(result) {
  const word = result.state === "done" ? result.verdict : result.state;
  return { word: (word ?? "unknown").replaceAll("_", " "), tone: TONES[word] ?? "bad" };
}

/** What that means, in a sentence. */
export function meaning(result) {
  if (result.state === "done") {
    return {
      flat: "Proven flat: every part of the account was read after the last order had ended, and nothing was left.",
      flat_with_residue: "Proven flat, except for what is named below.",
      locked: "Locked: no new risk.",
      unlocked: "Unlocked: new risk is allowed again.",
      drill_passed: "The drill passed. Nothing was placed or cancelled.",
    }[result.verdict] ?? "Ended.";
  }
  return {
    accepted: "Durable, on its way.",
    running: "Being carried out.",
    incomplete: "NOT proven: the deadline has passed. The node goes on trying, and the account stays locked.",
    rejected: "Refused: it was not begun.",
    failed: result.dry_run ? "The drill failed." : "FAILED: only a person can help now. The account stays locked.",
  }[result.state] ?? result.state;
}
