/** The process that joins rooms: apart from the server, since a fault of native code would end every call in it. */

import { systemClock } from "@/lib/clock.ts";
import { environment, readConfig } from "@/lib/config.ts";
import { AppError, messageOf } from "@/lib/errors.ts";
import { newLog } from "@/lib/log.ts";
import { joinRtcRoom } from "./rtc_room.ts";
import { startRooms } from "./server.ts";

async function main(): Promise<void> {
  const config = readConfig(environment());
  const log = newLog({ ...config.log, date: () => systemClock.date() });
  const { hostname, port, token } = config.rooms;
  if (token === null) {
    const field = "ROOMS_TOKEN";
    throw new AppError("not_configured", `Cannot join rooms: ${field} is missing`, { field });
  }
  const options = { hostname, port, token, join: joinRtcRoom, clock: systemClock, log };
  const rooms = await startRooms(options);
  log.info("joining rooms", { hostname, port: rooms.port });
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    // Servers whose rooms end here join them again, elsewhere or when this is back.
    Deno.addSignalListener(signal, () => void rooms.close().then(() => Deno.exit(0)));
  }
}

if (import.meta.main) {
  main().catch((error) => {
    Deno.stderr.writeSync(new TextEncoder().encode(`${messageOf(error)}\n`));
    Deno.exit(1);
  });
}
