/** The stand-in for Fly's proxy does what Fly's documentation says of it. */

import assert from "node:assert/strict";
import { openSocket } from "@/lib/socket.ts";
import { silentLog } from "@/lib/log.ts";
import { systemClock } from "@/lib/clock.ts";
import { listen, type Listener } from "@/routes/server.ts";
import { type FlyProxy, type FlyProxyOptions, startFlyProxy } from "./fly_proxy.ts";

/** What the first machine asks of the proxy; all others answer with their name and the headers of the proxy. */
type Answer = (request: Request) => Response | Promise<Response>;

interface Kit extends AsyncDisposable {
  readonly proxy: FlyProxy;
  get(path?: string, headers?: Record<string, string>): Promise<string>;
  readonly listeners: readonly Listener[];
}

async function setUp(first: Answer, options: FlyProxyOptions = {}): Promise<Kit> {
  const proxy = await startFlyProxy({
    pick: (_asked, machines) => machines.find(({ id }) => id === "a"),
    ...options,
  });
  const listeners: Listener[] = [];
  for (const id of ["a", "b", "c"]) {
    const listener = await listen({ fetch: (request) => answerOf(id, request) }, {
      ...{ hostname: "127.0.0.1", port: 0, clock: systemClock, log: silentLog },
      upgrade: (request) =>
        Promise.resolve(
          id === "a" && request.headers["fly-replay-src"] === undefined && request.url === "/b"
            ? { type: "refuse", status: 409, body: "", headers: { "fly-replay": "instance=b" } }
            : { type: "accept", opened: (socket) => socket.send(id) },
        ),
    });
    listeners.push(listener);
    proxy.add({ id, port: listener.port });
  }
  function answerOf(id: string, request: Request): Response | Promise<Response> {
    const failed = request.headers.get("fly-replay-failed");
    if (failed !== null) return new Response(`${id} back: ${failed}`);
    if (id === "a") return first(request);
    const src = request.headers.get("fly-replay-src");
    return new Response(src === null ? id : `${id} for: ${src}`);
  }
  return {
    proxy,
    listeners,
    async get(path = "/", headers = {}) {
      const answer = await fetch(`${proxy.url}${path}`, { headers });
      const text = await answer.text();
      return answer.status === 200 ? text : String(answer.status);
    },
    async [Symbol.asyncDispose]() {
      await proxy.close();
      for (const listener of listeners) await listener.close();
    },
  };
}

const replay = (to: string) => (): Response =>
  new Response(null, { status: 409, headers: { "fly-replay": to } });

Deno.test("an answer with fly-replay is asked of the machine that it names, in both of its forms", async () => {
  await using kit = await setUp(replay("instance=b;state=s1"));
  assert.match(await kit.get(), /^b for: instance=a;region=iad;t=\d+;state=s1$/);
  await using json = await setUp(() =>
    new Response(JSON.stringify({ instance: "c" }), {
      headers: { "content-type": "application/vnd.fly.replay+json" },
    })
  );
  assert.match(await json.get(), /^c for: instance=a;region=iad;t=\d+$/);
});

Deno.test("a replay that reaches nobody comes back with the reason, where a fallback is named", async () => {
  await using plain = await setUp(replay("instance=nobody"));
  assert.equal(await plain.get(), "502");
  for (const fallback of ["force_self", "prefer_self"]) {
    await using kit = await setUp(replay(`instance=nobody;timeout=2s;fallback=${fallback}`));
    const back = await kit.get();
    assert.match(back, /^a back: instance=nobody;.*replay_source=a;reason=no_candidate;/);
  }
});

Deno.test("a machine that does not answer in time is one that a replay does not reach", async () => {
  const proxy = await startFlyProxy({ pick: (_, all) => all.find(({ id }) => id === "a") });
  const { promise: never, resolve: release } = Promise.withResolvers<Response>();
  const serve = (fetch: Answer) =>
    listen({ fetch }, {
      ...{ hostname: "127.0.0.1", port: 0, clock: systemClock, log: silentLog },
    });
  const back = (request: Request): Response | null => {
    const failed = request.headers.get("fly-replay-failed");
    return failed === null ? null : new Response(failed);
  };
  const a = await serve((request) =>
    back(request) ?? replay("instance=b;timeout=50ms;fallback=force_self")()
  );
  const b = await serve(() => never);
  proxy.add({ id: "a", port: a.port });
  proxy.add({ id: "b", port: b.port });
  assert.match(await (await fetch(proxy.url)).text(), /reason=timeout;elapsed_ms=\d+$/);
  assert.deepEqual(proxy.replays.map(({ outcome }) => outcome), ["timeout"]);
  release(new Response());
  await proxy.close();
  await Promise.all([a.close(), b.close()]);
});

Deno.test("force_self is an error when that machine is gone, prefer_self is another's", async () => {
  for (
    const [fallback, wanted] of [["force_self", /^502$/], ["prefer_self", /^[bc] back: /]] as const
  ) {
    await using kit = await setUp(() => {
      kit.proxy.cordon("a");
      return replay(`instance=nobody;fallback=${fallback}`)();
    });
    assert.match(await kit.get(), wanted);
  }
});

Deno.test("nobody replays what was replayed, and a client cannot speak for the proxy", async () => {
  await using kit = await setUp(replay("instance=a"));
  await assert.rejects(kit.get());
  assert.deepEqual(kit.proxy.faults, ["A replayed request was replayed again"]);
  await using other = await setUp(({ headers }) => new Response(headers.get("fly-replay-src")));
  assert.equal(await other.get("/", { "fly-replay-src": "instance=b" }), "");
});

Deno.test("a client may name its machine, and a cordoned one gets nothing", async () => {
  await using kit = await setUp(() => new Response("a"));
  assert.equal(await kit.get("/", { "fly-force-instance-id": "c" }), "c");
  kit.proxy.cordon("c");
  assert.equal(await kit.get("/", { "fly-force-instance-id": "c" }), "502");
  kit.proxy.uncordon("c");
  assert.equal(await kit.get("/", { "fly-force-instance-id": "c" }), "c");
});

Deno.test("a socket is replayed as well, and one that is open outlives a cordon", async () => {
  await using kit = await setUp(() => new Response());
  const url = kit.proxy.url.replace("http", "ws");
  const first = (path: string) =>
    openSocket(`${url}${path}`).then((socket) =>
      new Promise<[string, () => void]>((resolve) =>
        socket.listen({
          message: (data) => resolve([String(data), () => socket.close(1000, "")]),
          closed() {},
        })
      )
    );
  const [there] = await first("/b");
  const [here, close] = await first("/");
  assert.deepEqual([there, here], ["b", "a"]);
  kit.proxy.cordon("a");
  kit.proxy.cordon("b");
  assert.equal(kit.proxy.openCount, 2);
  assert.equal((await first("/"))[0], "c");
  close();
});

Deno.test("a balancer that is not Fly's knows nothing of its headers", async () => {
  await using kit = await setUp(replay("instance=b"), { isFly: false });
  assert.equal(await kit.get(), "409");
});
