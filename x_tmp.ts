import { startPostgres } from "@/tests/support/postgres_server.ts";
import { measure } from "@/tests/bench/api/load.ts";
const pg = await startPostgres();
const c = new Deno.Command(Deno.execPath(), {
  args: [
    "run",
    "-A",
    "-q",
    "--no-check",
    "--v8-flags=--prof,--logfile=/tmp/prof/v8.log,--no-logfile-per-isolate",
    "tests/bench/api/child.ts",
    pg.url,
  ],
  stdout: "piped",
}).spawn();
const r = c.stdout.pipeThrough(new TextDecoderStream()).getReader();
const ports = JSON.parse((await r.read()).value!);
const H = "Host: localhost\r\nAuthorization: Bearer " + ports.key + "\r\n";
const m = Deno.args[0] === "write";
const body = JSON.stringify({ name: "Agent" });
console.log(
  await measure({
    port: ports.ours,
    connections: 32,
    durationMs: 8000,
    request: () =>
      m
        ? `POST /api/v1/agents HTTP/1.1\r\n${H}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
        : `GET /api/v1/tenant HTTP/1.1\r\n${H}\r\n`,
  }),
);
c.kill("SIGINT");
await c.status;
await pg.stop();
Deno.exit(0);
