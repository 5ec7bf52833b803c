// Making elements. Nothing here or elsewhere reads HTML from a text: what anybody wrote becomes text nodes, so that
// it cannot become anything else.

import { t } from "./words.js";

/** An element with attributes and children; `on…` attributes are listeners, null and false ones are left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** The element of an id, which is there. */
export function by(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element ${id}`);
  return found;
}

/** Put words where screen readers read them out, whatever was there before. */
export function announce(text) {
  const status = by("status");
  status.textContent = "";
  // The same words twice are read twice only if the region was empty in between.
  requestAnimationFrame(() => {
    status.textContent = text;
  });
}

/** A button that puts what `text()` gives on the clipboard, and says that it did, or could not. */
export function copier(text) {
  const button = h("button", { type: "button", class: "quiet" }, t("chat.copy"));
  button.addEventListener("click", async () => {
    const said = t((await copy(text())) ? "chat.copied" : "chat.not_copied");
    button.textContent = said;
    announce(said);
    setTimeout(() => {
      button.textContent = t("chat.copy");
    }, 2000);
  });
  return button;
}

/** Put a text on the clipboard; false where the browser does not allow it. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Over plain http there is no clipboard but the one of a selected field.
    const field = h("textarea", { class: "unseen", "aria-hidden": "true", tabindex: "-1" });
    const focused = document.activeElement;
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    focused?.focus();
    return done;
  }
}
