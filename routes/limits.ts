/** How many requests are taken: by address before it is known who asks, then by key or person and by tenant. */

import type { Context, MiddlewareHandler } from "hono";
import { AppError } from "@/lib/errors.ts";
import type { Bucket, Limiter, Verdict, Want } from "@/lib/limits/limiter.ts";
import { HOUSE_LIMITS, type Rate, type RateClass, type TenantLimits } from "@/lib/limits/plan.ts";
import { addressKey } from "./address.ts";
import type { AppDeps } from "./deps.ts";
import type { Env } from "./env.ts";
import { tell } from "./headers.ts";

/**
 * Of one address, on one machine, of requests that show no valid credential. A request that does gives
 * its token back, so that an office behind one address is bounded by its keys alone.
 */
const STRANGER: Bucket = { name: "address", capacity: 120, perSecond: 10, isStrict: false };
/** Of one address, on all machines: talking to agents from their pages. A call takes minutes. */
const TALK: Bucket = { name: "talk", capacity: 20, perSecond: 1 / 15, isStrict: true };
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
  if (method === "POST" && /^\/api\/v1\/calls(\/[^/]+\/transfer)?$/.test(path)) {
    return [{ class: "write", cost: DIAL_WRITES }, { class: "dial", cost: 1 }];
  }
  if (method === "POST" && /\/exports?$/.test(path)) {
    return [{ class: "write", cost: 1 }, { class: "export", cost: 1 }];
  }
  return [{ class: "write", cost: 1 }];
}

/** Before anything is looked up: a stranger's flood ends here, and costs no query. */
export function limitedByAddress(
  { addressLimiter }: Pick<AppDeps, "addressLimiter">,
): MiddlewareHandler<Env> {
  return async (c, next) => {
    const { address } = c.get("request");
    if (address === null) return await next(); // the listener always knows it
    const key = addressKey(address);
    const wants = [{ bucket: STRANGER, key }];
    admit(c, { policy: STRANGER_POLICY, wants, verdicts: addressLimiter.takeNow(wants) });
    await next();
    if (c.get("principal") !== undefined || c.get("person") !== undefined) {
      addressLimiter.giveBack(STRANGER, key);
    }
  };
}

/** For what is asked without a credential: by address, shared by all machines. */
export function limitedStrangers(
  { limiter }: Pick<AppDeps, "limiter">,
  bucket: Bucket = AUTH,
): MiddlewareHandler<Env> {
  const policy = policyOf(bucket);
  return async (c, next) => {
    const { address } = c.get("request");
    if (address === null) return await next();
    const wants = [{ bucket, key: addressKey(address) }];
    admit(c, { policy, wants, verdicts: await limiter.takeAll(wants) });
    await next();
  };
}

/** For tickets that anyone gets: each is a call. */
export function limitedTalkers(deps: Pick<AppDeps, "limiter">): MiddlewareHandler<Env> {
  return limitedStrangers(deps, TALK);
}

/** Sockets of one address, on this machine: each shows something that may be a guess. */
const SOCKET: Bucket = { name: "talk-socket", capacity: 60, perSecond: 1, isStrict: false };

/** Whether one address may try to open another socket. */
export function mayOpenSocket(
  addressLimiter: AppDeps["addressLimiter"],
  address: string,
): boolean {
  const wants = [{ bucket: SOCKET, key: addressKey(address) }];
  return addressLimiter.takeNow(wants).every(({ isAllowed }) => isAllowed);
}

/** Behind `authenticated`: by key or person, and by tenant, in one question. */
export function limited(
  { limiter, plan }: { readonly limiter: Limiter; readonly plan: AppDeps["plan"] },
): MiddlewareHandler<Env> {
  return async (c, next) => {
    const { tenantId, id, configVersion } = c.get("principal");
    const classes = classesOf(await limitsOf(plan, tenantId, configVersion));
    const { method, path } = c.req;
    const wants: Want[] = [];
    let policy = "";
    for (const { class: name, cost } of chargesOf({ method, path, limit: c.req.query("limit") })) {
      const { ofTenant, ofPrincipal, policy: ofClass } = classes[name];
      if (ofPrincipal !== null) wants.push({ bucket: ofPrincipal, key: `${tenantId}/${id}`, cost });
      wants.push({ bucket: ofTenant, key: tenantId, cost });
      policy = listed(policy, ofClass);
    }
    admit(c, { policy, wants, verdicts: await limiter.takeAll(wants) });
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

/** What a request was counted as. */
interface Counted {
  readonly policy: string;
  readonly wants: readonly Want[];
  /** One for each want. */
  readonly verdicts: readonly Verdict[];
}

/**
 * Tells what is left in every answer, in place of what was told of buckets further out; throws
 * AppError("rate_limited") when it is not enough.
 */
function admit(c: Context<Env>, counted: Counted): void {
  tellLimits(c, counted);
  const { wants, verdicts } = counted;
  const refused = verdicts.findIndex(({ isAllowed }) => !isAllowed);
  if (refused === -1) return;
  const first = wants[refused];
  const retryAfterS = Math.max(...verdicts.map((verdict) => verdict.retryAfterS));
  throw new AppError("rate_limited", `Too many requests for "${first?.bucket.name}"`, {
    retryable: true,
    retryAfterS,
  });
}

// https://www.ietf.org/archive/id/draft-ietf-httpapi-ratelimit-headers-10.html
const POLICY = "ratelimit-policy";
const LEFT = "ratelimit";

function tellLimits(c: Context<Env>, { policy, wants, verdicts }: Counted): void {
  let left = "";
  verdicts.forEach(({ remaining, resetS }, i) => {
    left = listed(left, `"${wants[i]?.bucket.name}";r=${remaining};t=${resetS}`);
  });
  tell(c, POLICY, policy);
  tell(c, LEFT, left);
}

/** A list of structured fields (RFC 9651), one longer. */
function listed(list: string, item: string): string {
  return list === "" ? item : `${list}, ${item}`;
}

function policyOf({ name, capacity, perSecond }: Bucket): string {
  return `"${name}";q=${capacity};w=${Math.ceil(capacity / perSecond)}`;
}

const STRANGER_POLICY = policyOf(STRANGER);

interface ClassBuckets {
  readonly ofTenant: Bucket;
  /** Null where the tenant's alone counts. */
  readonly ofPrincipal: Bucket | null;
  /** As it is told of both. */
  readonly policy: string;
}
type Classes = Readonly<Record<RateClass, ClassBuckets>>;

const classesByRates = new WeakMap<TenantLimits["rates"], Classes>();

function classesOf({ rates }: TenantLimits): Classes {
  const known = classesByRates.get(rates);
  if (known !== undefined) return known;
  const classes = {
    read: halved(bucket("read", rates.read)),
    write: halved(bucket("write", rates.write)),
    dial: whole({ ...bucket("dial", rates.dial), isStrict: true }),
    export: whole(bucket("export", rates.export)),
  };
  classesByRates.set(rates, classes);
  return classes;
}

function bucket(name: string, rate: Rate): Bucket {
  return { name, ...rate, isStrict: false };
}

function whole(ofTenant: Bucket): ClassBuckets {
  return { ofTenant, ofPrincipal: null, policy: policyOf(ofTenant) };
}

/** One key or person may use half of what the tenant has. */
function halved(ofTenant: Bucket): ClassBuckets {
  const { name, capacity, perSecond } = ofTenant;
  const rate = { capacity: Math.ceil(capacity / 2), perSecond: perSecond / 2 };
  const ofPrincipal = bucket(`${name}-key`, rate);
  return { ofTenant, ofPrincipal, policy: listed(policyOf(ofPrincipal), policyOf(ofTenant)) };
}
