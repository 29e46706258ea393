/** Fly's Machines API on loopback, as it stands in https://fly.io/docs/machines/api/machines-resource/ */

import { z } from "zod";
import { sleep, systemClock } from "@/lib/clock.ts";

export interface FlyMachineState {
  readonly id: string;
  readonly name: string;
  readonly region: string;
  readonly instance_id: string;
  readonly private_ip: string;
  readonly config: Record<string, unknown> & { image: string; metadata?: Record<string, string> };
  state: string;
  isCordoned: boolean;
  checks: { name: string; status: string; output: string }[];
}

export interface FlyMachinesOptions {
  readonly app: string;
  readonly token: string;
  /** It has been created, and boots: its state, and that of its checks, is changed when this resolves. */
  readonly launch?: (machine: FlyMachineState) => Promise<void>;
  /** Its process is told to end. */
  readonly stop?: (machine: FlyMachineState) => Promise<void>;
  readonly cordoned?: (machine: FlyMachineState) => void;
}

export interface FlyMachines {
  readonly url: string;
  readonly machines: readonly FlyMachineState[];
  /** Every call that changes something, in order: `cordon a`, `create in iad for a`. */
  readonly calls: readonly string[];
  /** One that runs already. */
  add(id: string, config?: Record<string, unknown>): FlyMachineState;
  /** The next request that fits is answered so: `list`, `create`, `one`, or an action. Nothing is done. */
  failNext(status: number, fits?: (call: string) => boolean): void;
  close(): Promise<void>;
}

const Create = z.strictObject({
  name: z.string().optional(),
  region: z.string().optional(),
  skip_service_registration: z.boolean().default(false),
  skip_launch: z.boolean().default(false),
  lease_ttl: z.int().optional(),
  config: z.looseObject({
    image: z.string(),
    metadata: z.record(z.string(), z.string()).optional(),
  }),
});
const Stop = z.strictObject({
  signal: z.enum(["SIGTERM", "SIGINT"]).optional(),
  timeout: z.string().regex(/^\d+(ms|s|m)$/).optional(),
});
const POLL_MS = 5;

export function startFlyMachines(options: FlyMachinesOptions): FlyMachines {
  const machines: FlyMachineState[] = [];
  const calls: string[] = [];
  const faults: { readonly status: number; readonly fits: (call: string) => boolean }[] = [];
  const closing = new AbortController();
  const root = `/v1/apps/${options.app}/machines`;
  let count = 0;

  function made(id: string, rest: Partial<FlyMachineState>): FlyMachineState {
    count++;
    const machine: FlyMachineState = {
      ...{ id, name: `aged-wind-${count}`, region: "iad", state: "started", isCordoned: false },
      instance_id: `01H${String(count).padStart(23, "0")}`,
      private_ip: `fdaa:0:18:a7b:196:e274:9ce1:${count}`,
      config: { image: "registry.fly.io/ringmaster:1" },
      checks: [{ name: "servicecheck-00-http-8000", status: "passing", output: "" }],
      ...rest,
    };
    machines.push(machine);
    return machine;
  }

  function create(body: unknown): Response {
    const parsed = Create.safeParse(body);
    if (!parsed.success) return failure(400, "invalid_argument: invalid machine config");
    const { region = "iad", config, skip_service_registration: isCordoned } = parsed.data;
    const { metadata = {} } = config;
    calls.push(`create in ${region} for ${metadata.ringmaster_replaces}`);
    const machine = made(`new${String(count).padStart(11, "0")}`, {
      ...{ region, isCordoned, state: "created" },
      config: { ...config, metadata },
      checks: [{
        name: "servicecheck-00-http-8000",
        status: "warning",
        output: "the service is not ready",
      }],
    });
    void boot(machine);
    return Response.json(wire(machine));
  }

  async function boot(machine: FlyMachineState): Promise<void> {
    await options.launch?.(machine);
    machine.state = "started";
    if (options.launch === undefined) pass(machine);
  }

  async function answer(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const text = await request.text();
    if (request.headers.get("authorization") !== `Bearer ${options.token}`) {
      return failure(401, "Authenticate: token validation error");
    }
    if (!pathname.startsWith(root)) return failure(404, "app not found");
    const [, id, action] = pathname.slice(root.length).split("/");
    const asked = action ??
      (id !== undefined ? "one" : request.method === "GET" ? "list" : "create");
    const fault = faults.findIndex(({ fits }) => fits(asked));
    if (fault !== -1) {
      return failure(faults.splice(fault, 1)[0]?.status ?? 500, "unavailable: try again");
    }
    if (id === undefined) {
      if (request.method === "GET") {
        return Response.json(machines.filter(({ state }) => state !== "destroyed").map(wire));
      }
      if (request.headers.get("content-type") !== "application/json") {
        return failure(400, "no JSON");
      }
      return create(JSON.parse(text));
    }
    const machine = machines.find((it) => it.id === id && it.state !== "destroyed");
    if (machine === undefined) return failure(404, "machine not found");
    if (request.method === "GET" && action === "wait") return await wait(machine, searchParams);
    if (request.method === "GET" && action === undefined) return Response.json(wire(machine));
    if (request.method === "DELETE") return destroy(machine, searchParams.get("force") === "true");
    switch (`${request.method} ${action}`) {
      case "POST cordon":
      case "POST uncordon":
        calls.push(`${action} ${id}`);
        machine.isCordoned = action === "cordon";
        options.cordoned?.(machine);
        return Response.json({ ok: true });
      case "POST stop": {
        const parsed = Stop.safeParse(text === "" ? {} : JSON.parse(text));
        if (!parsed.success) return failure(400, "invalid_argument: signal or timeout");
        calls.push(`stop ${id} by ${parsed.data.signal} within ${parsed.data.timeout}`);
        machine.state = "stopping";
        void Promise.resolve(options.stop?.(machine)).then(() => void (machine.state = "stopped"));
        return Response.json({ ok: true });
      }
    }
    return failure(404, "not found");
  }

  async function wait(machine: FlyMachineState, query: URLSearchParams): Promise<Response> {
    const wanted = query.get("state") ?? "started";
    if (wanted === "stopped" && query.get("instance_id") === null) {
      return failure(400, "invalid_argument: instance_id is required");
    }
    const untilMs = systemClock.now() + Number(query.get("timeout") ?? 60) * 1000;
    while (machine.state !== wanted && !closing.signal.aborted) {
      if (systemClock.now() > untilMs) {
        return failure(408, `deadline_exceeded: machine is ${machine.state}`);
      }
      await sleep(systemClock, POLL_MS);
    }
    return Response.json({ ok: true });
  }

  function destroy(machine: FlyMachineState, isForced: boolean): Response {
    if (machine.state !== "stopped" && !isForced) {
      return failure(412, `failed_precondition: unable to destroy machine, it is ${machine.state}`);
    }
    calls.push(`destroy ${machine.id}`);
    machine.state = "destroyed";
    return Response.json({ ok: true });
  }

  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, answer);
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    machines,
    calls,
    add: (id, config = {}) =>
      made(id, { config: { image: "registry.fly.io/ringmaster:1", ...config } }),
    failNext: (status, fits = () => true) => void faults.push({ status, fits }),
    async close() {
      closing.abort();
      await server.shutdown();
    },
  };
}

/** Its checks pass from now on. */
export function pass(machine: FlyMachineState): void {
  for (const check of machine.checks) Object.assign(check, { status: "passing", output: "200 OK" });
}

function wire({ isCordoned: _, ...machine }: FlyMachineState): Record<string, unknown> {
  const at = "2026-01-05T09:00:00Z";
  const [repository = "", tag = ""] = machine.config.image.split(":");
  return {
    ...machine,
    image_ref: { registry: "registry.fly.io", repository, tag, digest: `sha256:${"0".repeat(64)}` },
    ...{ created_at: at, updated_at: at, events: [] },
    checks: machine.checks.map((check) => ({ ...check, updated_at: at })),
  };
}

function failure(status: number, error: string): Response {
  return Response.json({ error }, { status });
}
