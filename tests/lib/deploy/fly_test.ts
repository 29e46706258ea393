/** A deploy on Fly, against the Machines API and an operators' listener on loopback: it ends no call, and goes on where it was broken off. */

import assert from "node:assert/strict";
import { type Clock, systemClock } from "@/lib/clock.ts";
import { type DeployCommand, deployToFly, readDeployCommand } from "@/lib/deploy/fly.ts";
import { AppError } from "@/lib/errors.ts";
import {
  type FlyMachines,
  type FlyMachinesOptions,
  pass,
  startFlyMachines,
} from "@/tests/support/fly_machines.ts";

const IMAGE = "registry.fly.io/ringmaster:2";
const ENV = { FLY_API_TOKEN: "fo1_token", OPERATOR_TOKEN: "operator-token-123" };
const PACE = { lookMs: 5, learnMs: 1 };

interface Kit extends AsyncDisposable {
  readonly fly: FlyMachines;
  /** What operators were asked to drain, and how. */
  readonly orders: unknown[];
  /** Calls that each machine holds; each look at them ends one. */
  readonly calls: Map<string, number>;
  readonly said: string[];
  deploy(args?: readonly string[], env?: Record<string, string>, clock?: Clock): Promise<void>;
}

function setUp(options: Partial<FlyMachinesOptions> = {}): Kit {
  const fly = startFlyMachines({ app: "ringmaster", token: ENV.FLY_API_TOKEN, ...options });
  fly.add("old1", { env: { A: "1" }, metadata: { fly_process_group: "app", other: "kept" } });
  fly.add("old2");
  fly.add("rooms", { metadata: { fly_process_group: "rooms" } });
  const orders: unknown[] = [];
  const said: string[] = [];
  const calls = new Map([["old1", 2]]);
  const operator = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      if (request.headers.get("authorization") !== `Bearer ${ENV.OPERATOR_TOKEN}`) {
        return new Response("{}", { status: 401 });
      }
      const { pathname } = new URL(request.url);
      const [, , nodeId] = pathname.split("/");
      if (request.method === "POST") {
        if (!fly.machines.some(({ id }) => id === nodeId)) {
          return new Response("{}", {
            status: 404,
          });
        }
        orders.push([nodeId, await request.json()]);
        return new Response("{}", { status: 202 });
      }
      const draining = new Set(orders.flatMap((order) => Array.isArray(order) ? [order[0]] : []));
      return Response.json({
        nodes: fly.machines.filter(({ state }) => state === "started").map(({ id }) => {
          const call = calls.get(id) ?? 0;
          if (draining.has(id) && call > 0) calls.set(id, call - 1);
          return {
            nodeId: id,
            state: draining.has(id) ? "draining" : "active",
            load: 0,
            actors: { call },
          };
        }),
      });
    },
  );
  return {
    ...{ fly, orders, calls, said },
    async deploy(args = [], env = {}, clock = systemClock) {
      const command: DeployCommand = readDeployCommand([
        ...["--app", "ringmaster", "--image", IMAGE],
        ...["--operator", `http://127.0.0.1:${operator.addr.port}/`, ...args],
      ]);
      await deployToFly(command, {
        clock,
        env: { ...ENV, FLY_API_HOSTNAME: fly.url, ...env },
        say: (line) => void said.push(line),
        pace: PACE,
      });
    },
    async [Symbol.asyncDispose]() {
      await fly.close();
      await operator.shutdown();
    },
  };
}

const living = ({ machines }: FlyMachines): string[] =>
  machines.filter(({ state }) => state !== "destroyed").map(({ id }) => id);

const NEW1 = "new00000000003";
const NEW2 = "new00000000004";

Deno.test("new machines start beside the old ones, which are cordoned, drained, waited for, and go", async () => {
  await using kit = setUp();
  await kit.deploy(["--wait", "30m"]);
  assert.deepEqual(kit.fly.calls, [
    ...["create in iad for old1", "create in iad for old2"],
    ...[`uncordon ${NEW1}`, `uncordon ${NEW2}`],
    ...["cordon old1", "cordon old2"],
    ...["stop old1 by SIGTERM within 300s", "destroy old1"],
    ...["stop old2 by SIGTERM within 300s", "destroy old2"],
  ]);
  assert.deepEqual(living(kit.fly), ["rooms", NEW1, NEW2]);
  const order = { calls: "wait", deadlineMs: 1_800_000 };
  assert.deepEqual(kit.orders, [["old1", order], ["old2", order]]);
  assert.deepEqual(kit.said.filter((line) => line.startsWith("live")), [
    ...["live calls: old1 2", "live calls: old1 1"],
  ]);
  const made = kit.fly.machines.find(({ id }) => id === NEW1);
  assert.deepEqual(made?.config, {
    image: IMAGE,
    env: { A: "1" },
    metadata: {
      ...{ fly_process_group: "app", other: "kept" },
      ...{ ringmaster_release: IMAGE, ringmaster_replaces: "old1" },
    },
  });
  assert.equal(made?.isCordoned, false);

  await kit.deploy();
  assert.equal(kit.said.at(-1), `All machines are of release ${IMAGE}`);
});

Deno.test("wherever it is broken off, it goes on from there when it is begun again", async () => {
  const steps = ["list", "create", "wait", "one", "uncordon", "cordon", "stop"];
  for (const step of steps) {
    await using kit = setUp();
    for (let nth = 0; nth < 2; nth++) {
      kit.fly.failNext(422, (asked) => asked === step);
      await assert.rejects(kit.deploy(), /with 422: unavailable: try again/, step);
    }
    await kit.deploy();
    assert.deepEqual(living(kit.fly).length, 3, step);
    assert.equal(kit.fly.calls.filter((call) => call.startsWith("create")).length, 2, step);
    assert.equal(kit.fly.calls.filter((call) => call.startsWith("destroy old")).length, 2, step);
  }
});

Deno.test("a new machine whose checks fail stops the deploy, and no old one is touched", async () => {
  await using kit = setUp({ launch: () => Promise.resolve() }); // its checks never pass
  const late = { ...systemClock, now: () => systemClock.now() * 10_000 };
  await assert.rejects(kit.deploy([], {}, late), (error) => {
    assert.ok(error instanceof AppError);
    assert.match(error.message, /is not healthy: servicecheck-00-http-8000 is warning/);
    assert.match(error.message, /old machines were left as they are/);
    return true;
  });
  assert.deepEqual(kit.fly.calls.map((call) => call.split(" ")[0]), ["create", "create"]);
  assert.ok(kit.fly.machines.filter(({ id }) => id.startsWith("new")).every((it) => it.isCordoned));

  for (const machine of kit.fly.machines) pass(machine);
  await kit.deploy();
  assert.deepEqual(living(kit.fly), ["rooms", NEW1, NEW2]);
});

Deno.test("the next release is not begun while the one before stands half done", async () => {
  await using kit = setUp();
  kit.fly.failNext(422, (asked) => asked === "uncordon");
  await assert.rejects(kit.deploy());
  const next = ["--release", "3"];
  await assert.rejects(
    kit.deploy(next),
    /new\d+ is to take the place of old1, of release .*:2, whose/,
  );
  await kit.deploy();
  await kit.deploy(next);
  assert.deepEqual(living(kit.fly), ["rooms", "new00000000005", "new00000000006"]);
});

Deno.test("too many requests are asked again; what Fly refuses is told as Fly says it", async () => {
  await using kit = setUp();
  kit.fly.failNext(429, (asked) => asked === "create");
  kit.fly.failNext(503, (asked) => asked === "uncordon");
  await kit.deploy();
  assert.deepEqual(living(kit.fly).length, 3);
  await assert.rejects(
    kit.deploy([], { FLY_API_TOKEN: "wrong" }),
    /Fly answers GET \/machines with 401: Authenticate: token validation error/,
  );
});

Deno.test("a dry run says each call, and makes none that changes anything", async () => {
  await using kit = setUp();
  await kit.deploy(["--dry-run", "--hand-over"], { OPERATOR_TOKEN: "" });
  assert.deepEqual([kit.fly.calls, kit.orders], [[], []]);
  const root = `${kit.fly.url}/v1/apps/ringmaster/machines`;
  const lines = kit.said.map((line) => line.replace(root, "…").replace(/http:\S+:\d+/, "OP"));
  assert.match(
    lines[1] ?? "",
    /^POST … \{"region":"iad","config":\{.*"skip_service_registration":true\}$/,
  );
  assert.deepEqual(lines.filter((line) => !line.startsWith("POST … ")), [
    "GET …",
    "GET …/NEW-FOR-old1/wait?instance_id=INSTANCE&state=started&timeout=60",
    "GET …/NEW-FOR-old2/wait?instance_id=INSTANCE&state=started&timeout=60",
    "GET …/NEW-FOR-old1",
    "GET …/NEW-FOR-old2",
    "GET OP/cluster, until NEW-FOR-old1, NEW-FOR-old2 are active",
    "POST …/NEW-FOR-old1/uncordon",
    "POST …/NEW-FOR-old2/uncordon",
    "POST …/old1/cordon",
    "POST …/old2/cordon",
    'POST OP/nodes/old1/drain {"calls":"handOver","deadlineMs":7200000}',
    'POST OP/nodes/old2/drain {"calls":"handOver","deadlineMs":7200000}',
    "GET OP/cluster, until old1, old2 hold no calls",
    'POST …/old1/stop {"signal":"SIGTERM","timeout":"300s"}',
    "GET …/old1/wait?instance_id=01H00000000000000000000001&state=stopped&timeout=60",
    "DELETE …/old1",
    'POST …/old2/stop {"signal":"SIGTERM","timeout":"300s"}',
    "GET …/old2/wait?instance_id=01H00000000000000000000002&state=stopped&timeout=60",
    "DELETE …/old2",
  ]);
});

Deno.test("what is wrong is said before anything is done", async () => {
  await using kit = setUp();
  const rows: readonly [readonly string[], Record<string, string>, RegExp][] = [
    [["--wait", "2 hours"], {}, /--wait 2 hours is no duration/],
    [["--image"], {}, /Write deploy:fly --app NAME --image IMAGE/],
    [["--fast"], {}, /'--fast'.*Write deploy:fly/],
    [[], { FLY_API_TOKEN: "" }, /FLY_API_TOKEN is not set/],
    [[], { OPERATOR_TOKEN: "" }, /OPERATOR_TOKEN is not set/],
  ];
  for (const [args, env, why] of rows) await assert.rejects(kit.deploy(args, env), why);
  assert.throws(() => readDeployCommand([]), /Write deploy:fly/);
  kit.fly.add("disk", { mounts: [{ volume: "vol_1", path: "/data" }] });
  await assert.rejects(kit.deploy(), /Machine disk has a volume/);
  assert.deepEqual(kit.fly.calls, []);
});

Deno.test("operators that nobody reaches, or that take no token, are named", async () => {
  await using kit = setUp();
  await assert.rejects(
    kit.deploy(["--operator", "http://127.0.0.1:1"]),
    /No operators' listener answers: http:\/\/127\.0\.0\.1:1: .*private network/,
  );
  await assert.rejects(kit.deploy([], { OPERATOR_TOKEN: "wrong" }), /does not take OPERATOR_TOKEN/);
});

Deno.test("calls that are left when time is up keep their machine, which is said", async () => {
  await using kit = setUp();
  kit.calls.set("old2", 1_000_000);
  const late = { ...systemClock, now: () => systemClock.now() * 10_000 };
  await assert.rejects(kit.deploy(["--wait", "0s"], {}, late), (error) => {
    assert.ok(error instanceof AppError);
    assert.match(
      error.message,
      /^Calls are left although time is up: .*old2 \d+.* Nothing was stopped/,
    );
    return true;
  });
  assert.ok(kit.fly.calls.every((call) => !/^(stop|destroy)/.test(call)));
  kit.calls.clear();
  await kit.deploy(["--hand-over"]);
  assert.deepEqual(living(kit.fly), ["rooms", NEW1, NEW2]);
});
