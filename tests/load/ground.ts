/** What machines stand on: a network, a line to the database, a clock, Redis. Each can be made to fail. */

import { systemClock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { type NetworkHosts, startNetworkHosts } from "@/tests/support/network_hosts.ts";
import { type RedisServer, startRedis } from "@/tests/support/redis_server.ts";
import { startUpstash } from "@/tests/support/upstash.ts";
import { startWire, type Wire } from "@/tests/support/wire.ts";

export interface GroundNeeds {
  /** Each machine has a host of its own, which can vanish. Wants root. */
  readonly hosts?: true;
  /** Each has a line to PostgreSQL that can be cut. */
  readonly wires?: true;
  /** Each has a wall clock that can be set. Wants Debian's `libfaketime`. */
  readonly clocks?: true;
  /** They share a Redis. Wants `redis-server`. */
  readonly redis?: true;
}

/** Where a machine runs. */
export interface Place {
  readonly host: string;
  /** What its command begins with. */
  readonly command: readonly string[];
  readonly postgresUrl: string;
  readonly env: Readonly<Record<string, string>>;
}

export interface Ground {
  place(number: number): Promise<Place>;
  /** As machines reach it. */
  readonly twilioUrl: string;
  /** These throw AppError("not_configured") for what was not asked for. */
  readonly hosts: Pick<NetworkHosts, "vanish" | "comeBack">;
  wireOf(number: number): Promise<Wire>;
  /** `+25h`, `-90s`: so far from the true time; `+0`: the true one. */
  setClock(number: number, shift: string): Promise<void>;
  readonly redis: Pick<RedisServer, "kill" | "start">;
  /** After all machines have ended. */
  close(): Promise<void>;
}

const LOOPBACK = "127.0.0.1";
const FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

export async function prepareGround(
  needs: GroundNeeds,
  { postgresUrl, twilioUrl }: { readonly postgresUrl: string; readonly twilioUrl: string },
): Promise<Ground> {
  if (needs.clocks) await wantFaketime();
  const hosts = needs.hosts ? await startNetworkHosts() : null;
  const twilioWire = hosts === null
    ? null
    : await startWire({ to: portOf(twilioUrl), host: hosts.gateway });
  const wires = new Map<number, Promise<Wire>>();
  const redis = needs.redis ? await startRedis() : null;
  const upstash = redis === null ? null : startUpstash({ path: redis.path, clock: systemClock });
  const clocks = needs.clocks ? await Deno.makeTempDir({ prefix: "ringmaster_clocks_" }) : null;

  function wireOf(number: number): Promise<Wire> {
    if (!needs.wires && hosts === null) throw unasked("wires");
    const options = { to: portOf(postgresUrl), host: hosts?.gateway ?? LOOPBACK };
    const wire = wires.get(number) ?? startWire(options);
    wires.set(number, wire);
    return wire;
  }

  async function setClock(number: number, shift: string): Promise<void> {
    if (clocks === null) throw unasked("clocks");
    await Deno.writeTextFile(`${clocks}/${number}`, shift);
  }

  async function clockEnv(number: number): Promise<Record<string, string>> {
    if (clocks === null) return {};
    await setClock(number, "+0");
    return {
      LD_PRELOAD: FAKETIME,
      FAKETIME_TIMESTAMP_FILE: `${clocks}/${number}`,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    };
  }

  return {
    twilioUrl: twilioWire === null ? twilioUrl : placed(twilioUrl, twilioWire),
    async place(number) {
      const isWired = needs.wires === true || hosts !== null;
      return {
        host: await hosts?.addressOf(number) ?? LOOPBACK,
        command: hosts?.commandAt(number) ?? [],
        postgresUrl: isWired ? placed(postgresUrl, await wireOf(number)) : postgresUrl,
        env: {
          ...await clockEnv(number),
          ...(upstash === null ? {} : {
            UPSTASH_REDIS_REST_URL: upstash.url,
            UPSTASH_REDIS_REST_TOKEN: upstash.token,
          }),
        },
      };
    },
    get hosts() {
      if (hosts === null) throw unasked("hosts");
      return hosts;
    },
    wireOf,
    setClock,
    get redis() {
      if (redis === null) throw unasked("redis");
      return redis;
    },
    async close() {
      for (const wire of wires.values()) await (await wire).close();
      await twilioWire?.close();
      await upstash?.close();
      await redis?.stop();
      await hosts?.close();
      if (clocks !== null) await Deno.remove(clocks, { recursive: true });
    },
  };
}

function placed(url: string, { host, port }: Wire): string {
  return Object.assign(new URL(url), { host: `${host}:${port}` }).href.replace(/\/$/, "");
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}

async function wantFaketime(): Promise<void> {
  await Deno.stat(FAKETIME).catch((cause) => {
    throw new AppError("not_configured", "Clocks cannot be set: install Debian's libfaketime", {
      cause,
    });
  });
}

function unasked(need: keyof GroundNeeds): AppError {
  return new AppError("not_configured", `The machines were started without "${need}"`);
}
