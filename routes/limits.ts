/** How many requests are taken: by address before it is known who asks, then by key or person and by tenant. */

import type { Context, MiddlewareHandler } from "hono";
import { AppError } from "@/lib/errors.ts";
import type { Bucket, Limiter, Verdict, Want } from "@/lib/limits/limiter.ts";
import { memoryLimiter } from "@/lib/limits/memory.ts";
import { HOUSE_LIMITS, type Rate, type RateClass, type TenantLimits } from "@/lib/limits/plan.ts";
import { addressKey } from "./address.ts";
import type { AppDeps } from "./deps.ts";
import type { Env } from "./env.ts";

/**
 * Of one address, on one machine, of requests that show no valid credential. A request that does gives
 * its token back, so that an office behind one address is bounded by its keys alone.
 */
const STRANGER: Bucket = { name: "address", capacity: 120, perSecond: 10, isStrict: false };
/** Of one address, on all machines: logging in, signing up, resetting a password. */
const AUTH: Bucket = { name: "auth", capacity: 60, perSecond: 1, isStrict: true };
/** A page of a list costs one token for so many items. */
const ITEMS_PER_TOKEN = 50;
/** A call that is placed costs as many writes: an agent's graph, a row, the carrier's API. */
const DIAL_WRITES = 5;

/** What a request is counted as, in the tenant's rates. */
export interface Charge {
  readonly class: RateClass;
  readonly cost: number;
}

/** Safe methods read. All else writes, and what dials or exports is counted as that too. */
export function chargesOf(
  { method, path, limit = "" }: {
    readonly method: string;
    readonly path: string;
    /** Of the query, as it came: what is no limit is refused by its route. */
    readonly limit?: string | undefined;
  },
): readonly Charge[] {
  if (method === "GET" || method === "HEAD" || method === "OPTIONS") {
    const items = /^\d{1,4}$/.test(limit) ? Number(limit) : 1;
    return [{ class: "read", cost: Math.max(1, Math.ceil(items / ITEMS_PER_TOKEN)) }];
  }
  if (method === "POST" && path === "/api/v1/calls") {
    return [{ class: "write", cost: DIAL_WRITES }, { class: "dial", cost: 1 }];
  }
  if (method === "POST" && /\/exports?$/.test(path)) {
    return [{ class: "write", cost: 1 }, { class: "export", cost: 1 }];
  }
  return [{ class: "write", cost: 1 }];
}

/** Before anything is looked up: a stranger's flood ends here, and costs no query. */
export function limitedByAddress({ clock }: Pick<AppDeps, "clock">): MiddlewareHandler<Env> {
  const guard = memoryLimiter(clock);
  return async (c, next) => {
    const { address } = c.var.request;
    if (address === null) return await next(); // the listener always knows it
    const key = addressKey(address);
    admit(c, [{ bucket: STRANGER, key }], guard.takeNow([{ bucket: STRANGER, key }]));
    await next();
    if (c.get("principal") !== undefined || c.get("person") !== undefined) {
      guard.giveBack(STRANGER, key);
    }
  };
}

/** For what is asked without a credential: by address, shared by all machines. */
export function limitedStrangers({ limiter }: Pick<AppDeps, "limiter">): MiddlewareHandler<Env> {
  return async (c, next) => {
    const { address } = c.var.request;
    if (address === null) return await next();
    const wants = [{ bucket: AUTH, key: addressKey(address) }];
    admit(c, wants, await limiter.takeAll(wants));
    await next();
  };
}

/** Behind `authenticated`: by key or person, and by tenant, in one question. */
export function limited(
  { limiter, plan }: { readonly limiter: Limiter; readonly plan: AppDeps["plan"] },
): MiddlewareHandler<Env> {
  return async (c, next) => {
    const { tenantId, id, configVersion } = c.var.principal;
    const buckets = bucketsOf(await limitsOf(plan, tenantId, configVersion));
    const wants: Want[] = [];
    const { method, path } = c.req;
    const charges = chargesOf({ method, path, limit: c.req.query("limit") });
    for (const { class: name, cost } of charges) {
      const { ofTenant, ofPrincipal } = buckets[name];
      if (ofPrincipal !== null) wants.push({ bucket: ofPrincipal, key: `${tenantId}/${id}`, cost });
      wants.push({ bucket: ofTenant, key: tenantId, cost });
    }
    admit(c, wants, await limiter.takeAll(wants));
    await next();
  };
}

async function limitsOf(
  plan: AppDeps["plan"],
  tenantId: string,
  configVersion: number,
): Promise<TenantLimits> {
  try {
    return (await plan(tenantId, configVersion)).limits;
  } catch { // the database is away: what follows will say so
    return HOUSE_LIMITS;
  }
}

/** Tells what is left in every answer; throws AppError("rate_limited") when it is not enough. */
function admit(c: Context<Env>, wants: readonly Want[], verdicts: readonly Verdict[]): void {
  const policies = wants.map(({ bucket }) => policyOf(bucket)).join(", ");
  const left = wants.map(({ bucket: { name } }, i) => {
    const { remaining = 0, resetS = 0 } = verdicts[i] ?? {};
    return `"${name}";r=${remaining};t=${resetS}`;
  }).join(", ");
  // https://www.ietf.org/archive/id/draft-ietf-httpapi-ratelimit-headers-10.html
  c.header("RateLimit-Policy", policies);
  c.header("RateLimit", left);
  const refused = wants.filter((_, i) => verdicts[i]?.isAllowed === false);
  const [first] = refused;
  if (first === undefined) return;
  const retryAfterS = Math.max(...verdicts.map((verdict) => verdict.retryAfterS));
  throw new AppError("rate_limited", `Too many requests for "${first.bucket.name}"`, {
    retryable: true,
    retryAfterS,
  });
}

const policies = new WeakMap<Bucket, string>();

function policyOf(bucket: Bucket): string {
  const known = policies.get(bucket);
  if (known !== undefined) return known;
  const { name, capacity, perSecond } = bucket;
  const policy = `"${name}";q=${capacity};w=${Math.ceil(capacity / perSecond)}`;
  policies.set(bucket, policy);
  return policy;
}

interface ClassBuckets {
  readonly ofTenant: Bucket;
  /** Null where the tenant's alone counts. */
  readonly ofPrincipal: Bucket | null;
}
type Buckets = Readonly<Record<RateClass, ClassBuckets>>;

const bucketsByLimits = new WeakMap<TenantLimits["rates"], Buckets>();

function bucketsOf({ rates }: TenantLimits): Buckets {
  const known = bucketsByLimits.get(rates);
  if (known !== undefined) return known;
  const buckets = {
    read: { ofTenant: bucket("read", rates.read), ofPrincipal: half("read", rates.read) },
    write: { ofTenant: bucket("write", rates.write), ofPrincipal: half("write", rates.write) },
    dial: { ofTenant: { ...bucket("dial", rates.dial), isStrict: true }, ofPrincipal: null },
    export: { ofTenant: bucket("export", rates.export), ofPrincipal: null },
  };
  bucketsByLimits.set(rates, buckets);
  return buckets;
}

function bucket(name: string, rate: Rate): Bucket {
  return { name, ...rate, isStrict: false };
}

function half(name: string, { capacity, perSecond }: Rate): Bucket {
  const rate = { capacity: Math.ceil(capacity / 2), perSecond: perSecond / 2 };
  return bucket(`${name}-key`, rate);
}
