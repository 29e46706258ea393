/** What can happen to machines and to what they stand on. */

import { TIMINGS } from "@/actors/cluster/membership.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import type { GroundNeeds } from "@/tests/load/ground.ts";
import type { Machines } from "@/tests/load/machines.ts";
import type { Fault } from "./calls.ts";

export interface StrikeOptions {
  /** The number of the machine that fails, of faults of one. */
  readonly victim: number;
  /** How long it stands still, in times of the lease. */
  readonly leases: number;
  /** How long what is away is away. */
  readonly awayMs: number;
}

export interface KindOfFault extends Omit<Fault, "atMs"> {
  readonly needs?: GroundNeeds;
  /** All machines are without the database while it lasts. */
  readonly isOfDatabase?: true;
  /** New calls come while it lasts. */
  readonly ringsOn?: true;
  /** Resolves when it is over. */
  strike(machines: Machines, options: StrikeOptions): Promise<void>;
}

/** A jump that no token, lease or day outlasts, one way and the other. */
const JUMPS = ["+25h", "-25h", "+0"];

const ONE_DIES = { silentFrom: "streamEnd", isOrderly: false } as const;
const ONE_IS_SILENT = { silentFrom: "fault", isOrderly: false } as const;
const CALLS_GO_ON = { silentFrom: "streamEnd", isOrderly: true } as const;

export const KINDS = {
  kill9: {
    ...ONE_DIES,
    strike: (machines, { victim }) => machines.signal(victim, "SIGKILL"),
  },
  stop: {
    ...CALLS_GO_ON,
    strike: (machines, { victim }) => machines.signal(victim, "SIGTERM"),
  },
  /** One after the other is replaced. */
  deploy: {
    ...CALLS_GO_ON,
    ringsOn: true,
    async strike(machines) {
      for (const { number } of machines.machines) {
        await machines.signal(number, "SIGTERM");
        await machines.start(number);
      }
    },
  },
  sigstop: {
    ...ONE_IS_SILENT,
    async strike(machines, { victim, leases }) {
      await machines.signal(victim, "SIGSTOP");
      await sleep(systemClock, leases * TIMINGS.ttlMs);
      await machines.signal(victim, "SIGCONT");
    },
  },
  /** A host vanishes, without a word, and comes back. */
  blackhole: {
    ...ONE_IS_SILENT,
    needs: { hosts: true },
    async strike({ ground }, { victim, leases }) {
      await ground.hosts.vanish(victim);
      await sleep(systemClock, leases * TIMINGS.ttlMs);
      await ground.hosts.comeBack(victim);
    },
  },
  /** One machine, and it alone, does not reach the database. It talks on until others have its calls. */
  cutoff: {
    ...ONE_DIES,
    isForgotten: true,
    needs: { wires: true },
    async strike({ ground }, { victim, leases }) {
      const wire = await ground.wireOf(victim);
      wire.cut();
      await sleep(systemClock, leases * TIMINGS.ttlMs);
      wire.heal();
    },
  },
  postgres: {
    ...CALLS_GO_ON,
    isOfDatabase: true,
    async strike({ postgres }, { awayMs }) {
      await postgres.halt("immediate");
      await sleep(systemClock, awayMs);
      await postgres.start();
    },
  },
  "postgres-blackhole": {
    ...CALLS_GO_ON,
    isOfDatabase: true,
    needs: { wires: true },
    async strike({ ground, machines }, { awayMs }) {
      const wires = await Promise.all(machines.map(({ number }) => ground.wireOf(number)));
      for (const wire of wires) wire.cut();
      await sleep(systemClock, awayMs);
      for (const wire of wires) wire.heal();
    },
  },
  "postgres-readonly": {
    ...CALLS_GO_ON,
    isOfDatabase: true,
    async strike({ postgres }, { awayMs }) {
      await postgres.setReadOnly(true);
      await sleep(systemClock, awayMs);
      await postgres.setReadOnly(false);
    },
  },
  redis: {
    ...CALLS_GO_ON,
    needs: { redis: true },
    async strike({ ground }, { awayMs }) {
      await ground.redis.kill();
      await sleep(systemClock, awayMs);
      await ground.redis.start();
    },
  },
  /** One machine's wall clock jumps. */
  clock: {
    ...CALLS_GO_ON,
    needs: { clocks: true },
    async strike({ ground }, { victim, awayMs }) {
      for (const shift of JUMPS) {
        await ground.setClock(victim, shift);
        await sleep(systemClock, awayMs);
      }
    },
  },
} as const satisfies Readonly<Record<string, KindOfFault>>;

export type NameOfFault = keyof typeof KINDS;

export function isFault(name: string): name is NameOfFault {
  return Object.hasOwn(KINDS, name);
}
