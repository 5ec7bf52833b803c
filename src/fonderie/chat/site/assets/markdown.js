// Markdown as chat models write it, into elements. Neither HTML nor pictures: HTML is shown as the text it is, and a
// picture is a link, because loading it would tell somebody's server that this conversation took place.
//
// A line break is kept as one. While an answer grows, only the blocks that changed are made anew, so that what has
// been read stays where it is, and a selection survives.

import { copier, h } from "./dom.js";
import { t } from "./words.js";

const DEPTH = 12; // of quotations, lists and emphasis inside each other; deeper is shown as it is written
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`\s]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])( +|$)/;
const DELIMITERS = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

/** Show a text in an element, reusing what it shows already. */
export function show(container, source) {
  const wanted = blocks(source.replace(/\r\n?/g, "\n").split("\n"));
  const there = [...container.children];
  wanted.forEach((block, index) => {
    const key = block.kind + block.key;
    if (there[index]?.source === key) return;
    const made = build(block, 0);
    if (block.kind !== "code") made.dir = "auto"; // whichever way it is written
    made.source = key;
    if (there[index]) there[index].replaceWith(made);
    else container.append(made);
  });
  there.slice(wanted.length).forEach((extra) => extra.remove());
}

/** The blocks of some lines: {kind, key: what they say in full, …}. */
function blocks(lines) {
  const found = [];
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const begin = at;
    const block = fence(lines, at) ?? heading(lines, at) ?? quote(lines, at) ?? list(lines, at) ?? table(lines, at);
    const made = block ?? paragraph(lines, at);
    at = made.end;
    found.push({ ...made, key: lines.slice(begin, at).join("\n") });
  }
  return found;
}

function fence(lines, at) {
  const open = FENCE.exec(lines[at]);
  if (!open) return null;
  let end = at + 1;
  const closes = (line) => line.trim().startsWith(open[1]) && !line.trim().replaceAll(open[1][0], "");
  while (end < lines.length && !closes(lines[end])) end += 1;
  const code = lines.slice(at + 1, end).join("\n");
  return { kind: "code", code, language: open[2], end: Math.min(end + 1, lines.length) };
}

function heading(lines, at) {
  if (RULE.test(lines[at])) return { kind: "rule", end: at + 1 };
  const found = HEADING.exec(lines[at]);
  return found && { kind: "heading", level: found[1].length, text: found[2], end: at + 1 };
}

function quote(lines, at) {
  if (!QUOTE.test(lines[at])) return null;
  let end = at;
  while (end < lines.length && lines[end].trim() && (QUOTE.test(lines[end]) || !begins(lines[end]))) end += 1;
  return { kind: "quote", lines: lines.slice(at, end).map((line) => line.replace(QUOTE, "")), end };
}

function list(lines, at) {
  const first = ITEM.exec(lines[at]);
  if (!first) return null;
  const ordered = /\d/.test(first[2]);
  const margin = first[1].length; // two spaces beyond it, and a line belongs to the item above
  const items = [];
  let end = at;
  while (end < lines.length) {
    const item = ITEM.exec(lines[end]);
    const indent = lines[end].search(/\S/);
    if (item && item[1].length < margin + 2 && /\d/.test(item[2]) === ordered && !RULE.test(lines[end])) {
      items.push([lines[end].slice(item[0].length)]);
    } else if (indent < 0) {
      // A blank line is within the list only if the list goes on after it.
      const next = lines[end + 1] ?? "";
      if (!/^ {2,}\S/.test(next) && !(ITEM.test(next) && /\d/.test(ITEM.exec(next)[2]) === ordered)) break;
      items.at(-1).push("");
    } else if (indent >= margin + 2) {
      items.at(-1).push(lines[end].slice(Math.min(indent, margin + (ordered ? 3 : 2))));
    } else if (!begins(lines[end]) && items.at(-1).at(-1)) {
      items.at(-1).push(lines[end]);
    } else {
      break;
    }
    end += 1;
  }
  const start = ordered ? Number.parseInt(first[2], 10) : null;
  return { kind: "list", ordered, start, items, end };
}

function table(lines, at) {
  if (!lines[at].includes("|") || !DELIMITERS.test(lines[at + 1] ?? "")) return null;
  const head = cells(lines[at]);
  const sides = cells(lines[at + 1]).map((cell) => (cell.endsWith(":") ? (cell.startsWith(":") ? "middle" : "right") : null));
  if (sides.length !== head.length) return null;
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|")) end += 1;
  return { kind: "table", head, sides, rows: lines.slice(at + 2, end).map(cells), end };
}

function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/(^|[^\\])\|$/, "$1");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function paragraph(lines, at) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !begins(lines[end]) && !table(lines, end)) end += 1;
  return { kind: "paragraph", text: lines.slice(at, end).join("\n"), end };
}

/** Whether a line begins a block of its own. */
function begins(line) {
  return [FENCE, HEADING, RULE, QUOTE, ITEM].some((pattern) => pattern.test(line));
}

function build(block, depth) {
  switch (block.kind) {
    case "code":
      return code(block);
    case "rule":
      return h("hr");
    case "heading":
      // The page has its own first two levels, and each turn a third.
      return h(`h${Math.min(block.level + 3, 6)}`, {}, ...inline(block.text, depth));
    case "quote":
      return h("blockquote", {}, ...inner(block.lines, depth));
    case "list": {
      const items = block.items.map((lines) => h("li", {}, ...tight(lines, depth)));
      const start = block.start !== null && block.start !== 1 ? block.start : null;
      return h(block.ordered ? "ol" : "ul", { start }, ...items);
    }
    case "table":
      return grid(block, depth);
    default:
      return h("p", {}, ...inline(block.text, depth));
  }
}

function inner(lines, depth) {
  if (depth >= DEPTH) return [h("p", {}, lines.join("\n"))];
  return blocks(lines).map((block) => build(block, depth + 1));
}

/** An item's blocks; a first paragraph stands in the item itself. */
function tight(lines, depth) {
  const made = inner(lines, depth);
  if (made[0]?.tagName === "P") made.splice(0, 1, ...made[0].childNodes);
  return made;
}

function code(block) {
  return h(
    "div",
    { class: "code" },
    h("div", { class: "code-head" }, h("span", {}, block.language), copier(() => block.code)),
    h("pre", { tabindex: "0", role: "region", "aria-label": t("chat.code") }, h("code", {}, block.code)),
  );
}

function grid(block, depth) {
  const row = (tag, line) =>
    h("tr", {}, ...block.head.map((_, index) => h(tag, { class: block.sides[index], scope: tag === "th" ? "col" : null }, ...inline(line[index] ?? "", depth))));
  return h(
    "div",
    { class: "wide", tabindex: "0", role: "region", "aria-label": t("chat.table") },
    h("table", {}, h("thead", {}, row("th", block.head)), h("tbody", {}, ...block.rows.map((line) => row("td", line)))),
  );
}

/** Text with emphasis, code and links, as nodes. */
function inline(text, depth) {
  const nodes = [];
  let plain = "";
  const flush = () => {
    plain.split("\n").forEach((line, index) => {
      if (index) nodes.push(h("br"));
      if (line) nodes.push(document.createTextNode(line));
    });
    plain = "";
  };
  let at = 0;
  while (at < text.length) {
    const found = depth < DEPTH ? span(text, at, depth) : null;
    if (found) {
      flush();
      nodes.push(found.node);
      at = found.end;
    } else if (text[at] === "\\" && /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "")) {
      plain += text[at + 1];
      at += 2;
    } else {
      plain += text[at];
      at += 1;
    }
  }
  flush();
  return nodes;
}

function span(text, at, depth) {
  switch (text[at]) {
    case "`":
      return codeSpan(text, at);
    case "*":
    case "_":
    case "~":
      return emphasis(text, at, depth);
    case "!":
      return text[at + 1] === "[" ? link(text, at + 1, depth) : null;
    case "[":
      return link(text, at, depth);
    case "h":
    case "<":
      return address(text, at);
    default:
      return null;
  }
}

function codeSpan(text, at) {
  const ticks = /^`+/.exec(text.slice(at, at + 20))[0];
  const end = text.indexOf(ticks, at + ticks.length);
  if (end < 0) return null;
  return { node: h("code", {}, text.slice(at + ticks.length, end).trim()), end: end + ticks.length };
}

function emphasis(text, at, depth) {
  const mark = text[at];
  const inWord = (place) => /[\p{L}\p{N}]/u.test(text[place] ?? "");
  for (const [marks, tag] of [[mark + mark, mark === "~" ? "s" : "strong"], [mark, mark === "~" ? null : "em"]]) {
    if (!tag || !text.startsWith(marks, at) || /\s/.test(text[at + marks.length] ?? " ")) continue;
    if (mark === "_" && inWord(at - 1)) continue; // snake_case
    let end = text.indexOf(marks, at + marks.length + 1);
    const bad = (place) => /\s/.test(text[place - 1]) || (mark === "_" && inWord(place + marks.length));
    while (end >= 0 && bad(end)) end = text.indexOf(marks, end + 1);
    if (end < 0) continue;
    if (marks.length === 2) while (text[end + 2] === mark) end += 1; // ***both***
    const inside = inline(text.slice(at + marks.length, end), depth + 1);
    return { node: h(tag, {}, ...inside), end: end + marks.length };
  }
  return null;
}

function link(text, at, depth) {
  const middle = closing(text, at);
  if (middle < 0 || text[middle + 1] !== "(") return null;
  const end = text.indexOf(")", middle);
  if (end < 0) return null;
  const where = text.slice(middle + 2, end).trim().split(/\s/, 1)[0];
  const words = text.slice(at + 1, middle);
  const node = anchor(where, inline(words || where, depth + 1));
  return node && { node, end: end + 1 };
}

function closing(text, at) {
  let open = 0;
  for (let place = at; place < text.length; place += 1) {
    if (text[place] === "\\") place += 1;
    else if (text[place] === "[") open += 1;
    else if (text[place] === "]" && (open -= 1) === 0) return place;
  }
  return -1;
}

function address(text, at) {
  const found = /^(<?)(https?:\/\/[^\s<>"]+)/.exec(text.slice(at, at + 2048));
  if (!found) return null;
  if (found[1]) {
    const end = at + found[0].length;
    const node = text[end] === ">" ? anchor(found[2], [found[2]]) : null;
    return node && { node, end: end + 1 };
  }
  const where = found[2].replace(/[.,;:!?'")\]*_]+$/, "");
  const node = anchor(where, [where]);
  return node && { node, end: at + where.length };
}

/** A link that leads out, and tells nobody whence; null where the address is none that a person would follow. */
function anchor(where, children) {
  let url;
  try {
    url = new URL(where);
  } catch {
    return null;
  }
  if (!["http:", "https:", "mailto:"].includes(url.protocol)) return null;
  return h("a", { href: url.href, rel: "noopener noreferrer nofollow ugc", target: "_blank" }, ...children);
}
