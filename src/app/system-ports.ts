import { hash as digestOf, createHash, randomFillSync } from "node:crypto";
import type { Clock, Hash, Random } from "../core/ports.ts";

/** Node fires a timer of more milliseconds than this at once. */
const timerMsMax = 2 ** 31 - 1;

/** The machine's clock. A sleep is one timer, gone as soon as the sleep is cut short. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  async sleep(ms, signal) {
    for (let leftMs = ms; leftMs > 0 && !signal.aborted; leftMs -= timerMsMax) {
      await sleepOnce(Math.min(leftMs, timerMsMax), signal);
    }
  },
  turn: () => new Promise((resolve) => setImmediate(resolve)),
};

function sleepOnce(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      if (signal.aborted) cancel(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
  });
}

let isRearming = false;

/**
 * Node leaves its one timer of the event loop armed when a timer is cleared, and the process would be woken for nothing at the
 * time that no longer matters: half a minute after a push, a quarter of an hour after an outage. A timer that is due at once
 * arms it anew, and after that one nothing is left to arm it for.
 */
function cancel(timer: NodeJS.Timeout): void {
  clearTimeout(timer);
  if (isRearming) return;
  isRearming = true;
  setTimeout(() => {
    isRearming = false;
  }, 1);
}

/** Asking the system takes as long for 16 bytes as for all of these, and every new entry needs an id. */
const randomPool = new Uint8Array(4096);
let randomUsed = randomPool.length;

/** What is handed out is wiped from the pool: a secret has no second copy there. */
function fromPool(count: number): Uint8Array {
  if (randomUsed + count > randomPool.length) {
    randomFillSync(randomPool);
    randomUsed = 0;
  }
  const bytes = randomPool.slice(randomUsed, randomUsed + count);
  randomPool.fill(0, randomUsed, randomUsed + count);
  randomUsed += count;
  return bytes;
}

/** The machine's randomness: bytes for ids and secrets, fractions for nothing but jitter. */
export const systemRandom: Random = {
  bytes: (count) => (count > randomPool.length ? randomFillSync(new Uint8Array(count)) : fromPool(count)),
  fraction: () => Math.random(),
};

/** The machine's SHA-256. */
export const systemHash: Hash = {
  sha256(...parts) {
    const [first, ...rest] = parts;
    if (first !== undefined && rest.length === 0) return plainBytes(digestOf("sha256", first, "buffer"));
    const hash = createHash("sha256");
    for (const part of parts) hash.update(part);
    return plainBytes(hash.digest());
  },
};

/** A Buffer prints, compares and serialises otherwise than the Uint8Array that the ports promise. */
function plainBytes(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}
