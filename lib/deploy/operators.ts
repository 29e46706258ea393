/** The operators' listeners of an app's machines, as a deploy asks them: any of them answers for all. */

import { z } from "zod";
import { type Clock, deadline } from "@/lib/clock.ts";
import { AppError, messageOf } from "@/lib/errors.ts";
import type { Secret } from "@/lib/secret.ts";

/** A machine that holds calls. */
export interface Busy {
  readonly nodeId: string;
  readonly calls: number;
}

/** `urls` are asked in their order, until one answers. */
export interface Operators {
  /** Those of these machines that are not among the active ones. */
  missing(urls: readonly string[], ids: readonly string[]): Promise<readonly string[]>;
  /** Those of these machines that hold calls. */
  busy(urls: readonly string[], ids: readonly string[]): Promise<readonly Busy[]>;
  /** False: there is no such machine. */
  drain(urls: readonly string[], nodeId: string, order: DrainOrder): Promise<boolean>;
}

export interface DrainOrder {
  readonly calls: "wait" | "handOver";
  readonly deadlineMs: number;
}

const ANSWER_MS = 5_000;

const ClusterView = z.object({
  nodes: z.array(z.object({
    nodeId: z.string(),
    state: z.string(),
    load: z.number(),
    actors: z.record(z.string(), z.number()),
  })),
});

export function operatorsOf(
  { token, clock, ...options }: {
    readonly token: Secret;
    readonly clock: Clock;
    readonly fetch?: typeof fetch;
  },
): Operators {
  /** The first that answers, whatever it says. */
  async function ask(
    urls: readonly string[],
    path: string,
    init: RequestInit = {},
  ): Promise<Response> {
    const failures: string[] = [];
    for (const url of urls) {
      const { signal, cancel } = deadline(clock, ANSWER_MS, () => new Error("no answer in time"));
      try {
        const response = await (options.fetch ?? fetch)(`${url}${path}`, {
          ...init,
          signal,
          headers: { Authorization: `Bearer ${token.reveal()}`, ...init.headers },
        });
        const text = await response.text();
        return new Response(text, { status: response.status });
      } catch (error) {
        failures.push(`${url}: ${messageOf(error)}`);
      } finally {
        cancel();
      }
    }
    throw new AppError(
      "provider_failed",
      `No operators' listener answers: ${failures.join("; ")}. It is on Fly's private network: ` +
        "connect to it, or give one that you reach with --operator",
    );
  }

  function refused(status: number): AppError {
    const message = status === 401
      ? "The operators' listener does not take OPERATOR_TOKEN"
      : `The operators' listener answers ${status}`;
    return new AppError("provider_failed", message, { status });
  }

  async function nodes(urls: readonly string[]) {
    const response = await ask(urls, "/cluster");
    if (!response.ok) throw refused(response.status);
    return ClusterView.parse(await response.json()).nodes;
  }

  return {
    async missing(urls, ids) {
      const active = (await nodes(urls)).filter(({ state }) => state === "active");
      return ids.filter((id) => !active.some(({ nodeId }) => nodeId === id));
    },
    async busy(urls, ids) {
      return (await nodes(urls)).filter(({ nodeId }) => ids.includes(nodeId))
        .map(({ nodeId, load, actors }) => ({
          nodeId,
          calls: Math.max(load, actors.call ?? 0), // of its last beat, and of now
        }))
        .filter(({ calls }) => calls > 0);
    },
    async drain(urls, nodeId, order) {
      const response = await ask(urls, `/nodes/${encodeURIComponent(nodeId)}/drain`, {
        method: "POST",
        body: JSON.stringify(order),
        headers: { "Content-Type": "application/json" },
      });
      if (response.status === 404) return false;
      if (!response.ok) throw refused(response.status);
      return true;
    },
  };
}
