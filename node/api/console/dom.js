// Builds what is shown. Everything from outside (names, reasons, an exchange's words) goes in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element: attributes by name (`class`, `for`, …; `on…` is a listener; false and null leave one out), then children. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for drawings. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  put(node, ...children);
  return node;
}

/** Append children: nodes, text, lists of them; null and false are nothing. */
export function put(node, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

/** Replace everything inside. */
export function fill(node, ...children) {
  node.replaceChildren();
  return put(node, ...children);
}

/**
 * Build a part again only when what it shows has changed: whoever is reading, or has the focus there, is not disturbed.
 * Returns whether it was built.
 */
export function refill(node, shown, build) {
  const key = JSON.stringify(shown) ?? "";
  if (node.shownKey === key) return false;
  node.shownKey = key;
  fill(node, build(shown));
  return true;
}

/** Text of somebody else's, kept from turning the rest of the line around. */
export function foreign(text) {
  return el("bdi", { class: "foreign" }, text);
}

/** Say something to those who listen rather than look. */
export function announce(text) {
  const place = document.getElementById("announcer");
  if (place.textContent !== text) place.textContent = text;
}

/**
 * A table with a caption for those who cannot see it. A column is `{title, cell}`; `num`: figures, `line`: never broken.
 * A `stacked` table becomes a list of its rows where there is no room for columns.
 */
export function table(caption, columns, rows, { stacked = false } = {}) {
  const kind = (column) => (column.num ? "num" : column.line && "line");
  const head = columns.map((column) => el("th", { scope: "col", class: kind(column) }, column.title));
  const body = rows.map((row) =>
    el("tr", {}, columns.map((column, index) => {
      const content = el("span", {}, column.cell(row));
      const attributes = { class: kind(column), "data-title": column.title };
      return index === 0 ? el("th", { scope: "row", ...attributes }, content) : el("td", attributes, content);
    })));
  return el("div", { class: stacked ? "scroller stacked" : "scroller", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {}, el("caption", { class: "unseen" }, caption), el("thead", {}, el("tr", {}, head)), el("tbody", {}, body)));
}
