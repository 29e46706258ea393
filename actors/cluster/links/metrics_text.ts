/** What waits between machines, as Prometheus text. */

import type { Health } from "@/actors/cluster/inspector.ts";
import { counter, gauge, type Sample } from "@/lib/prometheus.ts";
import type { Wire } from "./wire.ts";

export function linksText(wires: Iterable<Wire>, { oldestUndeliveredMs }: Health): string {
  const all = [...wires];
  const each = (read: (wire: Wire) => number): Sample[] =>
    all.map((wire) => [{ node: wire.peer.nodeId }, read(wire)]);
  return [
    gauge("oldest_undelivered_seconds", "Age of the oldest message that waits on this machine.", [
      [{}, oldestUndeliveredMs / 1_000],
    ]),
    gauge("link_open", "Whether the link to a machine is open.", each((it) => it.isOpen ? 1 : 0)),
    gauge("link_waiting_messages", "Messages that wait for a link.", each((it) => it.view.waiting)),
    gauge("link_asks_waiting", "Asks of another machine.", each((it) => it.view.asks)),
    gauge("link_unsent_bytes", "Bytes in a link's socket.", each((it) => it.view.unsentBytes)),
    counter("link_frames_total", "Frames sent to a machine.", each((it) => it.view.frames)),
  ].join("");
}
