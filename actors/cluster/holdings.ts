/** What this process owns, and as which boot: read where something is written, changed by the node's actor. */

import type { ActorKey, Boot, Fence, Owned } from "@/db/cluster.ts";

export interface Holdings {
  /** Null: it has not joined yet, or was buried and has not joined again. */
  readonly boot: Boot | null;
  /** This process is `boot` from now on. */
  joined(boot: Boot): void;
  buried(): void;
  /** A claim's answer. What is somebody else's is not taken. */
  take(owned: Owned): boolean;
  /** It is somebody else's: what it still writes shows the old fence, and is refused. */
  lose(actor: ActorKey): void;
  /** It has ended. */
  drop(actor: ActorKey): void;
  /** What a durable write of it has to show; null: it was never claimed. */
  fenceOf(actor: ActorKey): Fence | null;
  /** Whether a write that was refused may pass later: its boot was buried, and it is claimed anew just now. */
  isPending(fence: Fence): boolean;
  /** What was taken by a boot that is no more. */
  stale(): readonly Fence[];
}

export function newHoldings(): Holdings {
  const fences = new Map<string, Fence>();
  const lost = new Set<string>();
  let boot: Boot | null = null;
  return {
    get boot() {
      return boot;
    },
    joined(next) {
      boot = next;
    },
    buried() {
      boot = null;
    },
    take({ kind, id, epoch, owner }) {
      if (owner === null || owner.incarnation !== boot?.incarnation) return false;
      fences.set(keyOf({ kind, id }), { kind, id, epoch, ...boot });
      return true;
    },
    lose: (actor) => void lost.add(keyOf(actor)),
    drop(actor) {
      fences.delete(keyOf(actor));
      lost.delete(keyOf(actor));
    },
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
