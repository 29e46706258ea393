/** Sessions: clients of one connection, which is opened once and never mended. */

import type { EventEmitter } from "node:events";
import net from "node:net";
import postgres from "postgres";
import type { Embedded, EmbeddedSocket } from "./embedded.ts";
import type { Login, Session } from "./pool.ts";

/** The role of every query but migrations; it owns nothing and bypasses nothing. Made by migration 0001. */
export const APP_ROLE = "ringmaster_app";

const CONNECT_SECONDS = 2;
const CLOSE_SECONDS = 2;

/** Sessions of a PostgreSQL server. The login role of the URL must be allowed to become the application's. */
export function postgresSession(url: string): (login: Login) => Session {
  return (login) =>
    openSession(login, ({ host, port }) => net.connect({ host: host[0], port: port[0] }), {
      url,
      connect_timeout: CONNECT_SECONDS,
      // Set when the session begins, so that `reset role` comes back to it.
      connection: login === "app" ? { role: APP_ROLE } : {},
    });
}

/** Sessions of the embedded database, whose Worker gives a session the role that it logs in as. */
export function embeddedSession(embedded: Embedded): (login: Login) => Session {
  return (login) =>
    openSession(login, () => embedded.dial(), {
      url: `postgres://${login === "app" ? APP_ROLE : "postgres"}@embedded/postgres`,
      connect_timeout: 0, // none: a session begins after the query that runs
      connection: {},
    });
}

interface SessionOptions {
  readonly url: string;
  readonly connect_timeout: number;
  readonly connection: Readonly<Record<string, string>>;
}

/** Where the client wants to go: the hosts and ports of the URL. */
interface Target {
  readonly host: readonly [string];
  readonly port: readonly [number];
}

/**
 * The pool and the reconnecting of `postgres` itself are not used: after a restart of the server they
 * leave promises unsettled (porsager/postgres#1193, #1195). It gets one socket; when that ends, so does the session.
 */
function openSession(
  login: Login,
  dial: (target: Target) => net.Socket | EmbeddedSocket,
  options: SessionOptions,
): Session {
  let socket: net.Socket | EmbeddedSocket | null = null;
  let broken = false;
  const lost = (): void => {
    broken = true;
  };

  const settings = {
    max: 1,
    max_lifetime: null,
    connect_timeout: options.connect_timeout,
    connection: options.connection,
    fetch_types: false, // arrays go as text, so nothing need be asked about their types
    onnotice: () => {},
    onclose: lost,
    transform: { column: { from: postgres.toCamel } },
    socket(target: Target) {
      if (broken || socket) throw new Error("The session is over");
      socket = dial(target);
      const events: EventEmitter = socket;
      events.on("error", lost); // before the client's own listeners: whoever is told finds it broken
      events.on("close", lost);
      return Object.assign(socket, { host: target.host[0] }); // checked against the certificate
    },
  };
  const sql = postgres(options.url, settings);

  async function end(timeoutSeconds: number): Promise<void> {
    await sql.end({ timeout: timeoutSeconds });
    broken = true;
    socket?.destroy();
  }

  return {
    login,
    sql,
    get broken() {
      return broken;
    },
    discard() {
      broken = true;
      return end(0);
    },
    close: () => end(CLOSE_SECONDS),
  };
}
