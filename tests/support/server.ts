/** A whole server on loopback over a test database, with a simulated carrier that phones it. */

import type { Database } from "@/db/client.ts";
import { type Clock, systemClock } from "@/lib/clock.ts";
import { type Config, readConfig } from "@/lib/config.ts";
import { type Log, newLog } from "@/lib/log.ts";
import type { Mail, Notifier } from "@/lib/providers/notify/notify.ts";
import type { Stores } from "@/lib/providers/storage/mod.ts";
import { Secret } from "@/lib/secret.ts";
import { type Server, startServer } from "@/main.ts";
import type { Target } from "@/tests/load/phone.ts";
import { type FakeTwilio, newSid, startTwilio, type TwilioOptions } from "./twilio.ts";

export interface ServerKit extends Target {
  readonly server: Server;
  readonly twilio: FakeTwilio;
  /** What it has logged, as JSON lines. */
  readonly logged: readonly string[];
  /** What it has mailed. */
  readonly mails: readonly Mail[];
  /** GET or POST at the public listener, with the demo tenant's key. */
  rest(path: string, init?: RequestInit): Promise<Response>;
  operator(path: string, init?: RequestInit): Promise<Response>;
}

export interface ServerKitOptions {
  readonly database: Database;
  /** Settings by their names in the environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly twilio?: Partial<TwilioOptions>;
  /** Time as the server sees it; the system's when absent. */
  readonly clock?: Clock;
  /** In place of one that keeps the mails in `mails`. */
  readonly notifier?: Notifier;
  /** Where recordings go; in memory when absent. */
  readonly stores?: Stores;
  /** True: no carrier account is set, as on a machine that was given none. */
  readonly isWithoutCarrier?: boolean;
}

export async function serverKit(options: ServerKitOptions): Promise<ServerKit> {
  const { database, env = {} } = options;
  const authToken = options.twilio?.authToken ?? crypto.randomUUID();
  const twilio = startTwilio({
    clock: systemClock,
    accountSid: newSid("AC"),
    authToken,
    ...options.twilio,
  });
  const logged: string[] = [];
  const log: Log = newLog({
    level: "info",
    pii: false,
    date: () => systemClock.date(),
    write: (line) => logged.push(line),
  });
  const settings = readConfig({ PORT: "0", OPERATOR_PORT: "0", SHED_LAG_MS: "0", ...env });
  const config: Config = options.isWithoutCarrier ? settings : {
    ...settings,
    twilio: {
      apiUrl: twilio.url,
      accountSid: twilio.accountSid,
      authToken: new Secret(authToken),
    },
  };
  const mails: Mail[] = [];
  const notifier: Notifier = options.notifier ?? {
    provider: "test",
    send: (mail) => Promise.resolve(void mails.push(mail)),
  };
  const server = await startServer(config, {
    database,
    log,
    notifier,
    isTemporary: true,
    ...(options.clock === undefined ? {} : { clock: options.clock }),
    ...(options.stores === undefined ? {} : { stores: options.stores }),
  });
  const url = `http://127.0.0.1:${server.port}`;
  const apiKey = server.demoKey ?? "";
  const authorized = (token: string, init: RequestInit = {}): RequestInit => ({
    ...init,
    headers: { Authorization: `Bearer ${token}`, ...init.headers },
  });
  return {
    server,
    twilio,
    logged,
    mails,
    url: server.publicUrl,
    carrierToken: authToken,
    apiKey,
    rest: (path, init) => fetch(`${url}${path}`, authorized(apiKey, init)),
    operator: (path, init) =>
      fetch(
        `http://127.0.0.1:${server.operatorPort}${path}`,
        authorized(server.operatorToken, init),
      ),
    async close() {
      await server.stop();
      await twilio.close();
    },
  };
}
