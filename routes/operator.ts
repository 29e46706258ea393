/** What operators see of the running actors, on a listener of their own. Never a caller's words or numbers. */

import { Hono, type MiddlewareHandler } from "hono";
import { z } from "zod";
import { AppError } from "@/lib/errors.ts";
import type { Log } from "@/lib/log.ts";
import { bearer } from "./bearer.ts";
import { check, jsonGuard } from "./body.ts";
import type { AppDeps } from "./deps.ts";
import type { Env } from "./env.ts";
import { onError, onNotFound } from "./errors.ts";
import { answerHeaders } from "./headers.ts";
import { operatorTenants } from "./operator_tenants.ts";

/** The runtime as far as operators look at it: `System` has it. */
export interface Inspection {
  /** The living actors, of one kind or of all. */
  list(kind?: string): readonly unknown[];
  /** Null when no such actor lives. */
  inspect(kind: string, id: string): unknown;
  /** Newest first, bounded. */
  deadLetters(): readonly unknown[];
  /** False when no such actor lives. */
  stop(kind: string, id: string, why: string): boolean;
}

/** The machines there are, and which of them owns an actor. */
export interface Cluster {
  view(): Promise<unknown>;
  /** An actor of another machine, as that one shows it; null: no machine knows of it. */
  inspect(actor: { readonly kind: string; readonly id: string }): Promise<unknown>;
  /** Stops an actor of another machine; false: none that answered has it. */
  stop(actor: { readonly kind: string; readonly id: string }, why: string): Promise<boolean>;
  /** The actors of a machine; null: there is none of this name, or it did not answer. */
  list(nodeId: string, kind: string | null): Promise<unknown>;
  /** A null epoch: nobody has ever owned it, or it has ended. */
  ownerOf(actor: { readonly kind: string; readonly id: string }): Promise<
    { readonly epoch: number | null }
  >;
  /** False: there is no machine of this name. */
  drain(nodeId: string, order: z.infer<typeof Order>): Promise<boolean>;
}

export interface OperatorDeps {
  readonly token: string;
  readonly roster: Cluster;
  readonly inspection: Inspection;
  readonly gate: AppDeps["gate"];
  readonly desk: AppDeps["desk"];
  /** How hard pressed this machine is, what it sheds, and who was refused. */
  pressure(): unknown;
  /** What there is to act on, of all machines, and what there was. */
  alarms(): unknown;
  /** Prometheus text, version 0.0.4. */
  metrics(): string;
  readonly log: Log;
}

/** `deadlineMs` passed, calls are handed over in the middle of a turn as well. */
const Order = z.strictObject({
  calls: z.enum(["wait", "handOver"]).default("wait"),
  deadlineMs: z.int().min(0).max(86_400_000).default(2 * 3_600_000),
});

/** Only `/alive` is open; the rest takes the operator's token. */
export function newOperatorApp(deps: OperatorDeps): Hono<Env> {
  const { token, inspection, roster, metrics, log } = deps;
  return new Hono<Env>()
    .use(answerHeaders())
    .get("/alive", (c) => c.json({ status: "ok" }))
    .use(bearer(token))
    .use(asOperator())
    .route("/tenants", operatorTenants(deps))
    .get("/actors", async (c) => {
      const { kind, node } = c.req.query();
      if (node === undefined) return c.json({ actors: inspection.list(kind) });
      return c.json(Object(found(await roster.list(node, kind ?? null), "machine")));
    })
    .get("/pressure", (c) => c.json(Object(deps.pressure())))
    .get("/alarms", (c) => c.json(Object(deps.alarms())))
    .get("/cluster", async (c) => c.json(Object(await roster.view())))
    .get("/actors/:kind/:id", async (c) => {
      const { kind, id } = c.req.param();
      const here = inspection.inspect(kind, id);
      if (here !== null) return c.json(here);
      return c.json(Object(found(await roster.inspect({ kind, id }))));
    })
    .get("/actors/:kind/:id/owner", async (c) => {
      const { kind, id } = c.req.param();
      return c.json(await roster.ownerOf({ kind, id }));
    })
    .post("/actors/:kind/:id/stop", async (c) => {
      const { kind, id } = c.req.param();
      const why = "an operator asked";
      found(inspection.stop(kind, id, why) || await roster.stop({ kind, id }, why) || null);
      log.warn("actor stopped by an operator", { requestId: c.var.requestId, kind, id });
      return c.body(null, 204);
    })
    .post("/nodes/:id/drain", jsonGuard(), async (c) => {
      const { id } = c.req.param();
      const said: unknown = await c.req.bodyCache.json; // what the guard has read
      const order = check(said ?? {}, Order);
      found(await roster.drain(id, order) || null, "machine");
      log.warn("machine told to drain by an operator", {
        ...{ requestId: c.var.requestId, nodeId: id },
        ...order,
      });
      return c.json({ nodeId: id, ...order }, 202);
    })
    .get("/dead-letters", (c) => c.json({ deadLetters: inspection.deadLetters() }))
    .get("/metrics", (c) => {
      return c.text(metrics(), 200, { "Content-Type": "text/plain; version=0.0.4" });
    })
    .notFound(onNotFound())
    .onError(onError(log));
}

/** Who has the house's own token. */
function asOperator(): MiddlewareHandler<Env> {
  return async (c, next) => {
    c.set("operator", "root");
    await next();
  };
}

function found<T>(thing: T, what = "actor"): NonNullable<T> {
  if (thing === null || thing === undefined) throw new AppError("not_found", `No such ${what}`);
  return thing;
}
