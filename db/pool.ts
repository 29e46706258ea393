/** A pool of connections in which every promise settles: a broken connection is replaced, never mended. */

import postgres from "postgres";
import { type Clock, deadline, sleep } from "@/lib/clock.ts";
import { AppError, messageOf } from "@/lib/errors.ts";
import { orAborted } from "@/lib/until_aborted.ts";

const WAITING_MAX = 256; // work that may wait for a connection; more is refused at once
const RECONNECT_MS = 100; // between two tries to open a session

/** SQL inside a transaction, made by `Database`; of no use after it. */
export type Sql = postgres.ISql<Record<never, never>>;

/** Who a session is: `app` sees what `app.tenants` says, `owner` may change the schema. */
export type Login = "app" | "owner";

/** One session of the `postgres` client. `discard` ends it now, whatever it is doing. */
export interface Session {
  readonly login: Login;
  readonly sql: Sql;
  readonly broken: boolean;
  discard(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Takes what has been sent in a transaction and need not be waited for in it: the commit goes out with it,
 * in one packet, and nothing is committed where it fails. To be called with what is one statement.
 */
export type WithCommit = (sent: Promise<unknown>) => void;

/** What is done in a transaction. */
export type Work<T> = (sql: Sql, withCommit: WithCommit) => Promise<T>;

export interface PoolOptions {
  readonly size: number;
  readonly clock: Clock;
  readonly open: (login: Login) => Session;
}

export interface Pool {
  /**
   * Runs a transaction. Opening the session is tried again until the deadline, since nothing has begun;
   * what has begun is not. Throws AppError("database_unavailable") past the deadline or when the
   * connection is lost (a write may then have happened: all of ours can be repeated), and what `work` throws,
   * or the statement that failed first.
   * `first`: a statement that is sent together with `begin`, and so is the first one of `work` on a session
   * that is open: each packet less saves a way to the server and back.
   */
  run<T>(
    login: Login,
    deadlineMs: number,
    work: Work<T>,
    first?: Statement,
  ): Promise<T>;
  /** Takes no more work, lets what runs come to its end, and closes every session. */
  close(): Promise<void>;
}

/** A statement, as SQL, that only sets what the transaction is bound to. Of nothing that a user wrote. */
export type Statement = string;

interface Slot {
  session: Session | null;
  /** Whether the session has come through a transaction: it is open, and what goes to it has begun. */
  isProven: boolean;
}

export function newPool(options: PoolOptions): Pool {
  const { clock, open } = options;
  const slots: readonly Slot[] = Array.from({ length: options.size }, () => ({
    session: null,
    isProven: false,
  }));
  const free: Slot[] = [...slots];
  const waiting: PromiseWithResolvers<Slot>[] = [];
  const running = new Set<Promise<unknown>>();
  const discarded = new Set<Promise<void>>();
  let closed = false;

  async function take(signal: AbortSignal): Promise<Slot> {
    const slot = free.pop();
    if (slot) return slot;
    if (waiting.length >= WAITING_MAX) {
      throw unavailable(`Cannot use the database: ${WAITING_MAX} others wait for a connection`);
    }
    const waiter = Promise.withResolvers<Slot>();
    waiting.push(waiter);
    const giveUp = (): void => {
      waiting.splice(waiting.indexOf(waiter), 1);
      waiter.reject(signal.reason);
    };
    signal.addEventListener("abort", giveUp, { once: true });
    return await waiter.promise.finally(() => signal.removeEventListener("abort", giveUp));
  }

  function give(slot: Slot): void {
    const next = waiting.shift();
    if (next) next.resolve(slot);
    else free.push(slot);
  }

  function discard(slot: Slot): void {
    if (!slot.session) return;
    const ended = slot.session.discard().finally(() => discarded.delete(ended));
    discarded.add(ended);
    slot.session = null;
    slot.isProven = false;
  }

  function sessionOf(slot: Slot, login: Login): Session {
    if (slot.session?.broken || slot.session?.login !== login) discard(slot);
    return slot.session ??= open(login);
  }

  async function attempt<T>(
    slot: Slot,
    login: Login,
    signal: AbortSignal,
    work: Work<T>,
    first: Statement | undefined,
  ): Promise<T> {
    let cause: unknown; // of the last try to open a session
    while (true) {
      const session = sessionOf(slot, login);
      let begun = slot.isProven;
      const run = transaction<T>(session, (...given) => (begun = true, work(...given)), {
        first,
        isOpen: slot.isProven,
      });
      try {
        const result = await orAborted(run, signal);
        slot.isProven = true;
        return result;
      } catch (error) {
        if (signal.aborted) {
          discard(slot); // its query runs on: the session is of no use to others
          throw begun ? signal.reason : unreachable(cause ?? signal.reason);
        }
        if (begun && !isFault(session, error)) throw asAppError(error); // rolled back; the session is good
        discard(slot);
        if (begun) throw unavailable("Lost the connection to the database", error);
        if (error instanceof AppError) throw error; // the embedded database has failed
        if (!isPassing(error)) throw refused(error);
        cause = error;
        await sleep(clock, RECONNECT_MS, signal).catch(() => {
          throw unreachable(cause);
        });
      }
    }
  }

  async function run<T>(
    login: Login,
    deadlineMs: number,
    work: Work<T>,
    first: Statement | undefined,
  ): Promise<T> {
    const end = deadline(
      clock,
      deadlineMs,
      () => unavailable(`No answer from the database within ${deadlineMs} ms`),
    );
    try {
      const slot = await take(end.signal);
      try {
        return await attempt(slot, login, end.signal, work, first);
      } finally {
        give(slot);
      }
    } finally {
      end.cancel();
    }
  }

  return {
    async run(login, deadlineMs, work, first) {
      if (closed) throw unavailable("The database is closed");
      const result = run(login, deadlineMs, work, first);
      running.add(result);
      return await result.finally(() => running.delete(result));
    },
    async close() {
      closed = true;
      await Promise.allSettled(running);
      await Promise.all(slots.map((slot) => slot.session?.close()));
      await Promise.all(discarded);
    },
  };
}

/**
 * Statements of our own, since the client's `begin` goes on writing to a connection that has closed,
 * and that ends the process: its write is not in any promise.
 */
async function transaction<T>(
  session: Session,
  work: Work<T>,
  { first, isOpen }: { readonly first: Statement | undefined; readonly isOpen: boolean },
): Promise<T> {
  const { sql } = session;
  const sent: Promise<unknown>[] = [];
  let failure: unknown = null; // the first of them
  const withCommit: WithCommit = (one) => {
    sent.push(one);
    one.catch((error) => {
      if (codeOf(error) !== AFTERMATH) failure ??= error;
    });
  };
  // By the simple protocol: both are answered in one packet.
  const begun = (async () => {
    await sql.unsafe(first === undefined ? "begin" : `begin; ${first}`).simple();
  })();
  begun.catch(() => {}); // seen below
  // On an open session the first statement of the work goes out in the packet of `begin`: were that
  // to fail, the server would refuse it, since a transaction that failed takes nothing more.
  if (!isOpen) await begun;
  try {
    const result = await work(sql, withCommit);
    const [end] = await Promise.all([sql`commit`, begun, ...sent]);
    // A transaction in which a statement failed is not committed, and the server calls that no error.
    if (end.command !== "COMMIT") {
      throw new Error("A statement of the transaction failed unnoticed");
    }
    return result;
  } catch (error) {
    if (!session.broken) await sql`rollback`.catch(() => session.discard());
    throw failure ?? error; // by now all that was sent has been answered
  }
}

/** What the server says to all that follows a statement that failed. */
const AFTERMATH = "25P02";

/** The session is lost: its socket closed, or the server takes no more from it (SQLSTATE classes 08, 53, 57P). */
function isFault(session: Session, error: unknown): boolean {
  if (session.broken) return true;
  const code = codeOf(error);
  return error instanceof postgres.PostgresError
    ? /^(08|53|57P)/.test(code) || code === "25006" // a primary that became a standby
    : /^(E[A-Z]|CONNECT)/.test(code); // Node's socket errors, and the client's own
}

/** A session that could not be opened now may open later, unless the server has said why not. */
function isPassing(error: unknown): boolean {
  return !(error instanceof postgres.PostgresError) || /^(08|53|57P)/.test(codeOf(error));
}

/** 57014 is our own `statement_timeout`; classes 40 and 55 are lost races, which may be tried again. */
function asAppError(error: unknown): unknown {
  if (!(error instanceof postgres.PostgresError)) return error;
  return /^(57014|40|55)/.test(error.code) ? unavailable(error.message, error) : error;
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error) || error instanceof AppError || !("code" in error)) return "";
  return String(error.code);
}

function unreachable(cause: unknown): AppError {
  return unavailable(`Cannot reach the database: ${messageOf(cause)}`, cause);
}

function refused(cause: unknown): AppError {
  const message = `Cannot open a session of the database: ${messageOf(cause)}`;
  return new AppError("database_unavailable", message, { cause });
}

function unavailable(message: string, cause?: unknown): AppError {
  return new AppError("database_unavailable", message, { retryable: true, cause });
}
