/** Fly's Machines API, as far as a deploy needs it. https://fly.io/docs/machines/api/machines-resource/ */

import { z } from "zod";
import { type Clock, sleep } from "@/lib/clock.ts";
import { AppError, messageOf } from "@/lib/errors.ts";
import type { Secret } from "@/lib/secret.ts";

/** A machine's configuration goes back as it came, but for what a deploy changes in it. */
export type MachineConfig = Readonly<Record<string, unknown>> & {
  readonly image: string;
  readonly metadata?: Readonly<Record<string, string>> | null | undefined;
};

export interface Check {
  readonly name: string;
  readonly status: string;
  readonly output?: string | undefined;
}

export interface Machine {
  readonly id: string;
  readonly state: string;
  readonly region: string;
  /** Of its configuration: what `wait` is asked about. */
  readonly instanceId: string;
  /** IPv6, on the private network. */
  readonly privateIp: string;
  readonly config: MachineConfig;
  readonly checks: readonly Check[];
}

export interface NewMachine {
  readonly region: string;
  readonly config: MachineConfig;
}

export interface MachinesApi {
  /** Those that are not destroyed. */
  list(): Promise<readonly Machine[]>;
  get(id: string): Promise<Machine>;
  /** Outside of the proxy's routing, as if it were cordoned. */
  create(machine: NewMachine): Promise<Machine>;
  /** False: it has not come to that state in the time given. */
  wait(machine: Machine, state: "started" | "stopped", seconds: number): Promise<boolean>;
  cordon(id: string): Promise<void>;
  uncordon(id: string): Promise<void>;
  /** It is told to end by SIGTERM, and killed after so many seconds. */
  stop(id: string, seconds: number): Promise<void>;
  destroy(id: string): Promise<void>;
}

/** One action of one machine a second, and three at once. https://fly.io/docs/machines/api/working-with-machines-api/ */
const TRIES = 6;
const AGAIN_MS = 1_000;
/** Beyond the time that a `wait` is asked to take. */
const ANSWER_MS = 30_000;

const Check = z.object({ name: z.string(), status: z.string(), output: z.string().optional() });
const Wire = z.object({
  id: z.string(),
  state: z.string(),
  region: z.string(),
  instance_id: z.string(),
  private_ip: z.string(),
  config: z.looseObject({
    image: z.string(),
    metadata: z.record(z.string(), z.string()).nullish(),
  }),
  checks: z.array(Check).nullish(),
}).transform(({ id, state, region, instance_id, private_ip, config, checks }): Machine => ({
  ...{ id, state, region, config },
  instanceId: instance_id,
  privateIp: private_ip,
  checks: checks ?? [],
}));
const Failure = z.object({ error: z.string() });

export interface MachinesApiOptions {
  /** `https://api.machines.dev` */
  readonly url: string;
  readonly app: string;
  readonly token: Secret;
  readonly clock: Clock;
  readonly fetch?: typeof fetch;
}

interface Call {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  /** False: a second one might do it twice. */
  readonly isRepeatable?: boolean;
  readonly withinMs?: number;
}

export function machinesApi(options: MachinesApiOptions): MachinesApi {
  const { url, app, token, clock } = options;
  const root = `${url}/v1/apps/${app}/machines`;

  /** Null: nobody answered. */
  async function send(
    { method, path, body, withinMs = ANSWER_MS }: Call,
  ): Promise<Response | null> {
    const over = new AbortController();
    const cancel = clock.timer(withinMs, () => over.abort());
    try {
      const response = await (options.fetch ?? fetch)(`${root}${path}`, {
        method,
        headers: {
          Authorization: `Bearer ${token.reveal()}`,
          ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: over.signal,
      });
      const text = await response.text();
      return new Response(text === "" ? null : text, { status: response.status });
    } catch { // its status is none
      return null;
    } finally {
      cancel();
    }
  }

  /** The answer's body. Throws AppError("provider_failed") with what Fly says, and null for a 408. */
  async function ask(call: Call): Promise<unknown> {
    const { method, path, isRepeatable = true } = call;
    for (let tried = 1;; tried++) {
      const response = await send(call);
      const status = response?.status ?? 0;
      if (response?.ok) return await response.json().catch(() => ({}));
      if (status === 408) return null;
      const isBusy = status === 429; // nothing was done
      const mayRepeat = isBusy || (isRepeatable && (status === 0 || status >= 500));
      if (tried < TRIES && mayRepeat) {
        await sleep(clock, AGAIN_MS * 2 ** (tried - 1));
        continue;
      }
      const said = Failure.safeParse(await response?.json().catch(() => null));
      const why = said.success ? said.data.error : status === 0 ? "no answer" : "no reason given";
      throw new AppError(
        "provider_failed",
        `Fly answers ${method} /machines${path} with ${status}: ${why}`,
        {
          status,
          retryable: mayRepeat,
        },
      );
    }
  }

  function read<T>(schema: z.ZodType<T>, answer: unknown): T {
    const parsed = schema.safeParse(answer);
    if (parsed.success) return parsed.data;
    const message = `Fly's answer is none that we know: ${messageOf(parsed.error)}`;
    throw new AppError("provider_failed", message, { cause: parsed.error });
  }

  const act = async (id: string, action: string, body?: unknown): Promise<void> => {
    await ask({
      method: "POST",
      path: `/${id}/${action}`,
      ...(body === undefined ? {} : { body }),
    });
  };

  return {
    list: async () =>
      read(z.array(Wire), await ask({ method: "GET", path: "" }))
        .filter(({ state }) => state !== "destroyed" && state !== "destroying"),
    get: async (id) => read(Wire, await ask({ method: "GET", path: `/${id}` })),
    create: async (machine) =>
      read(
        Wire,
        await ask({
          method: "POST",
          path: "",
          body: { ...machine, skip_service_registration: true },
          isRepeatable: false,
        }),
      ),
    async wait({ id, instanceId }, state, seconds) {
      const query = new URLSearchParams({
        instance_id: instanceId,
        state,
        timeout: String(seconds),
      });
      const withinMs = seconds * 1000 + ANSWER_MS;
      return await ask({ method: "GET", path: `/${id}/wait?${query}`, withinMs }) !== null;
    },
    cordon: (id) => act(id, "cordon"),
    uncordon: (id) => act(id, "uncordon"),
    stop: (id, seconds) => act(id, "stop", { signal: "SIGTERM", timeout: `${seconds}s` }),
    destroy: async (id) => void await ask({ method: "DELETE", path: `/${id}` }),
  };
}
