/** A stage for deliveries at virtual time: machines, endpoints, and receivers that answer as a test says. */

import {
  deliveries,
  deliveriesKind,
  type DeliveriesMessage,
} from "@/actors/deliveries/deliveries.ts";
import type { Ref } from "@/actors/runtime/actor.ts";
import type { Sql } from "@/db/client.ts";
import { type Delivery, listDeliveries } from "@/db/deliveries.ts";
import { insertOutboxEvent } from "@/db/outbox.ts";
import {
  getWebhookEndpoint,
  insertWebhookEndpoint,
  type NewWebhookEndpoint,
  type WebhookEndpoint,
} from "@/db/webhook_endpoints.ts";
import { sleep } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { newId } from "@/lib/ids.ts";
import type { OutboundRequest } from "@/lib/outbound.ts";
import { newWebhookSecret } from "@/lib/webhooks/sign.ts";
import { type ActorKit, actorKit } from "./actor_kit.ts";
import type { TestDatabase } from "./database.ts";
import { DEADLINE_MS, newTenant } from "./rows.ts";
import { openVault, testServices } from "./services.ts";
import { type VirtualDatabase, virtualDatabase } from "./virtual_database.ts";

/** `null`: no answer. `afterMs`: it takes so long. */
export interface Reaction {
  readonly status: number | null;
  readonly headers?: Readonly<Record<string, string>>;
  readonly afterMs?: number;
}

export interface Sent {
  readonly atMs: number;
  readonly url: string;
  readonly eventId: string;
  readonly request: OutboundRequest;
}

export interface WebhookStage extends AsyncDisposable, ActorKit, VirtualDatabase {
  /** What has reached receivers, in order. */
  readonly sent: Sent[];
  /** Requests that have not been answered yet, of a URL that begins so. */
  open(url: string): number;
  machine(): Ref<DeliveriesMessage>;
  tenant(): Promise<string>;
  endpoint(tenantId: string, more?: Partial<NewWebhookEndpoint>): Promise<NewWebhookEndpoint>;
  /** Writes an event of this type; returns its id. */
  event(tenantId: string, type?: "call.started" | "call.ended"): Promise<string>;
  list(tenantId: string, endpointId: string): Promise<Delivery[]>;
  read(tenantId: string, endpointId: string): Promise<WebhookEndpoint | null>;
  as<T>(tenantId: string, work: (sql: Sql) => Promise<T>): Promise<T>;
}

export async function webhookStage(
  test: TestDatabase,
  react: (sent: Sent) => Reaction,
  { seed, fault }: {
    readonly seed?: number;
    /** Asked before each transaction of a machine; true: it is lost, and asked again after it: its reply is. */
    readonly fault?: () => boolean;
  } = {},
): Promise<WebhookStage> {
  const real = await test.open();
  await real.asOwner(DEADLINE_MS, (sql) => sql`truncate outbox, webhook_endpoint, job cascade`);
  const kit = actorKit(seed === undefined ? {} : { seed });
  const virtual = virtualDatabase(real, kit.clock);
  const sent: Sent[] = [];
  const unanswered = new Set<string>();
  let machines = 0;

  /** Lost before it began, or done with its reply lost. */
  async function faulty<T>(run: () => Promise<T>): Promise<T> {
    if (fault?.()) throw new AppError("database_unavailable", "Lost before", { retryable: true });
    const result = await run();
    if (fault?.()) throw new AppError("database_unavailable", "Lost after", { retryable: true });
    return result;
  }

  const services = testServices({
    clock: kit.clock,
    vault: openVault,
    database: {
      ...virtual.database,
      asTenant: (...work) => faulty(() => virtual.database.asTenant(...work)),
      lookup: (...work) => faulty(() => virtual.database.lookup(...work)),
    },
    outbound: {
      check: () => {},
      async send(request, signal) {
        const eventId = request.headers["webhook-id"] ?? "";
        const one: Sent = { atMs: kit.clock.now(), url: request.url, eventId, request };
        sent.push(one);
        const { status, headers = {}, afterMs = 0 } = react(one);
        const key = `${request.url} ${sent.length}`;
        unanswered.add(key);
        try {
          if (afterMs > 0) await sleep(kit.clock, Math.min(afterMs, request.totalMs), signal);
        } finally {
          unanswered.delete(key);
        }
        if (status === null || afterMs > request.totalMs) {
          throw new AppError("provider_failed", "No answer", { retryable: true });
        }
        return { status, headers, body: new TextEncoder().encode("ok"), isCut: false };
      },
    },
  });
  const as: WebhookStage["as"] = (tenantId, work) =>
    virtual.database.asTenant("jobs", tenantId, DEADLINE_MS, work);

  return {
    ...kit,
    ...virtual,
    sent,
    as,
    open: (url) => [...unanswered].filter((key) => key.startsWith(url)).length,
    machine: () =>
      kit.system.spawn(
        deliveriesKind,
        `machine ${++machines}`,
        () => deliveries({ services, random: () => 0.5 }),
      ),
    tenant: () => newTenant(virtual.database),
    async endpoint(tenantId, more = {}) {
      const id = more.id ?? newId("endpoint");
      const place = { tenantId, table: "webhook_endpoint", column: "secret_sealed", row: id };
      const endpoint: NewWebhookEndpoint = {
        id,
        url: `https://receiver.example.com/${id}`,
        description: "",
        events: [],
        mode: "standard",
        secretSealed: await openVault.seal(place, newWebhookSecret()),
        ...more,
      };
      await as(tenantId, (sql) => insertWebhookEndpoint(sql, tenantId, endpoint, 50));
      return endpoint;
    },
    async event(tenantId, type = "call.started") {
      const id = newId("event");
      // Only its type matters to deliveries.
      const payload = { callId: newId("call"), number: sent.length } as never;
      const at = kit.clock.date();
      await as(tenantId, (sql) => insertOutboxEvent(sql, tenantId, { id, type, payload, at }));
      return id;
    },
    list: (tenantId, endpointId) =>
      as(tenantId, (sql) => listDeliveries(sql, tenantId, endpointId, { limit: 500 })),
    read: (tenantId, endpointId) =>
      as(tenantId, (sql) => getWebhookEndpoint(sql, tenantId, endpointId)),
    async [Symbol.asyncDispose]() {
      await kit.system.shutdown();
      await virtual.settle();
      await real.close();
    },
  };
}
