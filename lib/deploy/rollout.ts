/**
 * A deploy that ends no call: each old machine gets a successor, is cordoned, drains, and goes when it is empty.
 * What has been done stands at the machines themselves, so that it may be broken off and begun again anywhere.
 */

import { type Clock, sleep } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import type { Machine, MachinesApi, NewMachine } from "./machines_api.ts";
import type { DrainOrder, Operators } from "./operators.ts";

/** Metadata of a new machine: which release it is of, and whose place it takes. */
export const RELEASE = "ringmaster_release";
export const REPLACES = "ringmaster_replaces";
const GROUP = "fly_process_group";

/** A machine has so long to start, and to pass its checks. */
const HEALTHY_MS = 5 * 60_000;
const START_WAIT_S = 60;
/** From one look to the next, and from what the proxy was told to when it knows. */
const PACE = { lookMs: 5_000, learnMs: 10_000 };
/** A machine that drains may take so long past its deadline: for turns, and for writing. */
const LATE_MS = 3 * 60_000;
/** A machine without calls ends within seconds; it is killed after the most that Fly waits. */
const STOP_S = 300;

export interface Release {
  readonly image: string;
  /** Machines that have its name are new. */
  readonly name: string;
  /** Fly's process group. */
  readonly group: string;
}

export interface Place {
  readonly old: Machine;
  /** Null: it is still to be made. */
  readonly next: Machine | null;
}

/** What is to be replaced. Throws AppError("invalid") for what cannot be. */
export function placesOf(machines: readonly Machine[], release: Release): Place[] {
  const metadata = ({ config }: Machine, key: string): string | undefined => config.metadata?.[key];
  const ours = machines.filter((it) => (metadata(it, GROUP) ?? "app") === release.group);
  const isNew = (it: Machine): boolean => metadata(it, RELEASE) === release.name;
  const rivals = ours.find((it) =>
    !isNew(it) && ours.some(({ id }) => id === metadata(it, REPLACES))
  );
  if (rivals !== undefined) {
    throw new AppError(
      "conflict",
      `Machine ${rivals.id} is to take the place of ${metadata(rivals, REPLACES)}, of release ` +
        `${metadata(rivals, RELEASE)}, whose deploy was broken off: end that one, or ` +
        `\`fly machine destroy --force ${rivals.id}\``,
    );
  }
  const places = ours.filter((it) => !isNew(it)).map((old): Place => ({
    old,
    next: ours.find((it) => isNew(it) && metadata(it, REPLACES) === old.id) ?? null,
  }));
  // One that somebody has stopped, and nobody has replaced, is nobody's place.
  const open = places.filter(({ old, next }) => next !== null || old.state === "started");
  for (const { old } of open) {
    const { mounts } = old.config;
    if (Array.isArray(mounts) && mounts.length > 0) {
      throw new AppError("invalid", `Machine ${old.id} has a volume: it cannot be replaced`);
    }
  }
  return open;
}

/** As the old one, but for its image. */
export function successorOf({ region, config, id }: Machine, release: Release): NewMachine {
  const metadata = { ...config.metadata, [RELEASE]: release.name, [REPLACES]: id };
  return { region, config: { ...config, image: release.image, metadata } };
}

export interface RolloutDeps {
  readonly api: MachinesApi;
  readonly operators: Operators;
  /** Where a machine's operators are asked; those of new ones when absent. */
  readonly operatorUrl: string | null;
  readonly clock: Clock;
  readonly pace?: typeof PACE;
  /** A line for whoever watches. */
  say(line: string): void;
}

export interface RolloutOptions {
  readonly release: Release;
  readonly order: DrainOrder;
}

interface Pair {
  readonly old: Machine;
  readonly next: Machine;
}

/** Throws AppError where it cannot go on: what it says is what is to be done. */
export async function rollOut(deps: RolloutDeps, options: RolloutOptions): Promise<void> {
  const { api, operators, clock, say, pace = PACE } = deps;
  const { release, order } = options;

  async function successor({ old, next }: Place): Promise<Pair> {
    if (next !== null) return { old, next };
    const made = await api.create(successorOf(old, release));
    say(`${made.id} is to take the place of ${old.id}, in ${old.region}`);
    return { old, next: made };
  }

  async function started(machine: Machine, untilMs: number): Promise<void> {
    while (!await api.wait(machine, "started", START_WAIT_S)) {
      if (clock.now() > untilMs) throw unhealthy(machine.id, "it has not started");
    }
  }

  async function healthy({ id }: Machine, untilMs: number): Promise<void> {
    for (;;) {
      const machine = await api.get(id);
      const wrong = machine.checks.filter(({ status }) => status !== "passing");
      if (wrong.length === 0) return say(`${id} is healthy`);
      const why = wrong.map(({ name, status, output = "" }) => `${name} is ${status} ${output}`);
      if (clock.now() > untilMs) throw unhealthy(id, why.join(", ").trim());
      await sleep(clock, pace.lookMs);
    }
  }

  /** That it is one of the machines shows that it reaches the database, and that its operators can be asked. */
  async function joined(pairs: readonly Pair[], untilMs: number): Promise<void> {
    const ids = pairs.map(({ next }) => next.id);
    for (;;) {
      const [missing] = await operators.missing(urlsOf(pairs), ids);
      if (missing === undefined) return;
      if (clock.now() > untilMs) throw unhealthy(missing, "it is not among the machines");
      await sleep(clock, pace.lookMs);
    }
  }

  function urlsOf(pairs: readonly Pair[]): string[] {
    if (deps.operatorUrl !== null) return [deps.operatorUrl];
    return pairs.map(({ next }) => `http://[${next.privateIp}]:9000`);
  }

  async function emptied(pairs: readonly Pair[]): Promise<void> {
    const urls = urlsOf(pairs);
    for (const { old } of pairs) {
      if (await operators.drain(urls, old.id, order)) say(`${old.id} drains`);
      else say(`${old.id} is not among the machines any more`);
    }
    const untilMs = clock.now() + order.deadlineMs + LATE_MS;
    let told = "";
    for (;;) {
      const left = await operators.busy(urls, pairs.map(({ old }) => old.id));
      if (left.length === 0) return;
      const calls = left.map((it) => `${it.nodeId} ${it.calls}`).join(", ");
      if (calls !== told) say(`live calls: ${calls}`);
      told = calls;
      if (clock.now() > untilMs) {
        throw new AppError(
          "conflict",
          `Calls are left although time is up: ${calls}. Nothing was stopped. Run this again to wait ` +
            "for them, with --hand-over to have them go on elsewhere",
        );
      }
      await sleep(clock, pace.lookMs);
    }
  }

  async function ended(old: Machine): Promise<void> {
    const { id } = old;
    if (old.state !== "stopped") {
      await api.stop(id, STOP_S);
      while (!await api.wait(old, "stopped", START_WAIT_S)) say(`${id} has not stopped yet`);
    }
    await api.destroy(id);
    say(`${id} is gone`);
  }

  const places = placesOf(await api.list(), release);
  if (places.length === 0) return say(`All machines are of release ${release.name}`);
  const pairs: Pair[] = [];
  for (const place of places) pairs.push(await successor(place));
  const untilMs = clock.now() + HEALTHY_MS;
  for (const { next } of pairs) await started(next, untilMs);
  for (const { next } of pairs) await healthy(next, untilMs);
  await joined(pairs, untilMs);
  for (const { next } of pairs) await api.uncordon(next.id);
  await sleep(clock, pace.learnMs);
  for (const { old } of pairs) await api.cordon(old.id);
  await emptied(pairs);
  for (const { old } of pairs) await ended(old);
  say(`${pairs.length} machines run release ${release.name}`);
}

function unhealthy(id: string, why: string): AppError {
  return new AppError(
    "provider_failed",
    `New machine ${id} is not healthy: ${why}. It gets no requests, and the old machines were left as ` +
      `they are. Look at \`fly logs --machine ${id}\`, then run this again, or \`fly machine destroy ` +
      `--force ${id}\``,
  );
}
