/**
 * Token buckets in Redis, shared by all machines: one script, one round trip, whatever the number of buckets.
 * https://upstash.com/docs/redis/features/restapi
 *
 * The script is our own since `@upstash/ratelimit` takes the time from each machine's clock, lets a request
 * pass when its own timeout is over, and asks once for each bucket; `rate-limiter-flexible` counts in
 * fixed windows and speaks no REST.
 */

import { Redis } from "@upstash/redis";
import { z } from "zod";
import { type Clock, deadline } from "@/lib/clock.ts";
import { AppError, messageOf } from "@/lib/errors.ts";
import type { Secret } from "@/lib/secret.ts";
import { costUs, hasEnough, paceOf, verdictOf } from "./bucket.ts";
import type { Verdict, Want } from "./limiter.ts";

/** The shared count. Rejects with AppError("provider_failed") when it cannot be asked, or answers nonsense. */
export interface SharedCount {
  takeAll(wants: readonly Want[]): Promise<readonly Verdict[]>;
}

/** Asks one script once. Rejects when aborted, and with whatever the network and Redis say. */
export type Evaluate = (
  script: string,
  keys: readonly string[],
  args: readonly number[],
  signal: AbortSignal,
) => Promise<unknown>;

/** A request is held no longer than this; a Redis nearby answers within 10 ms. */
export const ANSWER_MS = 150;
const PREFIX = "ringmaster:limit:";

/**
 * KEYS: buckets. ARGV: for each, the cost and how long it takes from empty to full, in microseconds.
 * A key holds when its bucket is full again, by the clock of Redis, and is gone from then on; one that holds
 * anything else is written over.
 * Answers whether the tokens were taken (1 or 0), then for each bucket its backlog before that.
 */
const SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer = {1}
for i, key in ipairs(KEYS) do
  local cost, full = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local held = redis.pcall('GET', key)
  local at = type(held) == 'string' and tonumber(held) or 0
  local backlog = math.min(full, math.max(0, at - now))
  answer[i + 1] = backlog
  if full <= 0 or backlog + cost > full then answer[1] = 0 end
end
if answer[1] == 1 then
  for i, key in ipairs(KEYS) do
    local at = now + answer[i + 1] + ARGV[2 * i - 1]
    redis.call('SET', key, string.format('%.0f', at), 'PXAT', string.format('%.0f', math.ceil(at / 1000)))
  end
end
return answer`;

export function redisCount(evaluate: Evaluate, clock: Clock): SharedCount {
  return {
    async takeAll(wants) {
      const asked = wants.map((want) => {
        const pace = paceOf(want.bucket);
        return { key: keyOf(want), pace, cost: costUs(want, pace) };
      });
      const late = () => failed(`No answer within ${ANSWER_MS} ms`);
      const { signal, cancel } = deadline(clock, ANSWER_MS, late);
      try {
        const answer = await evaluate(
          SCRIPT,
          asked.map(({ key }) => key),
          asked.flatMap(({ cost, pace }) => [cost, pace.fullUs]),
          signal,
        );
        const [isTaken, backlogs] = readAnswer(answer, asked.map(({ pace }) => pace.fullUs));
        return asked.map(({ pace, cost }, i) => {
          const before = backlogs[i] ?? 0;
          const isAllowed = isTaken || hasEnough(before, cost, pace);
          return verdictOf(pace, { backlogUs: isTaken ? before + cost : before, cost, isAllowed });
        });
      } catch (error) {
        if (signal.aborted) throw late();
        throw error instanceof AppError ? error : failed(reasonOf(error));
      } finally {
        cancel();
      }
    },
  };
}

function keyOf({ bucket, key }: Want): string {
  return `${PREFIX}${bucket.name}:${key}`;
}

/** Another program's data under our keys, or a proxy's, is no answer. */
function readAnswer(answer: unknown, fullUs: readonly number[]): [boolean, readonly number[]] {
  const shape = z.array(z.int().min(0)).length(fullUs.length + 1);
  const parsed = shape.safeParse(answer);
  const [isTaken, ...backlogs] = parsed.data ?? [];
  const isPlausible = isTaken !== undefined && isTaken <= 1 &&
    backlogs.every((backlog, i) => backlog <= (fullUs[i] ?? 0));
  if (!isPlausible) throw failed("An answer that is none");
  return [isTaken === 1, backlogs];
}

/** The client adds the command to what Redis says: it holds addresses of people. */
function reasonOf(error: unknown): string {
  const [reason = ""] = messageOf(error).split(", command was: ");
  return reason.slice(0, REASON_MAX);
}
const REASON_MAX = 200;

function failed(message: string): AppError {
  return new AppError("provider_failed", message, { retryable: true });
}

/** Upstash's REST API by its own client, with what it would try again or gather up turned off. */
export function upstash(
  { url, token }: { readonly url: string; readonly token: Secret },
): Evaluate {
  return (script, keys, args, signal) =>
    new Redis({
      url,
      token: token.reveal(),
      // As a function: aborted by a plain signal, the client makes up an answer of status 200.
      signal: () => signal,
      retry: { retries: 0 },
      enableAutoPipelining: false,
      enableTelemetry: false,
      readYourWrites: false,
    }).eval(script, [...keys], [...args]);
}
