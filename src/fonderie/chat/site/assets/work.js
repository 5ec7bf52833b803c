// A proof of work, where the service asks for one with a vote: any text such that SHA-256(challenge ":" text) begins
// with so many zero bits. The browser's own SHA-256 is slow to call and not to compute, so it is called in batches.

const BATCH = 512;

/** Whether this browser can compute one here: over plain http it has no SHA-256. */
export const possible = Boolean(globalThis.crypto?.subtle);

/** The answer to a challenge. */
export async function solve(challenge, bits) {
  const encoder = new TextEncoder();
  for (let first = 0; ; first += BATCH) {
    const tries = Array.from({ length: BATCH }, (_, number) => String(first + number));
    const digests = await Promise.all(
      tries.map((text) => crypto.subtle.digest("SHA-256", encoder.encode(`${challenge}:${text}`))),
    );
    const found = digests.findIndex((digest) => zeroBits(new Uint8Array(digest)) >= bits);
    if (found >= 0) return tries[found];
  }
}

function zeroBits(bytes) {
  const first = bytes.findIndex((byte) => byte !== 0);
  return first < 0 ? bytes.length * 8 : first * 8 + Math.clz32(bytes[first]) - 24;
}
