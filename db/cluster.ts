/**
 * Ownership: the statements by which machines join, watch each other and own actors. All of its safety is on
 * this page; no time stamp takes part in any decision.
 *
 * I1, with no assumption on time: of one actor, committed writes have non-decreasing epochs, and no write of
 * epoch e commits after the claim of e + 1. (`holdsActor` locks the owner's row until its write has
 * committed; a claim changes that row.)
 * I2, timed: two movable owners never act at once, if clock rates agree within 1 % and no pause falls between
 * the look at the deadline and the act. (An owner stops by itself before anybody may bury it:
 * `actors/cluster/membership.ts`.) A pause there is bounded by I1.
 */

import { Secret } from "@/lib/secret.ts";
import type { Sql } from "./client.ts";
import { asJson } from "./json.ts";

/** A machine from one start to its end. */
export interface Boot {
  readonly nodeId: string;
  /** A new one at every boot, of all machines together. */
  readonly incarnation: number;
}

export interface NewNode {
  readonly nodeId: string;
  /** `HOST:PORT`, at which other machines reach it. */
  readonly address: string;
  readonly region: string;
  readonly version: string;
  /** Calls that it holds at most. */
  readonly weight: number;
}

/** What a machine that drains does with its calls. */
export interface DrainOrder {
  /** `handOver`: between turns, from now on; `wait`: only when time is up. */
  readonly calls: "wait" | "handOver";
  /** By its own clock, from when it learns of it; then calls are handed over in the middle of a turn as well. */
  readonly deadlineMs: number;
}

export type NodeState = "active" | "draining" | "dead";

export interface Node extends NewNode, Boot {
  /** Calls that it held at its last beat. */
  readonly load: number;
  readonly state: NodeState;
  /** How it is to drain, where somebody has told it to and has said so. */
  readonly drain?: DrainOrder | null;
  readonly beat: number;
  readonly startedAt: Date;
  /** For people: by the database's clock. */
  readonly seenAt: Date;
}

/** An actor by its kind and id. */
export interface ActorKey {
  readonly kind: string;
  readonly id: string;
}

/** What the owner of an actor shows with every durable write. */
export interface Fence extends ActorKey, Boot {
  readonly epoch: number;
}

/** `owner` null: it was released. */
export interface Owned extends ActorKey {
  readonly epoch: number;
  readonly owner: Boot | null;
}

const NODES_MAX = 1_000;

/** A new boot; returns its incarnation. `key`: what it proves itself to other machines with; null: it talks to none. */
export async function insertNode(
  sql: Sql,
  node: NewNode,
  key: Secret | null = null,
): Promise<number> {
  const [row] = await sql<{ incarnation: number }[]>`
    insert into node (node_id, incarnation, address, region, version, weight, state, link_key)
    values (${node.nodeId}, nextval('node_incarnation'), ${node.address}, ${node.region},
      ${node.version}, ${node.weight}, 'active', ${key?.reveal() ?? null})
    returning incarnation::int`;
  if (row === undefined) throw new Error(`Node "${node.nodeId}" was not inserted`);
  return row.incarnation;
}

/** One more beat. `dead`: this boot has been buried, and owns nothing any more. */
export async function beatNode(sql: Sql, boot: Boot, load: number): Promise<NodeState> {
  const [row] = await sql<{ state: NodeState }[]>`
    update node set beat = beat + 1, load = ${load}, seen_at = now()
    where node_id = ${boot.nodeId} and incarnation = ${boot.incarnation} and state <> 'dead'
    returning state`;
  return row?.state ?? "dead";
}

/** Those that are not dead. */
export async function listNodes(sql: Sql): Promise<Node[]> {
  return await sql<Node[]>`
    select node_id, incarnation::int, address, region, version, weight, load, state, drain,
      beat::int, started_at, seen_at
    from node where state <> 'dead'
    order by node_id, incarnation
    limit ${NODES_MAX}`;
}

/** What a boot that is not dead proves itself with; null: it is dead, or talks to nobody. */
export async function getLinkKey(sql: Sql, boot: Boot): Promise<Secret | null> {
  const [row] = await sql<{ linkKey: string | null }[]>`
    select link_key from node
    where node_id = ${boot.nodeId} and incarnation = ${boot.incarnation} and state <> 'dead'`;
  const key = row?.linkKey ?? null;
  return key === null ? null : new Secret(key);
}

/** For who has watched its beat stand still for the whole TTL. False: it has beaten since, or is dead already. */
export async function buryNode(sql: Sql, boot: Boot, seenBeat: number): Promise<boolean> {
  const rows = await sql`
    update node set state = 'dead'
    where node_id = ${boot.nodeId} and incarnation = ${boot.incarnation}
      and beat = ${seenBeat} and state <> 'dead'`;
  return rows.count === 1;
}

/** From now on it claims nothing; it goes on with what it has. */
export async function drainNode(sql: Sql, boot: Boot): Promise<void> {
  await sql`
    update node set state = 'draining'
    where node_id = ${boot.nodeId} and incarnation = ${boot.incarnation} and state = 'active'`;
}

/** As `drainNode`, of every boot of a machine, by whoever asks; false: there is none that is not dead. */
export async function orderDrain(sql: Sql, nodeId: string, order: DrainOrder): Promise<boolean> {
  const rows = await sql`
    update node set state = 'draining', drain = ${asJson(sql, order)}
    where node_id = ${nodeId} and state <> 'dead'`;
  return rows.count > 0;
}

/** Releases all that it owns of these kinds, in one statement; returns how many that were. */
export async function releaseKinds(
  sql: Sql,
  boot: Boot,
  kinds: readonly string[],
): Promise<number> {
  const rows = await sql`
    update actor_owner set node_id = null, incarnation = null
    where node_id = ${boot.nodeId} and incarnation = ${boot.incarnation}
      and kind in (select jsonb_array_elements_text(${asJson(sql, kinds)}))`;
  return rows.count;
}

/** The last statement of a boot: releases all that it owns, and is dead. */
export async function leaveNode(sql: Sql, boot: Boot): Promise<void> {
  await sql`
    with released as (
      update actor_owner set node_id = null, incarnation = null
      where node_id = ${boot.nodeId} and incarnation = ${boot.incarnation})
    update node set state = 'dead', load = 0, seen_at = now()
    where node_id = ${boot.nodeId} and incarnation = ${boot.incarnation} and state <> 'dead'`;
}

/**
 * Takes an actor that nobody owns, that was released, or whose owner is dead; says who owns it in any case.
 * Null: the claimer is not active, or lost to somebody who came at this instant (then ask again).
 */
export async function claimActor(sql: Sql, actor: ActorKey, boot: Boot): Promise<Owned | null> {
  const [row] = await sql<OwnerRow[]>`
    with me as (
      select node_id, incarnation from node
      where node_id = ${boot.nodeId} and incarnation = ${boot.incarnation} and state = 'active'),
    won as (
      insert into actor_owner as o (kind, id, epoch, node_id, incarnation)
      select ${actor.kind}, ${actor.id}, 1, me.node_id, me.incarnation from me
      on conflict (kind, id) do update
        set epoch = o.epoch + 1, node_id = excluded.node_id, incarnation = excluded.incarnation,
          claimed_at = now()
        -- Evidence of death, never the absence of life: a machine that joined after this statement
        -- began is not seen by it.
        where o.node_id is null or exists (
          select 1 from node n
          where n.node_id = o.node_id and n.incarnation = o.incarnation and n.state = 'dead')
      returning kind, id, epoch, node_id, incarnation)
    select kind, id, epoch::int, node_id, incarnation::int from won
    union all
    select kind, id, epoch::int, node_id, incarnation::int from actor_owner
    where kind = ${actor.kind} and id = ${actor.id} and not exists (select 1 from won)`;
  return row === undefined ? null : toOwned(row);
}

/**
 * Takes an actor from whoever `seen` says has it, living or not, or from nobody; null: it is as `seen` no more, or
 * the taker is not active. For calls alone: their media stream is exclusive by itself, and the carrier's signed
 * word that it has ended is the evidence that the owner speaks to the caller no more. I1 needs no evidence: in the
 * transaction that takes it, what the last owner has committed is read, and its fence refuses the rest.
 */
export async function takeCall(sql: Sql, seen: Owned, boot: Boot): Promise<Owned | null> {
  const { nodeId = null, incarnation = null } = seen.owner ?? {};
  const [row] = await sql<OwnerRow[]>`
    update actor_owner o
    set epoch = o.epoch + 1, node_id = me.node_id, incarnation = me.incarnation, claimed_at = now()
    from node me
    where me.node_id = ${boot.nodeId} and me.incarnation = ${boot.incarnation}
      and me.state = 'active'
      and o.kind = ${seen.kind} and o.id = ${seen.id} and o.epoch = ${seen.epoch}
      and o.node_id is not distinct from ${nodeId}
      and o.incarnation is not distinct from ${incarnation}
    returning o.kind, o.id, o.epoch::int, o.node_id, o.incarnation::int`;
  return row === undefined ? null : toOwned(row);
}

/**
 * The fence, in the transaction of every durable write of what is owned. False: it is somebody else's by now,
 * and nothing may be written. The owner is compared as well as the epoch, which a database that fails over
 * and loses its last commits may give out twice.
 */
export async function holdsActor(sql: Sql, fence: Fence): Promise<boolean> {
  const rows = await sql`
    select 1 from actor_owner
    where kind = ${fence.kind} and id = ${fence.id} and epoch = ${fence.epoch}
      and node_id = ${fence.nodeId} and incarnation = ${fence.incarnation}
    for share`;
  return rows.length === 1;
}

/** As `holdsActor`, of many actors of one kind in one statement; returns the ids of those that are held. */
export async function holdsActors(
  sql: Sql,
  kind: string,
  fences: readonly Fence[],
): Promise<ReadonlySet<string>> {
  const rows = await sql<{ id: string }[]>`
    select held.id from jsonb_to_recordset(${asJson(sql, fences)}) as f (
      id text, epoch bigint, "nodeId" text, incarnation bigint)
    cross join lateral ( -- one look into the index each, whatever the planner thinks of the table
      select o.id from actor_owner o
      where o.kind = ${kind} and o.id = f.id and o.epoch = f.epoch and o.node_id = f."nodeId"
        and o.incarnation = f.incarnation
      for share) held`;
  return new Set(rows.map(({ id }) => id));
}

/** Gives one up, if it is still the owner's: others need not wait for its death. */
export async function releaseActor(sql: Sql, fence: Fence): Promise<void> {
  await sql`
    update actor_owner set node_id = null, incarnation = null
    where kind = ${fence.kind} and id = ${fence.id} and epoch = ${fence.epoch}
      and node_id = ${fence.nodeId} and incarnation = ${fence.incarnation}`;
}

/** The rows of actors of this boot that have ended and never come back, as calls. */
export async function deleteOwned(
  sql: Sql,
  boot: Boot,
  actors: readonly ActorKey[],
): Promise<void> {
  await sql`
    delete from actor_owner
    where node_id = ${boot.nodeId} and incarnation = ${boot.incarnation} and (kind, id) in (
      select kind, id from jsonb_to_recordset(${asJson(sql, actors)})
        as ended (kind text, id text))`;
}

/** As `deleteOwned`, of actors that nobody owns who lives. */
export async function deleteLeft(
  sql: Sql,
  kind: string,
  ids: readonly string[],
): Promise<void> {
  await sql`
    delete from actor_owner o
    where kind = ${kind} and id in (select jsonb_array_elements_text(${asJson(sql, ids)}))
      and (o.node_id is null or exists (
        select 1 from node n
        where n.node_id = o.node_id and n.incarnation = o.incarnation and n.state = 'dead'))`;
}

/** Null: nobody has ever owned it, or it has ended. */
export async function getOwner(sql: Sql, { kind, id }: ActorKey): Promise<Owned | null> {
  const [row] = await sql<OwnerRow[]>`
    select kind, id, epoch::int, node_id, incarnation::int from actor_owner
    where kind = ${kind} and id = ${id}`;
  return row === undefined ? null : toOwned(row);
}

/** How many actors of each kind each boot owns, the dead ones as well. */
export async function countOwned(
  sql: Sql,
): Promise<(Boot & { readonly kind: string; readonly actors: number })[]> {
  return await sql<(Boot & { kind: string; actors: number })[]>`
    select node_id, incarnation::int, kind, count(*)::int as actors from actor_owner
    where node_id is not null
    group by node_id, incarnation, kind
    order by node_id, incarnation, kind
    limit ${NODES_MAX}`;
}

/** Removes the rows of those that died so many days ago and own nothing any more. For order, not for safety. */
export async function deleteDeadNodes(sql: Sql, days: number): Promise<void> {
  await sql`
    delete from node n
    where state = 'dead' and seen_at < now() - ${days}::integer * interval '1 day'
      and not exists (
        select 1 from actor_owner o
        where o.node_id = n.node_id and o.incarnation = n.incarnation)`;
}

interface OwnerRow extends ActorKey {
  readonly epoch: number;
  readonly nodeId: string | null;
  readonly incarnation: number | null;
}

function toOwned({ kind, id, epoch, nodeId, incarnation }: OwnerRow): Owned {
  const isOwned = nodeId !== null && incarnation !== null;
  return { kind, id, epoch, owner: isOwned ? { nodeId, incarnation } : null };
}
