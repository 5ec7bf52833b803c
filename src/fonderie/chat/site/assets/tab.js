// What one tab remembers through a reload; nothing, where the browser has no room or allows none.

/** What was remembered under a name; null if nothing was. */
export function recall(name) {
  try {
    return sessionStorage.getItem(name);
  } catch {
    return null;
  }
}

/** Remember a text; false if that is not possible. */
export function remember(name, text) {
  try {
    sessionStorage.setItem(name, text);
    return true;
  } catch {
    return false;
  }
}

/** Forget it. */
export function forget(name) {
  try {
    sessionStorage.removeItem(name);
  } catch {
    // Where nothing may be remembered, nothing is there.
  }
}
