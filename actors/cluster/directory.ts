/** The directory: the statements of ownership, each with its deadline. */

import {
  type ActorKey,
  beatNode,
  type Boot,
  buryNode,
  claimActor,
  countOwned,
  deleteDeadNodes,
  deleteOwned,
  drainNode,
  type DrainOrder,
  type Fence,
  getLinkKey,
  getOwner,
  insertNode,
  leaveNode,
  listNodes,
  type NewNode,
  type Node,
  type NodeState,
  orderDrain,
  type Owned,
  releaseActor,
  releaseKinds,
} from "@/db/cluster.ts";
import type { Database } from "@/db/client.ts";
import type { Secret } from "@/lib/secret.ts";

/** Longer, and a beat that hangs would hold up the next. */
const ASK_MS = 1_500;
/** Rows of dead machines are kept for whoever looks into what happened. */
const DEAD_DAYS = 7;

export interface Directory {
  /** A new boot, which proves itself to others with this key; returns its incarnation. */
  join(node: NewNode, linkKey: Secret | null): Promise<number>;
  /** One more beat, with the calls that it holds; removes the rows of actors that have ended for good. */
  beat(boot: Boot, load: number, ended: readonly ActorKey[]): Promise<NodeState>;
  /** Those that are not dead. */
  nodes(): Promise<readonly Node[]>;
  /** How many actors of each kind each boot owns. */
  counts(): ReturnType<typeof countOwned>;
  /** False: it has beaten since, or is dead already. */
  bury(boot: Boot, seenBeat: number): Promise<boolean>;
  drain(boot: Boot): Promise<void>;
  /** Has a machine drain; false: there is none of this name. */
  orderDrain(nodeId: string, order: DrainOrder): Promise<boolean>;
  /** Releases all, and is dead. */
  leave(boot: Boot): Promise<void>;
  claim(actor: ActorKey, boot: Boot): Promise<Owned | null>;
  owner(actor: ActorKey): Promise<Owned | null>;
  /** Gives one up, if it is still the owner's. */
  release(fence: Fence): Promise<void>;
  /** Gives up all of these kinds, in one statement; returns how many that were. */
  releaseKinds(boot: Boot, kinds: readonly string[]): Promise<number>;
  /** What a boot proves itself with; null: it is dead, or talks to nobody. */
  linkKey(boot: Boot): Promise<Secret | null>;
}

export function newDirectory(database: Database): Directory {
  const ask: <T>(work: Parameters<typeof database.lookup<T>>[2]) => Promise<T> = (work) =>
    database.lookup("jobs", ASK_MS, work);
  return {
    join: (node, linkKey) =>
      ask(async (sql) => {
        await deleteDeadNodes(sql, DEAD_DAYS);
        return await insertNode(sql, node, linkKey);
      }),
    beat: (boot, load, ended) =>
      ask(async (sql) => {
        if (ended.length > 0) await deleteOwned(sql, boot, ended);
        return await beatNode(sql, boot, load);
      }),
    nodes: () => ask(listNodes),
    counts: () => ask(countOwned),
    bury: (boot, seenBeat) => ask((sql) => buryNode(sql, boot, seenBeat)),
    drain: (boot) => ask((sql) => drainNode(sql, boot)),
    orderDrain: (nodeId, order) => ask((sql) => orderDrain(sql, nodeId, order)),
    leave: (boot) => ask((sql) => leaveNode(sql, boot)),
    claim: (actor, boot) => ask((sql) => claimActor(sql, actor, boot)),
    owner: (actor) => ask((sql) => getOwner(sql, actor)),
    release: (fence) => ask((sql) => releaseActor(sql, fence)),
    releaseKinds: (boot, kinds) => ask((sql) => releaseKinds(sql, boot, kinds)),
    linkKey: (boot) => ask((sql) => getLinkKey(sql, boot)),
  };
}
