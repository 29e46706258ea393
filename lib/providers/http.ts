/** Requests to providers: `fetch` with deadlines on our clock and a cap on bytes, and the one kind of error. */

import type { Cancel, Clock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";

/** Milliseconds, each from the moment before it: nothing here waits for ever. */
export interface FetchLimits {
  /** From the request to the head of its answer: name, connection, TLS and first byte. */
  readonly headMs: number;
  /** Between two pieces of the body. */
  readonly idleMs: number;
  /** From the request to the last byte. */
  readonly totalMs: number;
  /** Of the body, decoded. */
  readonly maxBytes: number;
}

export interface LimitedFetchOptions extends FetchLimits {
  /** Named in errors. */
  readonly provider: string;
  readonly clock: Clock;
  readonly fetch?: typeof fetch;
}

/** What a provider did wrong. Worth another try, but where its status says that the request is at fault. */
export function providerError(
  provider: string,
  what: string,
  { retryAfterS, ...options }: {
    readonly status?: number;
    readonly retryable?: boolean;
    /** As `retryAfterOf` gives it. */
    readonly retryAfterS?: number | undefined;
    readonly cause?: unknown;
  } = {},
): AppError {
  const { status } = options;
  const retryable = status === undefined || status === 408 || status === 429 || status >= 500;
  return new AppError("provider_failed", `Provider "${provider}" failed: ${what}`, {
    retryable,
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
    ...options,
  });
}

/**
 * A `fetch` that never hangs, for adapters and for SDKs that take one. A missed limit and a lost
 * connection reject (the call, or the read of the body) with AppError("provider_failed"); an abort
 * by the caller's own signal with that signal's reason. A status is an answer and no error.
 */
export function limitedFetch(options: LimitedFetchOptions): typeof fetch {
  const { provider, clock, headMs, idleMs, totalMs, maxBytes } = options;
  const send = options.fetch ?? fetch;

  return async (input, init) => {
    const limit = new AbortController();
    const given = init?.signal ?? null;
    const signal = given === null ? limit.signal : AbortSignal.any([given, limit.signal]);
    const after = (ms: number, what: string): Cancel =>
      clock.timer(ms, () => limit.abort(providerError(provider, `${what} within ${ms} ms`)));
    const errorOf = (cause: unknown): unknown => {
      if (signal.aborted) return signal.reason;
      return providerError(provider, "its connection was lost", { cause });
    };

    const disarmTotal = after(totalMs, "its answer did not end");
    signal.addEventListener("abort", disarmTotal, { once: true }); // a body need not be read any more
    const disarmHead = after(headMs, "it did not answer");
    let response: Response;
    try {
      response = await send(input, { ...init, signal });
    } catch (error) {
      disarmTotal();
      throw errorOf(error);
    } finally {
      disarmHead();
    }
    if (response.body === null) {
      disarmTotal();
      return response;
    }

    const reader = response.body.getReader();
    let byteCount = 0;
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      async pull(stream) {
        const disarmIdle = after(idleMs, "its answer did not go on");
        try {
          const { done, value } = await reader.read();
          byteCount += value?.length ?? 0;
          if (byteCount > maxBytes) {
            limit.abort(providerError(provider, `its answer is over ${maxBytes} bytes`));
            throw limit.signal.reason;
          }
          if (!done) return stream.enqueue(value);
          disarmTotal();
          stream.close();
        } catch (error) {
          disarmTotal();
          stream.error(errorOf(error));
        } finally {
          disarmIdle();
        }
      },
      cancel(reason) {
        disarmTotal();
        return reader.cancel(reason);
      },
    }, { highWaterMark: 0 });
    const { status, statusText, headers } = response;
    return new Response(body, { status, statusText, headers });
  };
}

/** A `fetch` whose answers are cut off past `maxBytes`, with AppError("provider_failed"). It has no clock of its own. */
export function cappedFetch(
  { provider, maxBytes, fetch: send = fetch }: {
    readonly provider: string;
    readonly maxBytes: number;
    readonly fetch?: typeof fetch;
  },
): typeof fetch {
  return async (input, init) => {
    const response = await send(input, init);
    if (response.body === null) return response;
    let byteCount = 0;
    const counted = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>(
      {
        transform(piece, stream) {
          byteCount += piece.length;
          if (byteCount <= maxBytes) return stream.enqueue(piece);
          stream.error(providerError(provider, `its answer is over ${maxBytes} bytes`));
        },
      },
      { highWaterMark: 1 },
      { highWaterMark: 0 },
    );
    const { status, statusText, headers } = response;
    return new Response(response.body.pipeThrough(counted), { status, statusText, headers });
  };
}
