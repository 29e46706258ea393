/** HTTP written by hand, for what no client would send. */

import { sleep, systemClock } from "@/lib/clock.ts";

export interface RawAnswer {
  /** All that came until the server closed. */
  readonly text: string;
  /** From the connection to its end. */
  readonly tookMs: number;
}

/** Sends the pieces, `everyMs` apart, and reads until the server closes. */
export async function rawRequest(
  port: number,
  pieces: readonly string[],
  everyMs = 0,
): Promise<RawAnswer> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const startedAt = systemClock.now();
  const closed = new AbortController();
  const sent = sendAll(connection, pieces, everyMs, closed.signal);
  let text = "";
  const buffer = new Uint8Array(4096);
  try {
    while (true) {
      const bytes = await connection.read(buffer);
      if (bytes === null) break;
      text += new TextDecoder().decode(buffer.subarray(0, bytes));
    }
  } catch {
    // A reset is an end as well.
  }
  const tookMs = systemClock.now() - startedAt;
  closed.abort();
  await sent;
  connection.close();
  return { text, tookMs };
}

async function sendAll(
  connection: Deno.Conn,
  pieces: readonly string[],
  everyMs: number,
  signal: AbortSignal,
): Promise<void> {
  try {
    for (const piece of pieces) {
      await connection.write(new TextEncoder().encode(piece));
      if (everyMs > 0) await sleep(systemClock, everyMs, signal);
    }
  } catch {
    // The server closed first.
  }
}
