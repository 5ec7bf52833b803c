// The page's words, in its language. A missing key is an error, never a blank.

export const language = document.documentElement.lang;

/** For dates: how they are written where the browser is from, if its language is the page's. */
export const locale = navigator.languages.find((one) => one.split("-")[0] === language) ?? language;

const texts = await (await fetch(document.documentElement.dataset.words)).json();
const plurals = new Intl.PluralRules(language);

/** A text with its braces filled in. */
export function t(key, values = {}) {
  if (!(key in texts)) throw new Error(`no words for ${key}`);
  return texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** A text that depends on a number: `key.one` or `key.other`. */
export function count(key, n) {
  const form = plurals.select(n) === "one" ? "one" : "other";
  return t(`${key}.${form}`, { n: n.toLocaleString(language) });
}

/** About how long somebody will wait in line, after what else is said; empty if nobody knows. */
export function inAbout(seconds) {
  return seconds === null ? "" : ` ${t("chat.waiting.about", { n: seconds.toLocaleString(language) })}`;
}

/** What to tell a person about an error's code. */
export function problem(code) {
  return texts[`errors.${code}`] ?? t("errors.unknown");
}
