/** `deno task deploy:fly`: new machines beside the old ones, which go when their last call has ended. */

import { parseArgs } from "node:util";
import { type Clock, systemClock } from "@/lib/clock.ts";
import { environment } from "@/lib/config.ts";
import { AppError, messageOf } from "@/lib/errors.ts";
import { Secret } from "@/lib/secret.ts";
import { dryApi, dryOperators } from "./dry_run.ts";
import { machinesApi } from "./machines_api.ts";
import { type DrainOrder, operatorsOf } from "./operators.ts";
import { type Release, rollOut, type RolloutDeps } from "./rollout.ts";

const USAGE =
  "Write deploy:fly --app NAME --image IMAGE [--release NAME] [--wait 2h] [--hand-over] " +
  "[--operator URL] [--group app] [--dry-run]";

/** What is read of the environment; none of it is a setting of the server but the token that both know. */
export const DEPLOY_SETTINGS = ["FLY_API_TOKEN", "FLY_API_HOSTNAME", "OPERATOR_TOKEN"] as const;
type Env = Readonly<Record<string, string | undefined>>;

export interface DeployCommand {
  readonly app: string;
  readonly release: Release;
  readonly order: DrainOrder;
  readonly operatorUrl: string | null;
  readonly isDry: boolean;
}

/** Throws AppError("invalid"). */
export function readDeployCommand(args: readonly string[]): DeployCommand {
  const { app, image, release, wait, group, operator, ...flags } = optionsOf(args);
  if (app === undefined || image === undefined) throw new AppError("invalid", USAGE);
  return {
    app,
    release: { image, name: release ?? image, group: group ?? "app" },
    order: {
      calls: flags["hand-over"] === true ? "handOver" : "wait",
      deadlineMs: durationMs(wait ?? "2h"),
    },
    operatorUrl: operator?.replace(/\/+$/, "") ?? null,
    isDry: flags["dry-run"] === true,
  };
}

function optionsOf(args: readonly string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        ...{ app: text, image: text, release: text, wait: text, group: text, operator: text },
        ...{ "hand-over": flag, "dry-run": flag },
      },
    }).values;
  } catch (cause) {
    throw new AppError("invalid", `${messageOf(cause)}. ${USAGE}`, { cause });
  }
}

/** `90s`, `30m`, `2h`: a day at most. */
function durationMs(text: string): number {
  const [, count, unit] = /^(\d{1,5})([smh])$/.exec(text) ?? [];
  const ms = Number(count) * (unit === "h" ? 3_600_000 : unit === "m" ? 60_000 : 1_000);
  if (count !== undefined && ms <= 86_400_000) return ms;
  throw new AppError("invalid", `--wait ${text} is no duration up to a day, as 90s, 30m or 2h`);
}

export interface DeployDeps {
  readonly clock: Clock;
  readonly env: Env;
  say(line: string): void;
  readonly fetch?: typeof fetch;
  readonly pace?: RolloutDeps["pace"];
}

export async function deployToFly(command: DeployCommand, deps: DeployDeps): Promise<void> {
  const { clock, env, say } = deps;
  const { app, release, order, operatorUrl, isDry } = command;
  const url = (env.FLY_API_HOSTNAME || "https://api.machines.dev").replace(/\/+$/, "");
  const connect = { clock, ...(deps.fetch === undefined ? {} : { fetch: deps.fetch }) };
  const api = machinesApi({ url, app, token: needed(env, "FLY_API_TOKEN"), ...connect });
  if (isDry) {
    const root = `${url}/v1/apps/${app}/machines`;
    return await rollOut({
      api: dryApi(api, { root, say }),
      operators: dryOperators(say),
      operatorUrl,
      clock: HASTY,
      say: () => {},
    }, { release, order });
  }
  const operators = operatorsOf({ token: needed(env, "OPERATOR_TOKEN"), ...connect });
  const pace = deps.pace === undefined ? {} : { pace: deps.pace };
  await rollOut({ api, operators, operatorUrl, clock, say, ...pace }, { release, order });
}

/** Waits for nothing. */
const HASTY: Clock = {
  ...systemClock,
  timer(_ms, callback) {
    queueMicrotask(callback);
    return () => {};
  },
};

function needed(env: Env, field: string): Secret {
  const value = env[field];
  if (value) return new Secret(value);
  throw new AppError("not_configured", `Cannot deploy: ${field} is not set`, { field });
}

async function main(args: readonly string[]): Promise<void> {
  const say = (line: string): void => {
    Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
  };
  const env = environment(DEPLOY_SETTINGS);
  await deployToFly(readDeployCommand(args), { clock: systemClock, env, say });
}

if (import.meta.main) {
  main(Deno.args).catch((error) => {
    Deno.stderr.writeSync(new TextEncoder().encode(`${messageOf(error)}\n`));
    Deno.exit(1);
  });
}
