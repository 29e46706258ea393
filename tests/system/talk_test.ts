/** A person talks to the demo in a real browser: with a microphone, and by writing. Needs Debian's chromium. */

import assert from "node:assert/strict";
import { speak } from "@/lib/audio/modem.ts";
import { wav } from "@/lib/audio/wav.ts";
import { DEMO_AGENT_ID } from "@/db/demo.ts";
import { openChromium } from "@/tests/support/chromium.ts";
import { serverKit } from "@/tests/support/server.ts";
import { embeddedTestDatabase } from "@/tests/support/database.ts";

const { open } = await embeddedTestDatabase();

/** The browser's own recogniser asks its maker's servers, and its voices differ: without both, the rest is ours. */
const PLAIN = "delete globalThis.webkitSpeechRecognition; delete globalThis.SpeechRecognition;" +
  "Object.defineProperty(globalThis, 'speechSynthesis', { value: undefined });";

async function setUp() {
  const database = await open();
  const kit = await serverKit({ database });
  return {
    kit,
    page: `${kit.url}/talk/${DEMO_AGENT_ID}`,
    async [Symbol.asyncDispose]() {
      await kit.close();
      await database.close();
    },
  };
}

/** For whoever wants to look: PICTURES names a folder. */
async function keep(name: string, picture: Uint8Array): Promise<void> {
  const dir = Deno.env.get("PICTURES");
  if (dir !== undefined) await Deno.writeFile(`${dir}/${name}.png`, picture);
}

/** After so much silence, so that the greeting has been heard. */
function microphone(text: string, afterMs: number): Uint8Array {
  const silence = new Uint8Array(afterMs * 8).fill(0xff);
  return wav([new Uint8Array([...silence, ...speak(text).audio, ...silence])]);
}

const turns = (who: string): string =>
  `[...document.querySelectorAll(".turn.${who} span")]` +
  `.map((turn) => turn.textContent).join(" | ")`;

Deno.test("a microphone is heard in the browser, captions appear, and the agent answers", async () => {
  await using it = await setUp();
  const said = "I have a toothache";
  await using tab = await openChromium({ microphone: microphone(said, 7_000), before: PLAIN });
  await tab.go(it.page);
  await tab.evaluate("document.getElementById('start').click()");
  await tab.until(`${turns("agent")}.includes("How can I help you?")`);
  await tab.until(`${turns("caller")} === "${said}"`);
  await tab.until(`${turns("agent")}.includes("What is your name, please?")`);
  await tab.until("document.getElementById('gap').textContent.endsWith(' ms')");
  await keep("talk", await tab.picture());
  await tab.evaluate("document.getElementById('end').click()");
  await tab.until("document.body.dataset.phase === 'over'");

  const { items } = await (await it.kit.rest("/api/v1/calls")).json();
  assert.deepEqual(
    items.map(({ channel, from, direction }: Record<string, string>) => [channel, from, direction]),
    [["web", "web", "inbound"]],
  );
  assert.deepEqual(tab.complaints, []);
});

Deno.test("what is written in the browser is answered, over a lost socket too", async () => {
  await using it = await setUp();
  const before = `${PLAIN}
    const Socket = WebSocket;
    globalThis.WebSocket = class extends Socket {
      constructor(...args) { super(...args); globalThis.lastSocket = this; }
    };`;
  await using tab = await openChromium({ microphone: null, before, scheme: "dark" });
  await tab.go(it.page);
  await tab.evaluate("document.getElementById('start').click()");
  await tab.until(`${turns("agent")}.includes("Nora")`);
  await tab.evaluate("lastSocket.close(4999)"); // the page takes it as lost
  await tab.until("document.body.dataset.phase === 'lost'");
  await tab.until("document.body.dataset.phase === 'live'");
  await tab.until(
    `${turns("agent")}.startsWith("Bright Smile") && ${turns("agent")}.includes("help you?")`,
  );
  await tab.evaluate(`document.getElementById("words").value = "I have a toothache";
    document.getElementById("typed").requestSubmit()`);
  await tab.until(`${turns("caller")} === "I have a toothache"`);
  await tab.until(`${turns("agent")}.includes("What is your name, please?")`);
  await tab.until("document.getElementById('gap').textContent.endsWith(' ms')");
  assert.match(
    String(await tab.evaluate(turns("agent"))),
    /^Bright Smile Dental.*help you\?.*please\?$/,
  );
  await keep("talk_dark", await tab.picture());
  assert.deepEqual(tab.complaints, []);
});
