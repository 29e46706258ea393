/** The way of a socket: who answers it, who is told where it belongs, and how often it may be sent on. */

import assert from "node:assert/strict";
import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { silentLog } from "@/lib/log.ts";
import { Secret } from "@/lib/secret.ts";
import { newTunnels } from "@/lib/tunnel.ts";
import { newWay, type Way } from "@/routes/way.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { CALL } from "./fakes.ts";

const TOKEN = "0123456789abcdef0123456789abcdef";
const SIGNED = { "x-twilio-signature": "s" };
const MEDIA = `/media/two/${CALL}/3/${TOKEN}`;
const TALK = "/talk/agent_0198f3c2-1b2c-7def-8123-000000000002/socket";

type Headers = Readonly<Record<string, string>>;

function request(url: string, headers: Headers = {}): IncomingMessage {
  const message = new IncomingMessage(new Socket());
  return Object.assign(message, {
    method: "GET",
    url,
    headers: { "fly-client-ip": "1.2.3.4", ...headers },
  });
}

interface Kit {
  readonly way: Way;
  readonly asked: string[];
  readonly counted: string[];
}

function setUp(options: {
  readonly isFly?: boolean;
  readonly holder?: string | null;
  readonly isHere?: boolean;
  readonly mayOpen?: boolean;
} = {}): Kit {
  const { isFly = true, holder = "two", isHere = false, mayOpen = true } = options;
  const asked: string[] = [];
  const counted: string[] = [];
  const way = newWay({
    nodeId: "one",
    edge: {
      origins: [],
      hosts: [],
      trustsFly: isFly,
      clientHeader: isFly ? "fly-client-ip" : null,
    },
    pepper: new Secret("p".repeat(32)),
    isHere: () => isHere,
    addressOf: (nodeId) => Promise.resolve(nodeId === "two" ? "127.0.0.1:1" : null),
    holderOf(callId) {
      asked.push(callId);
      return Promise.resolve(holder === null ? null : { nodeId: holder });
    },
    mayOpen(address) {
      counted.push(address);
      return mayOpen;
    },
    tunnels: newTunnels(manualClock()),
    log: silentLog,
  });
  return { way, asked, counted };
}

/** Where it goes: `here`, `carry`, or what Fly is told. */
async function answered({ way }: Kit, url: string, headers: Headers = {}): Promise<string> {
  const answer = await way.elsewhere(request(url, headers));
  if (answer === null) return "here";
  if (answer.type !== "refuse") return answer.type;
  assert.deepEqual([answer.status, answer.body], [409, ""]); // never upgraded
  return answer.headers?.["fly-replay"] ?? "refused";
}

const REPLAYED = "instance=two;timeout=2s;fallback=prefer_self";

Deno.test("a media socket goes where its path says, without a question", async () => {
  const kit = setUp();
  assert.equal(await answered(kit, MEDIA, SIGNED), REPLAYED);
  assert.equal(await answered(setUp({ isFly: false }), MEDIA, SIGNED), "carry");
  assert.equal(await answered(kit, MEDIA.replace("two", "one"), SIGNED), "here");
  assert.equal(await answered(setUp({ isHere: true }), MEDIA, SIGNED), "here");
  assert.deepEqual([kit.asked, kit.counted], [[], []]);
});

Deno.test("what is unsigned, no path, or names nobody is answered here", async () => {
  assert.equal(await answered(setUp(), MEDIA), "here");
  for (const path of ["/media/two/call_1/3/x", "/media/t%0ao/" + CALL + `/3/${TOKEN}`, "/"]) {
    assert.equal(await answered(setUp(), path, SIGNED), "here");
  }
  const nobody = MEDIA.replace("two", "three");
  assert.equal(await answered(setUp({ isFly: false }), nobody, SIGNED), "here");
});

Deno.test("what was brought here goes no further; what came back goes on over the private network or not at all", async () => {
  const kit = setUp();
  const src = "instance=three;region=iad;t=1";
  assert.equal(await answered(kit, MEDIA, { ...SIGNED, "fly-replay-src": src }), "here");
  assert.equal(await answered(kit, MEDIA, { ...SIGNED, "x-ringmaster-carried": "x" }), "here");
  const failed = "instance=two;app=a;region=iad;replay_source=one;reason=REASON;elapsed_ms=2000";
  const rows = [["timeout", "here"], ["retries_exhausted", "here"], ["no_candidate", "carry"]];
  for (const [reason = "", where = ""] of rows) {
    const header = failed.replace("REASON", reason);
    assert.equal(await answered(kit, MEDIA, { ...SIGNED, "fly-replay-failed": header }), where);
  }
  assert.match(kit.way.text(), /^returned_sockets_total 3$/m);
  assert.match(kit.way.text(), /^replayed_sockets_total 0$/m);
});

Deno.test("a page that comes back and a colleague go to whoever holds the call, counted by address", async () => {
  const page = {
    "sec-websocket-protocol": `ringmaster.talk.v1, resume.${CALL}.${"s".repeat(43)}`,
  };
  const colleague = { "sec-websocket-protocol": `ringmaster.listen.v1, ticket.${"t".repeat(43)}` };
  for (const [path, headers] of [[TALK, page], [`/calls/${CALL}/listen`, colleague]] as const) {
    const kit = setUp();
    assert.equal(await answered(kit, path, headers), REPLAYED);
    assert.deepEqual([kit.asked, kit.counted], [[CALL], ["1.2.3.4"]]);
    assert.equal(await answered(setUp({ holder: "one" }), path, headers), "here");
    assert.equal(await answered(setUp({ holder: null }), path, headers), "here");
    const full = setUp({ mayOpen: false });
    assert.equal(await answered(full, path, headers), "here");
    assert.deepEqual(full.asked, []);
  }
  const first = { "sec-websocket-protocol": `ringmaster.talk.v1, ticket.${"s".repeat(43)}` };
  assert.equal(await answered(setUp(), TALK, first), "here");
});

Deno.test("a socket that another machine carries was counted there; whoever only says so is counted here", () => {
  const { way, counted } = setUp({ mayOpen: false });
  for (const carried of ["", "two", `two;${"0".repeat(64)}`]) {
    assert.equal(way.mayOpen(request(TALK, { "x-ringmaster-carried": carried })), false);
  }
  assert.equal(counted.length, 3);
});
