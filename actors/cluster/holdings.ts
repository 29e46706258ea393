/** What this process owns, and as which boot: read where something is written, changed by the node's actor. */

import type { ActorKey, Boot, Fence, Owned } from "@/db/cluster.ts";

export interface Holdings {
  /** Null: it has not joined yet, or was buried and has not joined again. */
  readonly boot: Boot | null;
  /** This process is `boot` from now on. */
  joined(boot: Boot): void;
  buried(): void;
  /**
   * A claim's answer: whether it is ours. What is somebody else's is not, nor what we have given up under that
   * epoch: the release may be on its way still, and would take it from under us.
   */
  take(owned: Owned): boolean;
  /** It is somebody else's: what it still writes shows the old fence, and is refused. */
  lose(actor: ActorKey): void;
  /** For the one who releases it: what it shows from then on, null when it was not ours. */
  giveUp(actor: ActorKey): Fence | null;
  /** It has ended. */
  drop(actor: ActorKey): void;
  /** What a durable write of it has to show; null: it was never claimed. */
  fenceOf(actor: ActorKey): Fence | null;
  /** Whether a write that was refused may pass later: its boot was buried, and it is claimed anew just now. */
  isPending(fence: Fence): boolean;
  /** From the node: until then, and not a moment longer, movable actors of this boot may act. */
  extend(validUntilMs: number): void;
  /** Whether one that was taken may act now. Asked before every act; past it, it waits and keeps its state. */
  mayAct(actor: ActorKey, nowMs: number): boolean;
  /** What was taken by a boot that is no more. */
  stale(): readonly Fence[];
}

export function newHoldings(): Holdings {
  const fences = new Map<string, Fence>();
  const lost = new Set<string>();
  /** Epochs that this boot has given up. */
  const givenUp = new Map<string, number>();
  let boot: Boot | null = null;
  let validMs = -Infinity;
  return {
    get boot() {
      return boot;
    },
    joined(next) {
      boot = next;
    },
    buried() {
      boot = null;
      givenUp.clear();
    },
    take({ kind, id, epoch, owner }) {
      if (owner === null || owner.incarnation !== boot?.incarnation) return false;
      const last = givenUp.get(keyOf({ kind, id }));
      if (last !== undefined && epoch <= last) return false; // an answer that was overtaken, too
      fences.set(keyOf({ kind, id }), { kind, id, epoch, ...boot });
      return true;
    },
    giveUp(actor) {
      const fence = fences.get(keyOf(actor)) ?? null;
      fences.delete(keyOf(actor));
      if (fence !== null) givenUp.set(keyOf(actor), fence.epoch);
      return fence;
    },
    lose: (actor) => void lost.add(keyOf(actor)),
    drop(actor) {
      fences.delete(keyOf(actor));
      lost.delete(keyOf(actor));
    },
    extend: (validUntilMs) => void (validMs = validUntilMs),
    mayAct: (actor, nowMs) =>
      nowMs < validMs && boot !== null &&
      fences.get(keyOf(actor))?.incarnation === boot.incarnation,
    isPending: (fence) => fence.incarnation !== boot?.incarnation && !lost.has(keyOf(fence)),
    fenceOf: (actor) => fences.get(keyOf(actor)) ?? null,
    stale: () =>
      [...fences.values()].filter((fence) =>
        fence.incarnation !== boot?.incarnation && !lost.has(keyOf(fence))
      ),
  };
}

function keyOf({ kind, id }: ActorKey): string {
  return `${kind}/${id}`;
}
