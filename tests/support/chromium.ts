/** A headless Chromium with a microphone that plays a file, driven over its DevTools protocol. https://chromedevtools.github.io/devtools-protocol/ */

import { z } from "zod";
import { type MessageSocket, openSocket } from "@/lib/socket.ts";

export interface ChromiumOptions {
  /** WAV, played again and again to whoever opens the microphone; null: there is no microphone. */
  readonly microphone: Uint8Array | null;
  /** Run in the page before its own scripts. */
  readonly before?: string;
  /** Of the system's colours. */
  readonly scheme?: "light" | "dark";
}

export interface Tab extends AsyncDisposable {
  go(url: string): Promise<void>;
  /** The value of an expression; promises are awaited. */
  evaluate(expression: string): Promise<unknown>;
  /** Asks until the expression is true; fails with what the page shows. */
  until(expression: string, withinMs?: number): Promise<void>;
  /** PNG. */
  picture(): Promise<Uint8Array>;
  /** What the page has logged or thrown. */
  readonly complaints: readonly string[];
}

const ANSWER = z.object({
  id: z.number().optional(),
  method: z.string().optional(),
  params: z.record(z.string(), z.unknown()).optional(),
  result: z.record(z.string(), z.unknown()).optional(),
  error: z.object({ message: z.string() }).optional(),
});

export async function openChromium(options: ChromiumOptions): Promise<Tab> {
  const { microphone, before, scheme = "light" } = options;
  const dir = await Deno.makeTempDir({ prefix: "chromium" });
  const wav = `${dir}/microphone.wav`;
  if (microphone !== null) await Deno.writeFile(wav, microphone);
  const ears = microphone === null ? [] : [
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    `--use-file-for-fake-audio-capture=${wav}%noloop`,
  ];
  const child = new Deno.Command("chromium", {
    args: [
      ...["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--mute-audio"],
      ...["--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required"],
      ...["--disable-component-update", "--disable-background-networking", "--disable-sync"],
      ...["--window-size=900,900", "--remote-debugging-port=0", `--user-data-dir=${dir}/profile`],
      ...ears,
      "about:blank",
    ],
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const { port, drained } = portFrom(child.stderr);
  const targets = await (await fetch(`http://127.0.0.1:${await port}/json/list`)).json();
  const page = z.array(z.object({ type: z.string(), webSocketDebuggerUrl: z.string() }))
    .parse(targets).find(({ type }) => type === "page");
  if (page === undefined) throw new Error("Chromium has no page");
  const socket = await openSocket(page.webSocketDebuggerUrl, { messageBytesMax: 64 * 1024 * 1024 });
  const complaints: string[] = [];
  const ask = asker(socket, complaints);
  await ask("Page.enable");
  await ask("Runtime.enable");
  await ask("Log.enable");
  await ask("Emulation.setEmulatedMedia", {
    features: [{ name: "prefers-color-scheme", value: scheme }],
  });
  if (before !== undefined) {
    await ask("Page.addScriptToEvaluateOnNewDocument", { source: before });
  }

  async function evaluate(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = await ask("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
      userGesture: true,
    });
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return Object(result).value;
  }

  const tab: Tab = {
    complaints,
    evaluate,
    async go(url) {
      await ask("Page.navigate", { url });
      await tab.until("document.readyState === 'complete'");
    },
    async until(expression, withinMs = 15_000) {
      // The page itself waits, so that nothing here does.
      const met = await evaluate(`new Promise((resolve) => {
        const until = performance.now() + ${withinMs};
        (function look() {
          if (${expression}) return resolve(true);
          if (performance.now() > until) return resolve(false);
          setTimeout(look, 50);
        })();
      })`);
      if (met === true) return;
      const shown = await evaluate("document.body.innerText");
      throw new Error(`Never came true: ${expression}\n${shown}\n${complaints.join("\n")}`);
    },
    async picture() {
      const { data } = await ask("Page.captureScreenshot", { format: "png" });
      return Uint8Array.fromBase64(String(data));
    },
    async [Symbol.asyncDispose]() {
      socket.close(1000, "");
      child.kill("SIGKILL");
      await child.status;
      await drained.catch(() => {});
      await Deno.remove(dir, { recursive: true }).catch(() => {}); // its children may still write
    },
  };
  return tab;
}

/** Where it listens, which it tells once; what it says after that is read, and dropped. */
function portFrom(stderr: ReadableStream<Uint8Array>): {
  readonly port: Promise<string>;
  readonly drained: Promise<void>;
} {
  const told = Promise.withResolvers<string>();
  let text = "";
  const drained = stderr.pipeThrough(new TextDecoderStream()).pipeTo(
    new WritableStream({
      write(chunk) {
        text = (text + chunk).slice(-10_000);
        const port = /DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)\//.exec(text)?.[1];
        if (port !== undefined) told.resolve(port);
      },
      close: () => told.reject(new Error(`Chromium did not start: ${text}`)),
    }),
  );
  return { port: told.promise, drained };
}

type Ask = (method: string, params?: unknown) => Promise<Record<string, unknown>>;

function asker(socket: MessageSocket, complaints: string[]): Ask {
  const waiting = new Map<number, (answer: z.infer<typeof ANSWER>) => void>();
  let asked = 0;
  socket.listen({
    message(data) {
      const answer = ANSWER.parse(JSON.parse(String(data)));
      if (answer.id !== undefined) return waiting.get(answer.id)?.(answer);
      if (answer.method === "Runtime.exceptionThrown" || answer.method === "Log.entryAdded") {
        complaints.push(JSON.stringify(answer.params));
      }
    },
    closed() {
      for (const answer of waiting.values()) answer({ error: { message: "Chromium is gone" } });
    },
  });
  return (method, params = {}) =>
    new Promise((resolve, reject) => {
      const id = ++asked;
      waiting.set(id, ({ result, error }) => {
        waiting.delete(id);
        if (error === undefined) resolve(result ?? {});
        else reject(new Error(`${method}: ${error.message}`));
      });
      socket.send(JSON.stringify({ id, method, params }));
    });
}
