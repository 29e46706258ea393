/** A deploy of whole servers behind Fly's proxy, under load: no call ends by it, and no request fails. */

import assert from "node:assert/strict";
import { DEMO_NUMBER } from "@/db/demo.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import { deployToFly, readDeployCommand } from "@/lib/deploy/fly.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { pass, startFlyMachines } from "@/tests/support/fly_machines.ts";
import { startMachines } from "@/tests/support/machines.ts";
import type { ServerKit } from "@/tests/support/server.ts";
import { placeInbound } from "@/tests/support/twilio.ts";

const { open } = await testDatabase();

const OPERATOR_TOKEN = "operator-token-123";
const FLY_API_TOKEN = "fo1_token";
const IMAGE = "registry.fly.io/ringmaster:2";

Deno.test("a deploy waits for the calls of the old machine, new ones go to the new one, and no request fails", async () => {
  await using database = await open();
  const machines = await startMachines({ database, names: ["old"], env: { OPERATOR_TOKEN } });
  const { kits: [old], proxy } = machines;
  assert.ok(old);
  const { promise: isStarted, resolve: started } = Promise.withResolvers<void>();
  const kits = new Map<string, ServerKit>([["old", old]]);
  const fly = startFlyMachines({
    app: "ringmaster",
    token: FLY_API_TOKEN,
    async launch(machine) {
      kits.set(machine.id, await machines.start(machine.id));
      pass(machine);
      started(); // while it starts, the others stand still: they share a process
    },
    cordoned: ({ id, isCordoned }) => isCordoned ? proxy.cordon(id) : proxy.uncordon(id),
    stop: async ({ id }) => await kits.get(id)?.server.drain(),
  });
  fly.add("old");
  const dial = () =>
    placeInbound({
      webhookUrl: `${proxy.url}/twilio/voice`,
      publicUrl: proxy.url,
      authToken: old.carrierToken,
      from: "+15550199000",
      to: DEMO_NUMBER,
      clock: systemClock,
      twilio: old.twilio,
    });
  const first = await dial();

  const statuses = new Set<number>();
  let isLoaded = true;
  const load = (async () => {
    await isStarted;
    while (isLoaded) {
      const { status, body } = await fetch(`${proxy.url}/api/v1/calls`, {
        headers: { Authorization: `Bearer ${old.apiKey}` },
      });
      await body?.cancel();
      statuses.add(status);
      await sleep(systemClock, 20);
    }
  })();
  const { promise: waits, resolve: waiting } = Promise.withResolvers<void>();
  const deployed = deployToFly(
    readDeployCommand(["--app", "ringmaster", "--image", IMAGE]),
    {
      clock: systemClock,
      pace: { lookMs: 50, learnMs: 10 },
      env: { FLY_API_TOKEN, OPERATOR_TOKEN, FLY_API_HOSTNAME: fly.url },
      say: (line) => line === "live calls: old 1" && waiting(),
      fetch: (url, init) => fetch(reached(String(url)), init),
    },
  );
  /** Machines have no private network here. */
  function reached(url: string): string {
    const of = fly.machines.find(({ private_ip }) => url.startsWith(`http://[${private_ip}]:9000`));
    const kit = kits.get(of?.id ?? "");
    return url.replace(/^http:\S+:9000/, `http://127.0.0.1:${kit?.server.operatorPort}`);
  }
  await Promise.race([waits, deployed]);
  const second = await dial();
  assert.ok(first.stream !== null && second.stream !== null, "both are held");
  const [, next] = kits.values();
  const { actors } = await (await next?.operator("/actors?kind=call"))?.json() ?? {};
  assert.equal(actors.length, 1, "the new one has the second");

  first.hangUp();
  await first.ended;
  await deployed;
  assert.ok(second.stream !== null, "the second goes on");
  assert.deepEqual(fly.calls.slice(-2), ["stop old by SIGTERM within 300s", "destroy old"]);
  isLoaded = false;
  await load;
  assert.deepEqual([...statuses], [200]);
  second.hangUp();
  await second.ended;
  await fly.close();
  await machines.close();
});
