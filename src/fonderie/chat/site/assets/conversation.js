// One conversation, where it is kept, and how it leaves. A conversation is {format, id, begun, turns}; a question is
// {role: "user", text}, an answer {role: "assistant", text, model, digest, settings, end, error, run}.
//
// Kept in two places, both of this browser: in the tab, so that a reload loses nothing, and, only if the person
// wants it, in the history.

import { t } from "./words.js";

const FORMAT = 1;
const TAB = "fonderie.conversation";
const HISTORY = "fonderie.history";
const TITLE_LENGTH = 60;

/** A conversation in which nothing has been said. */
export function begin() {
  // crypto.randomUUID is missing over plain http.
  const id = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return { format: FORMAT, id, begun: new Date().toISOString(), turns: [] };
}

/** What it is called: the beginning of its first question. */
export function title(conversation) {
  const text = (conversation.turns[0]?.text ?? "").replace(/\s+/g, " ").trim();
  return text.length > TITLE_LENGTH ? `${text.slice(0, TITLE_LENGTH)}…` : text;
}

/** What a model is asked with. */
export function asked(conversation) {
  return conversation.turns.filter((turn) => turn.text).map(({ role, text }) => ({ role, text }));
}

/** The conversation of this tab, and its settings; null if there is none. */
export function restore() {
  try {
    const found = JSON.parse(sessionStorage.getItem(TAB));
    return found?.conversation?.format === FORMAT ? found : null;
  } catch {
    return null;
  }
}

/** Keep the conversation for a reload of this tab, and in the history if that is on; false if there is no room. */
export function keep(conversation, settings) {
  try {
    sessionStorage.setItem(TAB, JSON.stringify({ conversation, settings }));
    if (historyIsOn() && conversation.turns.length) {
      const others = history().filter((other) => other.id !== conversation.id);
      localStorage.setItem(HISTORY, JSON.stringify([conversation, ...others]));
    }
    return true;
  } catch {
    return false;
  }
}

/** Whether the person wants a history: then there is a list, be it empty. */
export function historyIsOn() {
  try {
    return localStorage.getItem(HISTORY) !== null;
  } catch {
    return false;
  }
}

/** The kept conversations, the latest first. */
export function history() {
  try {
    const found = JSON.parse(localStorage.getItem(HISTORY) ?? "[]");
    return Array.isArray(found) ? found.filter((one) => one?.format === FORMAT) : [];
  } catch {
    return [];
  }
}

/** Begin to keep conversations. */
export function turnHistoryOn() {
  localStorage.setItem(HISTORY, "[]");
}

/** Delete every kept conversation, and keep none from now on. */
export function turnHistoryOff() {
  localStorage.removeItem(HISTORY);
}

/** Delete one. */
export function forget(id) {
  localStorage.setItem(HISTORY, JSON.stringify(history().filter((one) => one.id !== id)));
}

/** A conversation as a file for programs. */
export function asJson(conversation) {
  const turns = conversation.turns.map(({ run, last, ...turn }) => turn); // where it was streamed from is of no use
  return JSON.stringify({ ...conversation, turns }, null, 2);
}

/** A conversation as a file for people. */
export function asMarkdown(conversation) {
  const parts = conversation.turns.map((turn) => {
    if (turn.role === "user") return `## ${t("chat.you")}\n\n${turn.text}\n`;
    const seed = turn.settings ? ` · ${t("chat.seed", { seed: turn.settings.seed })}` : "";
    return `## ${turn.model}\n\n${turn.text}\n\n*${turn.digest ?? ""}${seed}*\n`;
  });
  return `# ${title(conversation)}\n\n${parts.join("\n")}`;
}

/** Have the browser save a text. */
export function download(name, kind, text) {
  const address = URL.createObjectURL(new Blob([text], { type: kind }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
