/** What can happen to machines and to what they stand on. */

import { TIMINGS } from "@/actors/cluster/membership.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
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

export interface KindOfFault extends Pick<Fault, "silentFrom" | "isOrderly"> {
  /** Resolves when it is over. */
  strike(machines: Machines, options: StrikeOptions): Promise<void>;
}

export const KINDS = {
  kill9: {
    silentFrom: "streamEnd",
    isOrderly: false,
    strike: (machines, { victim }) => machines.signal(victim, "SIGKILL"),
  },
  stop: {
    silentFrom: "streamEnd",
    isOrderly: true,
    strike: (machines, { victim }) => machines.signal(victim, "SIGTERM"),
  },
  sigstop: {
    silentFrom: "fault",
    isOrderly: false,
    async strike(machines, { victim, leases }) {
      await machines.signal(victim, "SIGSTOP");
      await sleep(systemClock, leases * TIMINGS.ttlMs);
      await machines.signal(victim, "SIGCONT");
    },
  },
  postgres: {
    silentFrom: "streamEnd",
    isOrderly: true,
    async strike({ postgres }, { awayMs }) {
      await postgres.halt("immediate");
      await sleep(systemClock, awayMs);
      await postgres.start();
    },
  },
} as const satisfies Readonly<Record<string, KindOfFault>>;

export type NameOfFault = keyof typeof KINDS;

export function isFault(name: string): name is NameOfFault {
  return Object.hasOwn(KINDS, name);
}
